"""The text encoders of `mini` and `mini-mpnet`: all-MiniLM-L6-v2 and all-mpnet-base-v2."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence

import tokenizers
import torch
from safetensors.torch import load
from transformers import BertConfig, BertModel, MPNetConfig, MPNetModel

from anybind import AnybindWarning
from anybind.plugin import TorchEncoder, errors, prompts
from anybind_mini.packages import LOGIT_SCALE, MINILM, MPNET, TextModel, make_text_space


class MeanPooledTransformer(torch.nn.Module):
    """The mean of the last layer over the tokens without padding."""

    def __init__(self, bert: BertModel | MPNetModel) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Embed tokens with their mask, (n, length) each, to (n, d)."""
        hidden = self.bert(**batch).last_hidden_state
        mask = batch["attention_mask"][..., None].to(hidden.dtype)
        return (hidden * mask).sum(1) / mask.sum(1)


class SentenceEncoder(TorchEncoder):
    """A text encoder with mean pooling. Texts beyond its context are truncated, with a warning that shows where."""

    prompt_templates = prompts.DEFINITION_TEMPLATES

    def __init__(self, model: TextModel, build: Callable[[dict[str, object]], BertModel | MPNetModel]) -> None:
        """Load a model.

        Args:
            model: the model.
            build: makes its transformer from its configuration.

        Raises:
            WeightsMismatch: weights are missing.
        """
        config, weights, tokenizer = model.read("config.json", "model.safetensors", "tokenizer.json")
        transformer = build(json.loads(config))
        keys = transformer.load_state_dict(load(weights), strict=False)
        if keys.missing_keys:
            raise errors.WeightsMismatch(f"{model.name}: missing weights: {', '.join(keys.missing_keys[:3])}")
        self.model = model
        self.tokenizer = tokenizers.Tokenizer.from_str(tokenizer.decode())
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(model.context)  # its file has the training length
        super().__init__(
            MeanPooledTransformer(transformer),
            modality="text",
            space=make_text_space(model),
            preprocessing={"tokenizer": model.name, "context_length": model.context, "pooling": "mean"},
            logit_scale=LOGIT_SCALE,
        )

    def preprocess(self, sample: str) -> list[int]:
        """Tokenise a text, to at most as many tokens as the context has."""
        encoding = self.tokenizer.encode(sample)
        if encoding.overflowing:
            end = max(end for _, end in encoding.offsets)
            warnings.warn(
                f"text truncated to {self.model.context} tokens: kept up to {sample[max(0, end - 30) : end]!r},"
                f" dropped {sample[end : end + 30]!r}...",
                AnybindWarning,
                stacklevel=2,
            )
        return encoding.ids

    def collate(self, inputs: Sequence[list[int]]) -> dict[str, torch.Tensor]:
        longest = max(map(len, inputs))
        tokens = torch.full((len(inputs), longest), self.model.padding)
        mask = torch.zeros_like(tokens)
        for row, ids in enumerate(inputs):
            tokens[row, : len(ids)] = torch.tensor(ids)
            mask[row, : len(ids)] = 1
        return {"input_ids": tokens.to(self.device), "attention_mask": mask.to(self.device)}


class MiniTextEncoder(SentenceEncoder):
    """A text encoder, all-MiniLM-L6-v2, for up to 256 tokens."""

    def __init__(self) -> None:
        super().__init__(MINILM, lambda config: BertModel(BertConfig.from_dict(config), add_pooling_layer=False))


class MpnetTextEncoder(SentenceEncoder):
    """A text encoder, all-mpnet-base-v2, for up to 384 tokens."""

    def __init__(self) -> None:
        super().__init__(MPNET, lambda config: MPNetModel(MPNetConfig.from_dict(config), add_pooling_layer=False))
