"""The text encoder of `mini`: all-MiniLM-L6-v2."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import tokenizers
import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertModel

from anybind import AnybindWarning
from anybind.plugin import TorchEncoder, errors
from anybind_mini.packages import LOGIT_SCALE, find_text_folder, make_text_space

CONTEXT = 256
"""The model's context length in tokens; its tokenizer file has 128, the training length."""


class MeanPooledBert(torch.nn.Module):
    """The mean of the last layer over the tokens without padding."""

    def __init__(self, bert: BertModel) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Embed tokens with their mask, (n, length) each, to (n, 384)."""
        hidden = self.bert(**batch).last_hidden_state
        mask = batch["attention_mask"][..., None].to(hidden.dtype)
        return (hidden * mask).sum(1) / mask.sum(1)


class MiniTextEncoder(TorchEncoder):
    """A text encoder, all-MiniLM-L6-v2. Longer texts than 256 tokens are truncated, with a warning that shows where."""

    def __init__(self) -> None:
        folder = find_text_folder()
        bert = BertModel(BertConfig.from_json_file(str(folder / "config.json")), add_pooling_layer=False)
        keys = bert.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
        if keys.missing_keys:
            raise errors.WeightsMismatch(f"{folder}: missing weights: {', '.join(keys.missing_keys[:3])}")
        self.tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(CONTEXT)
        super().__init__(
            MeanPooledBert(bert),
            modality="text",
            space=make_text_space(),
            preprocessing={"tokenizer": "all-MiniLM-L6-v2", "context_length": CONTEXT, "pooling": "mean"},
            logit_scale=LOGIT_SCALE,
        )

    def preprocess(self, sample: str) -> list[int]:
        """Tokenise a text, to at most 256 tokens."""
        encoding = self.tokenizer.encode(sample)
        if encoding.overflowing:
            end = max(end for _, end in encoding.offsets)
            warnings.warn(
                f"text truncated to {CONTEXT} tokens: kept up to {sample[max(0, end - 30) : end]!r},"
                f" dropped {sample[end : end + 30]!r}...",
                AnybindWarning,
                stacklevel=2,
            )
        return encoding.ids

    def collate(self, inputs: Sequence[list[int]]) -> dict[str, torch.Tensor]:
        longest = max(map(len, inputs))
        tokens = torch.zeros(len(inputs), longest, dtype=torch.long)  # 0 is the padding token
        mask = torch.zeros_like(tokens)
        for row, ids in enumerate(inputs):
            tokens[row, : len(ids)] = torch.tensor(ids)
            mask[row, : len(ids)] = 1
        return {"input_ids": tokens.to(self.device), "attention_mask": mask.to(self.device)}
