"""Build `adapter.safetensors` from the two weight packages and the names of ImageNet's classes.

    python -m anybind_mini.build_adapter [FILE]

It needs the extras `mini` and `openclip` (for open_clip's readable class names).
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
from open_clip import IMAGENET_CLASSNAMES
from timm.data.imagenet_info import ImageNetInfo

from anybind.commandline import print_text
from anybind.plugin import tensors
from anybind_mini.adapter import FILE
from anybind_mini.image_encoder import load_classifier
from anybind_mini.packages import make_image_space, make_text_space
from anybind_mini.text_encoder import MiniTextEncoder

RIDGE = 0.3
"""Penalty, times the mean eigenvalue of the classifier rows' covariance; 0.03 to 1 have equal accuracy within noise."""
SHRINKAGE = 0.3
"""Times the mean eigenvalue of the names' covariance, added before its inverse square root; 0.1 to 1 likewise."""


def build_class_texts() -> list[str]:
    """Build a text for each ImageNet-1k class from its readable name and WordNet's definition."""
    definitions = [text.split(": ", 1)[1] for text in ImageNetInfo().label_descriptions(detailed=True)]
    return [f"a photo of a {name}, {text}" for name, text in zip(IMAGENET_CLASSNAMES, definitions, strict=True)]


def build_tables() -> dict[str, np.ndarray]:
    """Build the two tables, float32: `names` (1000, 384) and `ridge` (1280, 384)."""
    encoder = MiniTextEncoder()
    tokens = [encoder.preprocess(text) for text in build_class_texts()]
    names = np.concatenate([encoder.encode(tokens[i : i + 50]) for i in range(0, len(tokens), 50)]).astype(np.float64)
    names -= names.mean(axis=0)
    rows = load_classifier()[0].numpy().astype(np.float64)
    rows -= rows.mean(axis=0)
    return {
        "names": (names @ compute_half_whitening(names)).astype(np.float32),
        "ridge": solve_ridge(rows, names).astype(np.float32),
    }


def compute_half_whitening(centred: np.ndarray) -> np.ndarray:
    """Compute the symmetric inverse square root of the shrunk covariance of centred rows, (d, d)."""
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    return (vectors / np.sqrt(values + SHRINKAGE * values.mean())) @ vectors.T


def solve_ridge(rows: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Compute the ridge solution M of `rows @ M = names`, (d_rows, d_names)."""
    gram = rows.T @ rows
    penalty = RIDGE * np.trace(gram) / len(gram)
    return np.linalg.solve(gram + penalty * np.eye(len(gram)), rows.T @ names)


def main() -> None:
    """Write the file, float16, with its two spaces."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    card = {
        "source": asdict(make_image_space()),
        "target": asdict(make_text_space()),
        "ridge": RIDGE,
        "shrinkage": SHRINKAGE,
        "texts": "a photo of a {open_clip's class name}, {WordNet definition, from timm}",
    }
    tensors.write_tensors(path, {name: table.astype(np.float16) for name, table in build_tables().items()}, card)
    print_text(f"wrote {path}, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
