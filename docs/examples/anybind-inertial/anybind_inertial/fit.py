"""Fit the two weight files; `python -m anybind_inertial.fit --help`.

The map of the motion encoder: features of synthetic traces are centred, whitened by the pooled covariance within
activities (with a tenth of its mean variance added), and projected on the 16 principal components.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import anybind
import numpy as np
import typer
from anybind.commandline import print_text
from anybind.plugin import files, prompts

from anybind_inertial import adapter, motion
from anybind_inertial.activities import ACTIVITIES, make_trace

EACH = 60
DIM = 16
SENTENCES = ("{}", "someone is {}", "a person {}")
FIRST = 2_000_000
"""Seed of the first trace, which no split of the dataset has."""


def fit_motion(path: Path) -> None:
    """Fit the map of the encoder and write it."""
    from safetensors.numpy import save_file

    groups = [
        np.stack([motion.compute_features(make_trace(name, FIRST + number)) for number in range(EACH)])
        for name in ACTIVITIES
    ]
    rows = np.concatenate(groups)
    centre = rows.mean(axis=0)
    inside = np.concatenate([group - group.mean(axis=0) for group in groups])
    covariance = inside.T @ inside / len(inside)
    covariance += 0.1 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    values, directions = np.linalg.eigh(covariance)
    whitening = directions / np.sqrt(values)
    _, _, most = np.linalg.svd((rows - centre) @ whitening, full_matrices=False)
    tensors = {"centre": centre.astype(np.float32), "map": (whitening @ most[:DIM].T).astype(np.float32)}
    with files.atomic_path(path) as temporary:
        save_file(tensors, temporary)


def fit_words(path: Path, words: anybind.Binder, encoder: motion.MotionEncoder) -> None:
    """Fit the adapter from the encoder's space to the text space of a binding, and write it."""
    pairs = [(name, make_trace(name, FIRST + number)) for name in ACTIVITIES for number in range(EACH)]
    vectors = encoder.encode([encoder.preprocess(trace) for _, trace in pairs])
    ids = tuple(f"{name} {number}" for number, (name, _) in enumerate(pairs))
    moved = anybind.Embeddings(vectors, encoder.space, encoder.modality, ids)
    of_class = prompts.embed_class_names(words, "text", list(ACTIVITIES), SENTENCES)
    numbers = {name: number for number, name in enumerate(ACTIVITIES)}
    adapter.save_map(path, moved, of_class[[numbers[name] for name, _ in pairs]])


def main(
    output: Annotated[Path, typer.Option("--output", "-o", help="Output file (.safetensors).")] = adapter.WEIGHTS,
    binding: Annotated[str, typer.Option(help="Binding whose text space is the target.")] = "inertial",
    device: Annotated[str, typer.Option(help="Torch device: cpu, cuda, cuda:1, mps.")] = "cpu",
    encoder: Annotated[bool, typer.Option("--encoder", help="Also fit the encoder's map.")] = False,
) -> None:
    """Fit the adapter from motion to the text space of an installed binding."""
    if encoder:
        fit_motion(motion.WEIGHTS)
    fit_words(output, anybind.load(binding, device=device), motion.MotionEncoder())
    print_text(f"wrote {output}")


if __name__ == "__main__":
    typer.run(main)
