"""The encoder `letter-grams`: text by its spelling, so that the plugin's binding needs no text model."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from anybind import Space, normalize
from anybind.plugin import Encoder, tables

DIM = 512
RUNS = (3, 4, 5)
"""Lengths of the letter n-grams."""


class LetterGrams(Encoder):
    """An encoder of texts: every letter n-gram adds 1 or -1 to the dimension of its hash.

    Words of one stem are similar (`walk`, `walking`); meaning is not encoded.
    """

    modality = "text"
    space = Space("letter-grams", DIM)

    @property
    def weights_hash(self) -> str:
        return tables.hash_settings({"dim": DIM, "hash": "crc32"})

    @property
    def preprocessing(self) -> dict[str, Any]:
        return {"runs": list(RUNS), "words": "[a-z0-9]+, lower case", "ends": "_"}

    def preprocess(self, sample: str) -> np.ndarray:
        """Count the n-grams of a text, (512,) float32; a text without letters counts as the word `_`."""
        counts = np.zeros(DIM, np.float32)
        for word in re.findall(r"[a-z0-9]+", sample.lower()) or [""]:
            marked = f"_{word}_"
            for length in RUNS:
                for start in range(max(len(marked) - length, 0) + 1):
                    code = zlib.crc32(marked[start : start + length].encode())
                    counts[code % DIM] += 1 if code >> 31 else -1
        return counts

    def encode(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        return normalize(np.stack(inputs), "text's vector")
