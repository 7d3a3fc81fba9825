"""Adapters that live in a file: four kinds, each of which is fitted from pairs and loaded for its two spaces alone."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch

from anybind import Embeddings, Space
from anybind.plugin import Adapter, BadInput, BadOption, errors, tables, tensors
from anybind_adapters.card import WIDEST
from anybind_adapters.closed_form import procrustes_map, ridge_map
from anybind_adapters.contrastive import Training, layer, train
from anybind_adapters.file import AdapterFile, read_adapter, write_adapter

Weights = np.ndarray | torch.Tensor


class FittedAdapter(Adapter):
    """An adapter whose weights stand in a file that names its kind and its two spaces.

    In a binding file: `use = "ridge"`, `weights = "./x.safetensors"`.

    Every kind has a class method `fit(source, target, *, groups, seed, ...)`, which makes one from pairs:

    * `source`, `target`: `Embeddings` of n rows each, in two spaces; row i of both belong together;
    * `groups`: (n,) integers; pairs of one group hold the same thing (the same words, say), so that none of them is
      held out while another is fitted on, or held against another;
    * `seed`: of all randomness; what else it names are options of the kind.

    It raises `BadOption` for an option that makes no sense, and `BadInput` where there is nothing to fit.

    Attributes:
        kind: the name that it is registered under, which its file must say.
        settings: how it was fitted, JSON-like.
    """

    kind: ClassVar[str]

    def __init__(self, weights: str | os.PathLike[str] | AdapterFile) -> None:
        """Read a file, or take over what a fit gave.

        Raises:
            BadInput: the file is missing, cut, no adapter's, or holds numbers that are not finite.
            WeightsMismatch: it holds another kind of adapter, or tensors of other names or shapes.
        """
        held = weights if isinstance(weights, AdapterFile) else read_adapter(weights)
        name = "the fitted adapter" if isinstance(weights, AdapterFile) else os.fspath(weights)
        if held.kind != self.kind:
            raise errors.WeightsMismatch(f'{name} holds an adapter of kind {held.kind!r}; write use = "{held.kind}"')
        self.source, self.target = held.source, held.target
        self.settings: Mapping[str, object] = held.settings
        shapes = self.shapes(held.source, held.target, held.settings)
        wanted = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
        tensors.check_state(Path(name), held.tensors, wanted)
        self.tensors = {key: held.tensors[key].float() for key in shapes}
        for key, tensor in self.tensors.items():
            if not torch.isfinite(tensor).all():
                raise BadInput(f"{name}: its tensor {key} holds numbers that are not finite; fit it anew")

    @staticmethod
    @abstractmethod
    def shapes(source: Space, target: Space, settings: Mapping[str, object]) -> Mapping[str, tuple[int, ...]]:
        """Name and shape of every tensor of the file."""

    @property
    def identity(self) -> str:
        return tables.hash_settings([self.kind, vars(self.source), vars(self.target), tensors.hash_state(self.tensors)])

    def map(self, vectors: np.ndarray) -> np.ndarray:
        """(n, source.dim) to (n, target.dim), float32."""
        return self.map_tensor(torch.from_numpy(np.array(vectors, dtype=np.float32))).numpy()

    def map_tensor(self, vectors: torch.Tensor) -> torch.Tensor:
        """As `map`, with gradients, on the vectors' device."""
        return layer({name: tensor.to(vectors.device) for name, tensor in self.tensors.items()}, vectors)

    def save(self, path: str | os.PathLike[str], about: Mapping[str, object] | None = None) -> None:
        """Write the file, whole or not at all.

        Args:
            path: a `.safetensors` file.
            about: what else its card should say: the data, the held-out figures; JSON-like.

        Raises:
            BadInput: it cannot be written.
        """
        write_adapter(path, AdapterFile(self.kind, self.source, self.target, self.settings, self.tensors, about or {}))


class Affine(FittedAdapter):
    """One matrix and one offset: `x @ weight + bias`."""

    @staticmethod
    def shapes(source: Space, target: Space, settings: Mapping[str, object]) -> Mapping[str, tuple[int, ...]]:
        return {"weight": (source.dim, target.dim), "bias": (target.dim,)}

    @classmethod
    def _made(
        cls, source: Embeddings, target: Embeddings, weight: Weights, bias: Weights, settings: Mapping[str, object]
    ) -> Self:
        tensors = {"weight": torch.as_tensor(weight).float(), "bias": torch.as_tensor(bias).float()}
        return cls(AdapterFile(cls.kind, source.space, target.space, settings, tensors, {}))


