"""The adapter of `mini`: from pictures' features to the space of words, in closed form.

Nothing here was trained on pictures. Two answers are added, each of norm 1:

* ConSE (Norouzi et al., 2014): the classifier's probabilities weight the embeddings of ImageNet's class
  names; the mean name is taken away and the rest half-whitened, so that names that lie close are told apart;
* ridge: the linear map that carries the classifier's weight rows to the names, applied to the features.

`python -m anybind_mini.build_adapter` makes `adapter.safetensors`; `adapter.md` is its card.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file

from anybind import Adapter, Space, WeightsMismatch, settings_hash, unit
from anybind_mini.image_tower import classifier_weights
from anybind_mini.packages import image_space, text_space

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
        with safe_open(FILE, framework="numpy") as file:
            card = json.loads(file.metadata()["anybind"])
        made_for = (Space(**card["source"]), Space(**card["target"]))
        self.source, self.target = image_space(), text_space()
        if made_for != (self.source, self.target):
            raise WeightsMismatch(f"{FILE} was made for {made_for[0]} and {made_for[1]}; rebuild it for these packages")
        tables = {name: table.astype(np.float32) for name, table in load_file(FILE).items()}
        self.names, self.ridge = tables["names"], tables["ridge"]
        weight, bias = classifier_weights()
        self.weight, self.bias = weight.numpy(), bias.numpy()
        self._identity = settings_hash([card, float(self.names.sum()), float(self.ridge.sum())])

    @property
    def identity(self) -> str:
        return self._identity

    def map(self, vectors: np.ndarray) -> np.ndarray:
        """(n, 1280) unit features to (n, 384)."""
        logits = FEATURE_NORM * vectors @ self.weight.T + self.bias
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = odds / odds.sum(axis=1, keepdims=True)
        return unit(probabilities @ self.names) + unit(vectors @ self.ridge)
