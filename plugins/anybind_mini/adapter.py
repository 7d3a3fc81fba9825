"""The adapter of `mini`: from image features to the text space, in closed form, without training on images.

It is the sum of two unit embeddings:

* ConSE (Norouzi et al., 2014): the embeddings of ImageNet's class names, weighted by the classifier's probabilities;
  the name embeddings are centred and partly whitened, to separate similar names;
* ridge regression from the classifier's weight rows to these embeddings, applied to the features, with weight 0.5.

`python -m anybind_mini.build_adapter` makes `adapter.safetensors`; `adapter.md` is its card. `mini-mpnet` has one of
its own, with the same classifier and another text space.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from anybind import Space
from anybind.plugin import Adapter, errors, tables, tensors
from anybind_mini.models import CLASSIFIER_WEIGHTS, FOLDER, IMAGE_SPACE, MINILM, MPNET, make_text_space

if TYPE_CHECKING:
    import torch

FEATURE_NORM = 10.0
"""Norm of the features before normalisation, which the classifier's logits need: 15.4 on average over images. A lower
value is a higher temperature: more classes contribute to an embedding. 8 to 12 have the same accuracy within noise."""
RIDGE_WEIGHT = 0.5


class MiniAdapter(Adapter):
    """A map from unit features of EfficientNet-Lite0, 1280-d, to the space of all-MiniLM-L6-v2, 384-d."""

    text_model = MINILM

    def __init__(self) -> None:
        """Load the bundled tables.

        Raises:
            WeightsMismatch: they are of other versions of the weights.
        """
        path = FOLDER / self.text_model.adapter
        self.card, arrays = tensors.read_tensors(path)
        spaces = (Space(**self.card["source"]), Space(**self.card["target"]))
        self.source, self.target = IMAGE_SPACE, make_text_space(self.text_model)
        if spaces != (self.source, self.target):
            raise errors.WeightsMismatch(
                f"{path}: expected spaces {self.source} and {self.target}, got {spaces[0]} and {spaces[1]};"
                " rebuild it for the installed packages: python -m anybind_mini.build_adapter"
            )
        weights = {name: array.astype(np.float32) for name, array in arrays.items()}
        basis = weights.pop("basis", None)
        self.weights = {name: each if basis is None else each @ basis for name, each in weights.items()}
        self.weights |= load_classifier()

    @property
    def identity(self) -> str:
        return tables.hash_settings([self.card, FEATURE_NORM, RIDGE_WEIGHT, self._weights_hash])

    @functools.cached_property
    def _weights_hash(self) -> str:
        return tensors.hash_state(self.weights)

    def map(self, vectors: np.ndarray) -> np.ndarray:
        """Map (n, 1280) unit features to (n, d)."""
        names, ridge, weight, bias = (self.weights[name] for name in ("names", "ridge", "weight", "bias"))
        logits = FEATURE_NORM * vectors @ weight.T + bias
        probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        return _normalize(probabilities @ names) + np.float32(RIDGE_WEIGHT) * _normalize(vectors @ ridge)

    def map_tensor(self, vectors: torch.Tensor) -> torch.Tensor:
        """Map a tensor like `map`, with gradients."""
        import torch
        from torch.nn import functional

        names, ridge, weight, bias = (
            torch.from_numpy(self.weights[name]).to(vectors.device) for name in ("names", "ridge", "weight", "bias")
        )
        probabilities = torch.softmax(FEATURE_NORM * vectors @ weight.T + bias, dim=1)
        return functional.normalize(probabilities @ names) + RIDGE_WEIGHT * functional.normalize(vectors @ ridge)


class MpnetAdapter(MiniAdapter):
    """A map from unit features of EfficientNet-Lite0, 1280-d, to the space of all-mpnet-base-v2, 768-d."""

    text_model = MPNET


def load_classifier() -> dict[str, np.ndarray]:
    """Load the classifier of the features: `weight` (1000, 1280) and `bias` (1000,), rows in ImageNet-1k's order."""
    return tensors.read_tensors(CLASSIFIER_WEIGHTS)[1]


def _normalize(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