class Ridge(Affine):
    """The closed form of least squares with a penalty, whose strength cross-validation chooses."""

    kind = "ridge"

    @classmethod
    def fit(
        cls,
        source: Embeddings,
        target: Embeddings,
        *,
        groups: np.ndarray,
        seed: int,
        strengths: list[float] | float | None = None,
        folds: int = 5,
        centre: bool = True,
        spread: bool = True,
    ) -> Self:
        """See `FittedAdapter`.

        Args:
            source, target, groups, seed: as there; the seed deals the groups out to folds.
            strengths: penalties to choose from, each times the mean eigenvalue of the sources' covariance; by
                default a quarter of a power of ten apart from 1e-4 to 100. A single one is taken as it is.
            folds: parts of the cross-validation; what it makes small is the squared error.
            centre: take both sides' means away first, which makes an offset.
            spread: stretch what comes out until it spreads as wide as the targets do.
        """
        found = ridge_map(
            source.vectors,
            target.vectors,
            groups,
            seed=seed,
            strengths=strengths,
            folds=folds,
            centre=centre,
            spread=spread,
        )
        return cls._made(source, target, found.weight, found.bias, found.settings)


class Procrustes(Affine):
    """The nearest rotation (or, between different dimensions, semi-orthogonal map): angles stay as they are."""

    kind = "procrustes"

    @classmethod
    def fit(
        cls,
        source: Embeddings,
        target: Embeddings,
        *,
        groups: np.ndarray,
        seed: int,
        centre: bool = True,
        spread: bool = True,
    ) -> Self:
        """See `FittedAdapter`.

        Args:
            source, target, groups, seed: as there; the last two change nothing.
            centre: take both sides' means away first: the rotation is then one about them.
            spread: scale so that what comes out spreads as wide as the targets do, and not for the smallest error.
        """
        found = procrustes_map(source.vectors, target.vectors, centre=centre, spread=spread)
        return cls._made(source, target, found.weight, found.bias, found.settings)


class Linear(Affine):
    """A single layer trained by InfoNCE, as in the paper's retrieval; it starts at the ridge solution."""

    kind = "linear"

    @classmethod
    def fit(
        cls,
        source: Embeddings,
        target: Embeddings,
        *,
        groups: np.ndarray,
        seed: int,
        temperature: float = 0.07,
        lr: float = 1e-4,
        epochs: int = 50,
        batch_size: int = 256,
        patience: int = 5,
    ) -> Self:
        """See `FittedAdapter`.

        Args:
            source, target, groups, seed: as there.
            temperature: of the softmax over cosines.
            lr, epochs, batch_size: of the training, by Adam.
            patience: epochs without a lower loss on the pairs left out (a tenth of the groups) before it ends.
        """
        training = Training(seed, temperature, lr, epochs, batch_size, patience)
        tensors, settings = train(source.vectors, target.vectors, groups, training)
        return cls._made(source, target, tensors["weight"], tensors["bias"], settings)


class Mlp(FittedAdapter):
    """A linear layer with a small network beside it: `x @ weight + bias + gelu(x @ inner + inner_bias) @ outer`."""

    kind = "mlp"

    @staticmethod
    def shapes(source: Space, target: Space, settings: Mapping[str, object]) -> Mapping[str, tuple[int, ...]]:
        hidden = settings.get("hidden")
        if not isinstance(hidden, int) or not 1 <= hidden <= WIDEST:
            raise errors.WeightsMismatch(f"the settings of an mlp need hidden from 1 to {WIDEST}, got {hidden!r}")
        return {
            "weight": (source.dim, target.dim),
            "bias": (target.dim,),
            "inner": (source.dim, hidden),
            "inner_bias": (hidden,),
            "outer": (hidden, target.dim),
        }

    @classmethod
    def fit(
        cls,
        source: Embeddings,
        target: Embeddings,
        *,
        groups: np.ndarray,
        seed: int,
        hidden: int = 256,
        temperature: float = 0.07,
        lr: float = 1e-4,
        epochs: int = 50,
        batch_size: int = 256,
        patience: int = 5,
    ) -> Self:
        """See `FittedAdapter`.

        Args:
            source, target, groups, seed: as there.
            hidden: width of the network, which starts at giving nothing: the linear part starts at the ridge solution.
            temperature, lr, epochs, batch_size, patience: as `Linear.fit`.
        """
        if not isinstance(hidden, int) or not 1 <= hidden <= WIDEST:
            raise BadOption(f"hidden must be a whole number from 1 to {WIDEST}, got {hidden!r}")
        training = Training(seed, temperature, lr, epochs, batch_size, patience)
        tensors, settings = train(source.vectors, target.vectors, groups, training, hidden)
        return cls(AdapterFile(cls.kind, source.space, target.space, settings, tensors, {}))
