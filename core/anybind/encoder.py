"""`Encoder`: samples of one modality to unit vectors in one space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from anybind.errors import BadOption
from anybind.space import Space
from anybind.tables import hash_settings


class Encoder(ABC):
    """Samples of one modality to vectors in one space. It owns its preprocessing.

    Encoders on torch derive from `anybind.plugin.TorchEncoder`, which does everything but the preprocessing.

    Attributes:
        modality: what it embeds.
        space: where its vectors live.
        logit_scale: factor of the softmax over similarities that the tower was made with, if any.
    """

    modality: str
    space: Space
    logit_scale: float | None = None

    @property
    @abstractmethod
    def weights_hash(self) -> str:
        """Hash of all weights, 12 hexadecimal digits."""

    @property
    @abstractmethod
    def preprocessing(self) -> Mapping[str, object]:
        """Everything that shapes a sample on its way into the weights, JSON-like."""

    @property
    def identity(self) -> str:
        """Hash of the weights and hash of the preprocessing: encoders of one kind and identity give equal vectors."""
        return f"{self.weights_hash}-{hash_settings(dict(self.preprocessing))}"

    @classmethod
    def with_clamp(cls, options: Mapping[str, object], clamp: float) -> dict[str, object]:
        """These options of the encoder, with per-pixel event counts clamped at `clamp`.

        Raises:
            BadOption: it encodes no events, or does so by a representation without a clamp.
        """
        raise BadOption(f"the encoder {cls.__name__} has no clamp of event counts")

    def to(self, device: str) -> Self:
        """Move the weights to a device, as torch names it; an encoder without torch stays where it is."""
        return self

    def preprocess(self, sample: Any) -> Any:
        """One sample to what the weights take, on the CPU and without randomness. Called from several threads."""
        return sample

    @abstractmethod
    def encode(self, inputs: Sequence[Any]) -> np.ndarray:
        """Preprocessed samples, one batch, to (n, d) float32 vectors of norm 1, for any batching within 1e-5."""
