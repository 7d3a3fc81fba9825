"""The adapters `ridge`, `procrustes`, `linear` and `mlp`: fitted on pairs, saved to a file, for two spaces."""

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
from anybind_adapters.card import MAX_WIDTH
from anybind_adapters.closed_form import fit_procrustes, fit_ridge
from anybind_adapters.contrastive import TrainingSettings, apply_layers, train_layers
from anybind_adapters.file import AdapterFile, read_adapter, write_adapter
from anybind_adapters.pairs import check_pairs

Weights = np.ndarray | torch.Tensor


class FittedAdapter(Adapter):
    """An adapter with weights in a file, which names the adapter and its two spaces.

    In a binding file: `use = "ridge"`, `weights = "./x.safetensors"`.

    Each has a class method `fit(source, target, *, groups, seed, ...)`, which fits it on pairs:

    * `source`, `target`: `Embeddings` of n rows each, in two spaces; row i of both are a pair;
    * `groups`: (n,) integers; pairs of one group are of the same content (the same text, for example), so that a group
      is never split, and its pairs are not negatives of each other;
    * `seed`: of all randomness; further arguments are options of the adapter.

    It raises `BadOption` for an invalid option, and `BadInput` for pairs that cannot be fitted.

    Attributes:
        name: the registered name, which its file must have.
        settings: of the fit, JSON-like.
    """

    name: ClassVar[str]

    def __init__(self, weights: str | os.PathLike[str] | AdapterFile) -> None:
        """Load a file, or the content of one.

        Raises:
            BadInput: the file is missing, truncated, not an adapter, or has weights that are not finite.
            WeightsMismatch: it is of another adapter, or has tensors of other names or shapes.
        """
        file = weights if isinstance(weights, AdapterFile) else read_adapter(weights)
        path = "the fitted adapter" if isinstance(weights, AdapterFile) else os.fspath(weights)
        if file.name != self.name:
            raise errors.WeightsMismatch(
                f'{path}: expected an adapter {self.name!r}, got {file.name!r}; write use = "{file.name}"'
            )
        self.source, self.target = file.source, file.target
        self.settings: Mapping[str, object] = file.settings
        shapes = self.list_shapes(file.source, file.target, file.settings)
        expected = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
        tensors.check_state(Path(path), file.tensors, expected)
        self.tensors = {key: file.tensors[key].float() for key in shapes}
        for key, tensor in self.tensors.items():
            if not torch.isfinite(tensor).all():
                raise BadInput(f"{path}: tensor {key} is not finite; fit the adapter again")

    @staticmethod
    @abstractmethod
    def list_shapes(source: Space, target: Space, settings: Mapping[str, object]) -> Mapping[str, tuple[int, ...]]:
        """List name and shape of every tensor of the file."""

    @property
    def identity(self) -> str:
        return tables.hash_settings([self.name, vars(self.source), vars(self.target), tensors.hash_state(self.tensors)])

    def map(self, vectors: np.ndarray) -> np.ndarray:
        """Map (n, source.dim) embeddings to (n, target.dim), float32."""
        return self.map_tensor(torch.from_numpy(np.array(vectors, dtype=np.float32))).numpy()

    def map_tensor(self, vectors: torch.Tensor) -> torch.Tensor:
        """Map a tensor like `map`, with gradients, on its device."""
        return apply_layers({name: tensor.to(vectors.device) for name, tensor in self.tensors.items()}, vectors)

    def save(self, path: str | os.PathLike[str], about: Mapping[str, object] | None = None) -> None:
        """Write the file atomically.

        Args:
            path: a `.safetensors` file.
            about: further fields of the card, JSON-like: data of the fit, validation scores.

        Raises:
            BadInput: it cannot be written.
        """
        write_adapter(path, AdapterFile(self.name, self.source, self.target, self.settings, self.tensors, about or {}))


