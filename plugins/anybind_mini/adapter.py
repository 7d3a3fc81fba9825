"""The adapter of `mini`: from pictures' features to the space of words, in closed form.

Nothing here was trained on pictures. Two answers are added, each of norm 1:

* ConSE (Norouzi et al., 2014): the classifier's probabilities weight the embeddings of ImageNet's class
  names; the mean name is taken away and the rest half-whitened, so that names that lie close are told apart;
* ridge: the linear map that carries the classifier's weight rows to the names, applied to the features.

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
"""Norm of the features before they were scaled to 1, which the classifier's logits need: 15.4 on average over pictures
(standard deviation 2.3); anything from 12 to 20 gives the same accuracy within noise."""


class MiniAdapter(Adapter):
    """Unit features of EfficientNet-Lite0, 1280-d, to the space of all-MiniLM-L6-v2, 384-d."""

    def __init__(self) -> None:
        """Read the shipped tables.

        Raises:
            WeightsMismatch: they were made for other versions of the two weight packages.
        """
        card, stored = tensors.read_tensors(FILE)
        made_for = (Space(**card["source"]), Space(**card["target"]))
        self.source, self.target = make_image_space(), make_text_space()
        if made_for != (self.source, self.target):
            raise errors.WeightsMismatch(
                f"{FILE} was made for {made_for[0]} and {made_for[1]}; rebuild it for these packages"
            )
        arrays = {name: table.astype(np.float32) for name, table in stored.items()}
        self.card = card
        self.names, self.ridge = (torch.from_numpy(arrays[name]) for name in ("names", "ridge"))
        self.weight, self.bias = load_classifier()

    @property
    def identity(self) -> str:
        return tables.hash_settings([self.card, FEATURE_NORM, self._weights_hash])

    @functools.cached_property
    def _weights_hash(self) -> str:
        held = {"names": self.names, "ridge": self.ridge, "weight": self.weight, "bias": self.bias}
        return tensors.hash_state(held)

    def map(self, vectors: np.ndarray) -> np.ndarray:
        """(n, 1280) unit features to (n, 384)."""
        return self.map_tensor(torch.from_numpy(np.array(vectors))).numpy()

    def map_tensor(self, vectors: torch.Tensor) -> torch.Tensor:
        """As `map`, with gradients."""
        names, ridge, weight, bias = (
            table.to(vectors.device) for table in (self.names, self.ridge, self.weight, self.bias)
        )
        probabilities = torch.softmax(FEATURE_NORM * vectors @ weight.T + bias, dim=1)
        return functional.normalize(probabilities @ names) + functional.normalize(vectors @ ridge)
