"""`Adapter`: carries embeddings from one space to another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import numpy as np

from anybind.embeddings import Embeddings, unit
from anybind.errors import BadOption
from anybind.space import Space


class Adapter(ABC):
    """Embeddings of one space to another. Calling it checks the space; `map` is the arithmetic.

    Attributes:
        source: the space that it takes; embeddings of any other are refused.
        target: the space that it gives.
    """

    source: Space
    target: Space

    @property
    @abstractmethod
    def identity(self) -> str:
        """Hash of whatever shapes the output, 12 hexadecimal digits."""

    @abstractmethod
    def map(self, vectors: np.ndarray) -> np.ndarray:
        """(n, source.dim) unit vectors to (n, target.dim) vectors, which the caller scales to norm 1."""

    def map_tensor(self, vectors: Any) -> Any:
        """As `map`, on torch tensors and with gradients, for training through the adapter.

        Raises:
            BadOption: the adapter does not offer it.
        """
        raise BadOption(f"the adapter {type(self).__name__} passes no gradients: it cannot be trained through")

    def __call__(self, embeddings: Embeddings) -> Embeddings:
        """The embeddings in the target space; raises `SpaceMismatch` when they are not of the source space."""
        self.source.require_same(embeddings.space, f"adapt {embeddings.modality} embeddings")
        return replace(
            embeddings,
            vectors=unit(self.map(embeddings.vectors), "adapted vector"),
            space=self.target,
            encoder=f"{embeddings.encoder}+{self.identity}",
        )
