"""`TextInput`: texts to tokens, for the text encoders."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import tokenizers

from anybind import AnybindWarning
from anybind_mini.models import TextModel


class TextInput:
    """Tokens of a sentence encoder. Texts beyond its context are truncated, with a warning that shows where."""

    def __init__(self, model: TextModel, tokenizer: bytes) -> None:
        """Load a tokenizer, the content of a `tokenizer.json`."""
        self.model = model
        self.tokenizer = tokenizers.Tokenizer.from_str(tokenizer.decode())
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(model.context)  # its file has the training length

    def __call__(self, text: str) -> list[int]:
        """Tokenise a text, to at most as many tokens as the context has."""
        encoding = self.tokenizer.encode(text)
        if encoding.overflowing:
            end = max(end for _, end in encoding.offsets)
            warnings.warn(
                f"text truncated to {self.model.context} tokens: kept up to {text[max(0, end - 30) : end]!r},"
                f" dropped {text[end : end + 30]!r}...",
                AnybindWarning,
                stacklevel=2,
            )
        return encoding.ids

    def pad(self, texts: Sequence[list[int]]) -> dict[str, np.ndarray]:
        """Pad tokens to `input_ids` and `attention_mask`, each (n, length) int64."""
        longest = max(map(len, texts))
        tokens = np.full((len(texts), longest), self.model.padding, np.int64)
        mask = np.zeros_like(tokens)
        for row, ids in enumerate(texts):
            tokens[row, : len(ids)] = ids
            mask[row, : len(ids)] = 1
        return {"input_ids": tokens, "attention_mask": mask}
