"""`Adapter`: carries embeddings from one space to another."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from anybind.embeddings import Embeddings, normalize
from anybind.errors import BadOption
from anybind.space import Space

if TYPE_CHECKING:
    import torch


class Adapter(ABC):
    """Embeddings of one space to another. Calling it checks the space; `map` is the arithmetic.

    Attributes:
        source: the space that it takes; embeddings of any other are refused.
        target: the space that it gives.
        settings: how it was fitted, JSON-like; empty for one that was not.
    """

    source: Space
    target: Space
    settings: Mapping[str, object] = MappingProxyType({})

    @property
    @abstractmethod
    def identity(self) -> str:
        """Hash of whatever shapes the output, 12 hexadecimal digits."""

    @abstractmethod
    def map(self, vectors: np.ndarray) -> np.ndarray:
        """(n, source.dim) unit vectors to (n, target.dim) vectors, which the caller scales to norm 1."""

    @classmethod
    def fit(
        cls, source: Embeddings, target: Embeddings, /, *args: Any, groups: np.ndarray, seed: int, **options: Any
    ) -> Self:
        """Fit an adapter to pairs: row i of `source` and row i of `target` belong together.

        Args:
            source: n rows, in the space that the adapter maps from.
            target: n rows, in the space that it maps to.
            groups: (n,) integers; pairs of one group show the same thing, so that a split never separates them.
            seed: of all randomness.
            options: of the kind of adapter, by name.

        Raises:
            BadOption: this kind of adapter is not fitted, or an option has an invalid value.
            BadInput: there is nothing to fit.
        """
        raise BadOption(f"the adapter {cls.__name__} cannot be fitted from pairs")

    def save(self, path: str | os.PathLike[str], about: Mapping[str, object] | None = None) -> None:
        """Write what `fit` gave as a `.safetensors` file, whole or not at all.

        Args:
            path: the file.
            about: what else its card says: the data, held-out figures; JSON-like.

        Raises:
            BadOption: this kind of adapter is not fitted.
            BadInput: the file cannot be written.
        """
        raise BadOption(f"the adapter {type(self).__name__} is not fitted and has no file")

    def map_tensor(self, vectors: torch.Tensor) -> torch.Tensor:
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
            vectors=normalize(self.map(embeddings.vectors), "adapted vector"),
            space=self.target,
            encoder=f"{embeddings.encoder}+{self.identity}",
        )
