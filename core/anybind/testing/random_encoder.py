"""A binder whose encoders know nothing: for tests of tasks and heads, which need vectors and no meaning."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass

import numpy as np

from anybind.binder import Binder
from anybind.binding import Binding, ConfiguredPart
from anybind.embeddings import normalize
from anybind.encoder import Encoder
from anybind.registry import list_parts
from anybind.space import Space
from anybind.testing.checks import Case, computed_once

SPACE = Space("stand-in", 16)


class RandomEncoder(Encoder):
    """Vectors drawn by a hash of the sample: equal samples have equal vectors, and others have nothing in common."""

    def __init__(self, modality: str) -> None:
        self.modality, self.space, self.logit_scale = modality, SPACE, 100.0

    @property
    def weights_hash(self) -> str:
        return "0" * 12

    @property
    def preprocessing(self) -> Mapping[str, object]:
        return {"hash": "sha256"}

    def preprocess(self, sample: object) -> bytes:
        digest = hashlib.sha256()
        _feed(digest, sample)
        return digest.digest()

    def encode(self, inputs: Sequence[bytes]) -> np.ndarray:
        seeds = [int.from_bytes(each[:8], "big") for each in inputs]
        return normalize(np.stack([np.random.default_rng(seed).standard_normal(SPACE.dim) for seed in seeds]))


def _feed(digest: hashlib._Hash, value: object) -> None:
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype}{value.shape}".encode() + np.ascontiguousarray(value).tobytes())
    elif is_dataclass(value):
        for field in fields(value):
            _feed(digest, getattr(value, field.name))
    elif not isinstance(value, str | bytes) and isinstance(value, Sequence):
        for each in value:
            _feed(digest, each)
    else:
        digest.update(repr(value).encode())


class _RandomBinder(Binder):
    def encoder(self, modality: str) -> Encoder:
        if modality in self.binding.encoders:
            self._encoders.setdefault(modality, RandomEncoder(modality))
        return super().encoder(modality)


def make_random_binder(*modalities: str) -> Binder:
    """A binder that embeds samples of these modalities, of all that are installed by default, in one 16-d space.

    Its vectors are deterministic and tell samples apart, and mean nothing.
    """
    names = modalities or [part.name for part in list_parts("modality")]
    return _RandomBinder(Binding("stand-in", {name: ConfiguredPart("stand-in") for name in names}))


@computed_once
def binding(case: Case[object]) -> Binder:
    """The example's binder, or one whose embeddings have no meaning."""
    return case.example.binder or make_random_binder()
