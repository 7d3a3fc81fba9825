"""LanguageBind's text encoder, to which all other modalities were bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import CLIPTextConfig, CLIPTextModelWithProjection
from transformers import CLIPTokenizerFast as ClipTokenizer  # pyright: ignore[reportAttributeAccessIssue]

from anybind.plugin import BadInput, TorchEncoder, export, hub
from anybind_languagebind.checkpoint import TEXT, load_checkpoint
from anybind_languagebind.vision_tower import REQUIRED, build_clip_config, load_tower

SIZES = (*(key for key in REQUIRED if key != "patch_size"), "vocab_size", "max_position_embeddings")
END = "<|endoftext|>"


class ClipTextTower(torch.nn.Module):
    """CLIP's text tower: tokens to features, not normalised."""

    def __init__(self, model: CLIPTextModelWithProjection) -> None:
        super().__init__()
        self.text_model = model.text_model
        self.text_projection = model.text_projection

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map (n, length) to (n, d); tokens after the first end token have no effect."""
        return self.text_projection(self.text_model(input_ids=tokens).pooler_output)


class LanguageBindTextEncoder(TorchEncoder):
    """A text encoder; a text longer than the context (77 tokens) is truncated, with a warning that shows where.

    Args:
        model: `ORG/REPO` of the hub, or `local-dir:PATH` of a folder with `config.json`, the weights, `vocab.json` and
            `merges.txt`. All checkpoints of LanguageBind have the same text tower.
        revision: revision of the repository.

    Raises:
        BadInput, BadOption, WeightsMismatch: see `load_checkpoint`; also if tokenizer files are missing, corrupt, or of
            another vocabulary.
    """

    def __init__(self, model: str = "LanguageBind/LanguageBind_Image", revision: str | None = None) -> None:
        checkpoint = load_checkpoint(model, TEXT, revision)
        section = checkpoint.read_section("text_config")
        sizes = {key: section.read_count(key) for key in SIZES}
        vocabulary, merges = (
            hub.find_weights_file(model, file=file, revision=revision) for file in ("vocab.json", "merges.txt")
        )
        try:
            tokenizer: Any = ClipTokenizer(str(vocabulary), str(merges)).backend_tokenizer
        except Exception as error:  # tokenizers in Rust raise bare Exceptions
            reason = " ".join(str(error).split())
            raise BadInput(f"{vocabulary}, {merges.name}: not a valid tokenizer: {reason}") from error
        self.end = tokenizer.token_to_id(END)
        if self.end is None or tokenizer.get_vocab_size() > sizes["vocab_size"]:
            raise BadInput(
                f"{vocabulary}: vocabulary of another model: expected {END} and at most {sizes['vocab_size']} tokens,"
                f" got {tokenizer.get_vocab_size()}; use the file published with the weights"
            )
        self.context = sizes["max_position_embeddings"]
        # Padded with end tokens: causal attention makes padding ineffective.
        self.input = export.TextInput(tokenizer.to_str(), self.context, padding=self.end)
        config = build_clip_config(
            CLIPTextConfig, section, {**sizes, "projection_dim": checkpoint.space.dim, "eos_token_id": self.end}
        )
        with torch.device("meta"):
            module = ClipTextTower(CLIPTextModelWithProjection(config))
        load_tower(module, checkpoint)
        # Position indices, which are not among the weights.
        indices = torch.arange(self.context)[None]
        module.text_model.embeddings.register_buffer("position_ids", indices, persistent=False)
        super().__init__(
            module,
            modality="text",
            space=checkpoint.space,
            preprocessing={"tokenizer": "CLIP", "context_length": self.context},
            logit_scale=checkpoint.logit_scale,
        )

    def preprocess(self, sample: str) -> list[int]:
        """Map a text to its tokens with start and end token, at most `context`."""
        return self.input.preprocess(sample)

    def collate(self, inputs: Sequence[list[int]]) -> torch.Tensor:
        """Collate tokens to (n, longest)."""
        return torch.from_numpy(self.input.collate(inputs)["tokens"]).to(self.device)

    def plan_export(self) -> export.ExportPlan:
        axes = {"tokens": {0: "n", 1: "length"}}
        return export.ExportPlan(self.module, "languagebind-text", self.input.options, axes, self.input.files)
