"""`Adapter`: maps embeddings from one space to another."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from anybind.embeddings import Embeddings, normalize
from anybind.errors import BadOption, PluginError
from anybind.space import Space

if TYPE_CHECKING:
    import torch


class Adapter(ABC):
    """A map from one embedding space to another. Calling it checks the space; `map` does the arithmetic.

    Attributes:
        source: space of its inputs; embeddings of any other space raise `SpaceMismatch`.
        target: space of its outputs.
        settings: settings of the fit, JSON-like; empty for an adapter that is not fitted.
    """

    source: Space
    target: Space
    settings: Mapping[str, object] = MappingProxyType({})

    @property
    @abstractmethod
    def identity(self) -> str:
        """Hash of everything that shapes the output, 12 hexadecimal digits."""

    @abstractmethod
    def map(self, vectors: np.ndarray) -> np.ndarray:
        """Map (n, source.dim) unit vectors to (n, target.dim) vectors, which the caller scales to norm 1."""

    @classmethod
    def fit(
        cls, source: Embeddings, target: Embeddings, /, *args: Any, groups: np.ndarray, seed: int, **options: Any
    ) -> Self:
        """Fit an adapter to pairs: row i of `source` and row i of `target`.

        Args:
            source: n rows in the source space.
            target: n rows in the target space.
            groups: (n,) integers; pairs of one group show the same thing, and a split never separates them.
            seed: random seed.
            options: options of the adapter, by name.

        Raises:
            BadOption: this adapter cannot be fitted, or an option has an invalid value.
            BadInput: there are too few pairs.
        """
        raise BadOption(f"the adapter {cls.__name__} cannot be fitted from pairs")

    def save(self, path: str | os.PathLike[str], about: Mapping[str, object] | None = None) -> None:
        """Write the fitted adapter as a `.safetensors` file, atomically.

        Args:
            path: the file.
            about: further entries of its card, such as the data and held-out metrics; JSON-like.

        Raises:
            BadOption: this adapter cannot be fitted.
            BadInput: the file cannot be written.
        """
        raise BadOption(f"the adapter {type(self).__name__} is not fitted and has no file")

    def map_tensor(self, vectors: torch.Tensor) -> torch.Tensor:
        """Map torch tensors as `map` does, with gradients, for training through the adapter.

        Raises:
            BadOption: the adapter does not support gradients.
        """
        raise BadOption(f"the adapter {type(self).__name__} passes no gradients: it cannot be trained through")

    def __call__(self, embeddings: Embeddings) -> Embeddings:
        """Map embeddings to the target space.

        Raises:
            SpaceMismatch: they are of another space than the source.
            BadInput: a mapped vector is zero or not finite.
            PluginError: `map` returned another shape.
        """
        self.source.require_same(embeddings.space, f"adapt {embeddings.modality} embeddings")
        vectors = np.asarray(self.map(embeddings.vectors))
        if vectors.shape != (expected := (len(embeddings), self.target.dim)):
            raise PluginError(
                f"the adapter {type(self).__name__} to {self.target}: expected vectors of shape {expected}, got"
                f" {vectors.shape}"
            )
        return replace(
            embeddings,
            vectors=normalize(vectors, "adapted vector"),
            space=self.target,
            encoder=f"{embeddings.encoder}+{self.identity}",
        )


def find_route(adapters: Sequence[Adapter], start: Space, goal: str) -> list[Adapter] | None:
    """Return the shortest chain of adapters from a space to the space of a name; None if there is none."""
    paths: deque[list[Adapter]] = deque([[]])
    seen = {start}
    while paths:
        path = paths.popleft()
        space = path[-1].target if path else start
        if space.name == goal:
            return path
        for adapter in adapters:
            if adapter.source == space and adapter.target not in seen:
                seen.add(adapter.target)
                paths.append([*path, adapter])
    return None
