"""The adapter `inertial-to-words`: maps embeddings of motion to the text space."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from anybind import Embeddings, Space
from anybind.plugin import Adapter, BadInput, files, tables

from anybind_inertial.motion import hash_tensors, load_tensors

WEIGHTS = Path(__file__).with_name("words.safetensors")
CARD = "anybind-inertial-words"


class ToWords(Adapter):
    """An affine map by ridge regression; `python -m anybind_inertial.fit` fits one for another text encoder."""

    def __init__(self, *, weights: str | Path = WEIGHTS) -> None:
        """Load a map.

        Args:
            weights: a file that `save_map` wrote. [default: the map to `letter-grams`]

        Raises:
            BadInput: the file is missing or invalid.
        """
        from safetensors import SafetensorError, safe_open

        self.tensors = load_tensors(weights, ("map", "constant"))
        try:
            with safe_open(weights, framework="numpy") as file:
                card = json.loads((file.metadata() or {})[CARD])
            self.source, self.target = Space(**card["source"]), Space(**card["target"])
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise BadInput(f"{weights} is not a map from motion to text: {error}") from error

    @property
    def identity(self) -> str:
        return tables.hash_settings([asdict(self.source), asdict(self.target), hash_tensors(self.tensors)])

    def map(self, vectors: np.ndarray) -> np.ndarray:
        return vectors @ self.tensors["map"] + self.tensors["constant"]


def save_map(path: str | Path, motion: Embeddings, texts: Embeddings, penalty: float = 1.0) -> None:
    """Fit the map from rows of motion to rows of text by ridge regression, and write it.

    Texts are centred, so that their common component is ignored.

    Args:
        path: output file (.safetensors).
        motion, texts: (n, d) each, pairs of rows.
        penalty: weight of the squared entries of the map, above 0.

    Raises:
        BadInput: the numbers of rows differ, or the file cannot be written.
    """
    from safetensors.numpy import save_file

    if len(motion) != len(texts):
        raise BadInput(f"{len(motion)} traces and {len(texts)} texts do not pair")
    mean = motion.vectors.mean(axis=0, dtype=np.float64)
    sources, targets = motion.vectors - mean, texts.vectors - texts.vectors.mean(axis=0, dtype=np.float64)
    matrix = np.linalg.solve(sources.T @ sources + penalty * np.eye(sources.shape[1]), sources.T @ targets)
    tensors = {"map": matrix.astype(np.float32), "constant": (-mean @ matrix).astype(np.float32)}
    card = json.dumps({"source": asdict(motion.space), "target": asdict(texts.space)})
    with files.atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={CARD: card})