class Affine(FittedAdapter):
    """An affine map, `x @ weight + bias`."""

    @staticmethod
    def list_shapes(source: Space, target: Space, settings: Mapping[str, object]) -> Mapping[str, tuple[int, ...]]:
        return {"weight": (source.dim, target.dim), "bias": (target.dim,)}

    @classmethod
    def _build(
        cls, source: Embeddings, target: Embeddings, weight: Weights, bias: Weights, settings: Mapping[str, object]
    ) -> Self:
        tensors = {"weight": torch.as_tensor(weight).float(), "bias": torch.as_tensor(bias).float()}
        return cls(AdapterFile(cls.name, source.space, target.space, settings, tensors, {}))


class Ridge(Affine):
    """Ridge regression in closed form, its penalty selected by cross-validation."""

    name = "ridge"

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
            source, target, groups, seed: as there; the seed assigns groups to folds.
            strengths: candidate penalties, each times the mean eigenvalue of the sources' covariance; a single number
                is used without cross-validation. [default: 1e-4 to 100, four a decade]
            folds: of the cross-validation, whose criterion is the squared error.
            centre: subtract both sides' means first, which gives a bias.
            spread: scale the output to the variance of the targets.
        """
        check_pairs(source, target, groups)
        fit = fit_ridge(
            source.vectors,
            target.vectors,
            groups,
            seed=seed,
            strengths=strengths,
            folds=folds,
            centre=centre,
            spread=spread,
        )
        return cls._build(source, target, fit.weight, fit.bias, fit.settings)


class Procrustes(Affine):
    """The nearest rotation (or, between different dimensions, semi-orthogonal map), which preserves angles."""

    name = "procrustes"

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
            source, target, groups, seed: as there; the last two have no effect.
            centre: subtract both sides' means first: the rotation is then about them.
            spread: scale the output to the variance of the targets, and not for the smallest error.
        """
        check_pairs(source, target, groups)
        fit = fit_procrustes(source.vectors, target.vectors, centre=centre, spread=spread)
        return cls._build(source, target, fit.weight, fit.bias, fit.settings)


class Linear(Affine):
    """A linear layer trained by InfoNCE, as in the paper's retrieval, from the ridge solution."""

    name = "linear"

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
            patience: early stopping after this many epochs without a lower loss on a tenth of the groups.
        """
        check_pairs(source, target, groups)
        training = TrainingSettings(seed, temperature, lr, epochs, batch_size, patience)
        tensors, settings = train_layers(source.vectors, target.vectors, groups, training)
        return cls._build(source, target, tensors["weight"], tensors["bias"], settings)


class Mlp(FittedAdapter):
    """A linear layer plus a hidden layer: `x @ weight + bias + gelu(x @ inner + inner_bias) @ outer`."""

    name = "mlp"

    @staticmethod
    def list_shapes(source: Space, target: Space, settings: Mapping[str, object]) -> Mapping[str, tuple[int, ...]]:
        hidden = settings.get("hidden")
        if not isinstance(hidden, int) or not 1 <= hidden <= MAX_WIDTH:
            raise errors.WeightsMismatch(f"mlp: settings.hidden: expected 1 to {MAX_WIDTH}, got {hidden!r}")
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
            hidden: width of the hidden layer. Its output starts at 0, and the linear layer at the ridge solution.
            temperature, lr, epochs, batch_size, patience: as in `Linear.fit`.
        """
        if not isinstance(hidden, int) or not 1 <= hidden <= MAX_WIDTH:
            raise BadOption(f"hidden: expected a whole number from 1 to {MAX_WIDTH}, got {hidden!r}")
        check_pairs(source, target, groups)
        training = TrainingSettings(seed, temperature, lr, epochs, batch_size, patience)
        tensors, settings = train_layers(source.vectors, target.vectors, groups, training, hidden)
        return cls(AdapterFile(cls.name, source.space, target.space, settings, tensors, {}))
