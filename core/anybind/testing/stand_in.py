"""A binder whose encoders know nothing: for tests of tasks and heads, which need vectors and no meaning."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass

import numpy as np

from anybind.binder import Binder
from anybind.binding import Binding, Use
from anybind.embeddings import unit
from anybind.encoder import Encoder
from anybind.registry import parts
from anybind.space import Space
from anybind.testing.checks import Case, shared

SPACE = Space("stand-in", 16)


class StandIn(Encoder):
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
        return unit(np.stack([np.random.default_rng(seed).standard_normal(SPACE.dim) for seed in seeds]))


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


class _StandInBinder(Binder):
    def encoder(self, of: str) -> Encoder:
        if of in self.binding.encoders:
            self._encoders.setdefault(of, StandIn(of))
        return super().encoder(of)


def stand_in_binder(*modalities: str) -> Binder:
    """A binder that embeds samples of these modalities, of all that are installed by default, in one 16-d space.

    Its vectors are deterministic and tell samples apart, and mean nothing.
    """
    names = modalities or [part.name for part in parts("modality")]
    return _StandInBinder(Binding("stand-in", {name: Use("stand-in") for name in names}))


@shared
def binding(case: Case[object]) -> Binder:
    """The example's binder, or one whose embeddings have no meaning."""
    return case.example.binder or stand_in_binder()
