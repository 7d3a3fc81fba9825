"""A binder with random embeddings, for tests of tasks and heads."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from anybind.binder import Binder
from anybind.binding import Binding, ConfiguredPart
from anybind.contents import content_key
from anybind.embeddings import normalize
from anybind.encoder import Encoder
from anybind.registry import list_parts
from anybind.space import Space
from anybind.testing.checks import Case, computed_once

SPACE = Space("random", 16)


class RandomEncoder(Encoder):
    """An encoder of random vectors, seeded by a hash of the sample: equal samples have equal vectors."""

    def __init__(self, modality: str) -> None:
        self.modality, self.space, self.logit_scale = modality, SPACE, 100.0

    @property
    def weights_hash(self) -> str:
        return "0" * 12

    @property
    def preprocessing(self) -> Mapping[str, object]:
        return {"hash": "sha256"}

    def preprocess(self, sample: object) -> bytes:
        key = content_key(sample) or repr(sample).encode()
        return hashlib.sha256(key).digest()

    def encode(self, inputs: Sequence[bytes]) -> np.ndarray:
        seeds = [int.from_bytes(each[:8], "big") for each in inputs]
        return normalize(np.stack([np.random.default_rng(seed).standard_normal(SPACE.dim) for seed in seeds]))


class _RandomBinder(Binder):
    def encoder(self, modality: str, backend: str = "") -> Encoder:
        if modality in self.binding.encoders:
            return self._loader.encoders.setdefault((modality, self.backend), RandomEncoder(modality))
        return super().encoder(modality, backend)


def make_random_binder(*modalities: str) -> Binder:
    """Create a binder with random embeddings of these modalities, by default all installed ones, in one 16-d space.

    The embeddings are deterministic and differ between samples.
    """
    names = modalities or [part.name for part in list_parts("modality")]
    return _RandomBinder(Binding("random", {name: ConfiguredPart("random") for name in names}))


@computed_once
def get_binder(case: Case[object]) -> Binder:
    """Return the example's binder, or one with random embeddings."""
    return case.example.binder or make_random_binder()
