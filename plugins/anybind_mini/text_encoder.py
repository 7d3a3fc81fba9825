"""The text encoders of `mini` and `mini-mpnet` in torch: all-MiniLM-L6-v2 and all-mpnet-base-v2."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import torch
from safetensors.torch import load
from transformers import BertConfig, BertModel, MPNetConfig, MPNetModel

from anybind.plugin import TorchEncoder, errors, export, prompts
from anybind_mini.models import (
    LOGIT_SCALE,
    MINILM,
    MPNET,
    TEXT_WEIGHTS,
    TOKENIZER,
    TextModel,
    make_text_space,
    read_mpnet_files,
)


def create_minilm() -> BertModel:
    """Create the transformer of all-MiniLM-L6-v2, with random weights."""
    config = BertConfig(hidden_size=384, intermediate_size=1536, num_attention_heads=12, num_hidden_layers=6)
    return BertModel(config, add_pooling_layer=False)


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


class KeywordTransformer(torch.nn.Module):
    """A text encoder's module with an argument for each input."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Embed tokens, (n, length) each, to (n, d)."""
        return self.module({"input_ids": input_ids, "attention_mask": attention_mask})


class SentenceEncoder(TorchEncoder):
    """A text encoder with mean pooling. Texts beyond its context are truncated, with a warning that shows where."""

    prompt_templates = prompts.DEFINITION_TEMPLATES

    def __init__(self, model: TextModel, transformer: BertModel | MPNetModel, tokenizer: bytes) -> None:
        self.model, self.input = model, model.create_input(tokenizer)
        super().__init__(
            MeanPooledTransformer(transformer),
            modality="text",
            space=make_text_space(model),
            preprocessing=model.settings,
            logit_scale=LOGIT_SCALE,
        )

    def preprocess(self, sample: str) -> list[int]:
        """Tokenise a text, to at most as many tokens as the context has."""
        return self.input.preprocess(sample)

    def collate(self, inputs: Sequence[list[int]]) -> dict[str, torch.Tensor]:
        return {name: torch.from_numpy(array).to(self.device) for name, array in self.input.collate(inputs).items()}

    def encode_raw(self, inputs: Sequence[list[int]]) -> np.ndarray:
        """Encode tokenised texts to (n, d) float32 vectors, not of norm 1."""
        encode = super().encode_raw
        return encode(inputs) if self.device.type != "cpu" else export.encode_by_length(inputs, encode)

    def plan_export(self) -> export.ExportPlan:
        tokens = {0: "n", 1: "length"}
        return export.ExportPlan(
            KeywordTransformer(self.module),
            "mini-text",
            {**self.input.options},
            {"input_ids": tokens, "attention_mask": tokens},
            self.input.files,
        )


class MiniTextEncoder(SentenceEncoder):
    """A text encoder, all-MiniLM-L6-v2, for up to 256 tokens."""

    def __init__(self) -> None:
        super().__init__(MINILM, create_minilm(), TOKENIZER.read_bytes())
        self.load_weights(TEXT_WEIGHTS)


class MpnetTextEncoder(SentenceEncoder):
    """A text encoder, all-mpnet-base-v2, for up to 384 tokens."""

    def __init__(self) -> None:
        config, weights, tokenizer = read_mpnet_files("config.json", "model.safetensors", "tokenizer.json")
        transformer = MPNetModel(MPNetConfig.from_dict(json.loads(config)), add_pooling_layer=False)
        keys = transformer.load_state_dict(load(weights), strict=False)
        if keys.missing_keys:
            raise errors.WeightsMismatch(f"{MPNET.name}: missing weights: {', '.join(keys.missing_keys[:3])}")
        super().__init__(MPNET, transformer, tokenizer)
