"""The adapter of `mini`: from image features to the text space, in closed form, without training on images.

It is the sum of two unit embeddings:

* ConSE (Norouzi et al., 2014): the embeddings of ImageNet's class names, weighted by the classifier's probabilities;
  the name embeddings are centred and half-whitened, to separate similar names;
* ridge regression from the classifier's weight rows to the name embeddings, applied to the features.

`python -m anybind_mini.build_adapter` makes `adapter.safetensors`; `adapter.md` is its card.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from anybind import Space
from anybind.plugin import Adapter, errors, tables, tensors
from anybind_mini.image_encoder import load_classifier
from anybind_mini.packages import make_image_space, make_text_space

FILE = Path(__file__).with_name("adapter.safetensors")
FEATURE_NORM = 16.0
"""Norm of the features before normalisation, which the classifier's logits need: 15.4 on average over images
(standard deviation 2.3); values from 12 to 20 have the same accuracy within noise."""


class MiniAdapter(Adapter):
    """A map from unit features of EfficientNet-Lite0, 1280-d, to the space of all-MiniLM-L6-v2, 384-d."""

    def __init__(self) -> None:
        """Load the bundled tables.

        Raises:
            WeightsMismatch: they are of other versions of the two weight packages.
        """
        self.card, arrays = tensors.read_tensors(FILE)
        spaces = (Space(**self.card["source"]), Space(**self.card["target"]))
        self.source, self.target = make_image_space(), make_text_space()
        if spaces != (self.source, self.target):
            raise errors.WeightsMismatch(
                f"{FILE}: expected spaces {self.source} and {self.target}, got {spaces[0]} and {spaces[1]};"
                " rebuild it for the installed packages: python -m anybind_mini.build_adapter"
            )
        self.names, self.ridge = (torch.from_numpy(arrays[name].astype(np.float32)) for name in ("names", "ridge"))
        self.weight, self.bias = load_classifier()

    @property
    def identity(self) -> str:
        return tables.hash_settings([self.card, FEATURE_NORM, self._weights_hash])

    @functools.cached_property
    def _weights_hash(self) -> str:
        state = {"names": self.names, "ridge": self.ridge, "weight": self.weight, "bias": self.bias}
        return tensors.hash_state(state)

    def map(self, vectors: np.ndarray) -> np.ndarray:
        """Map (n, 1280) unit features to (n, 384)."""
        return self.map_tensor(torch.from_numpy(np.array(vectors))).numpy()

    def map_tensor(self, vectors: torch.Tensor) -> torch.Tensor:
        """Map a tensor like `map`, with gradients."""
        names, ridge, weight, bias = (
            table.to(vectors.device) for table in (self.names, self.ridge, self.weight, self.bias)
        )
        probabilities = torch.softmax(FEATURE_NORM * vectors @ weight.T + bias, dim=1)
        return functional.normalize(probabilities @ names) + functional.normalize(vectors @ ridge)
