"""Probabilities of labels as an embedding in the space of their texts."""

from __future__ import annotations

import numpy as np

LOGIT_SCALE = 100.0
SMALLEST = 1e-4
"""Lower bound of a probability."""


def embed_probabilities(probabilities: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """Return the unit vector whose softmax over similarities to the texts gives these probabilities.

    With scale s = `LOGIT_SCALE`, texts T and probabilities p, it solves T v = log(p) / s + c with norm 1, c being free:
    a softmax does not depend on it. Where there is no such vector (texts that are nearly equal), the probabilities
    become more equal until there is one; with more texts than dimensions, the solution is that of least squares.

    Args:
        probabilities: (n,), from 0 to 1.
        texts: (n, d) unit vectors.

    Returns:
        (d,) float32.
    """
    matrix = texts.astype(np.float64)
    logits = np.log(np.maximum(probabilities, SMALLEST)) / LOGIT_SCALE
    inverse = np.linalg.pinv(matrix, rcond=1e-6)
    common = inverse @ np.ones(len(matrix))
    common /= np.linalg.norm(common)
    contrast = inverse @ (logits - logits.mean())
    contrast -= (contrast @ common) * common
    contrast *= min(1.0, 0.99 / max(float(np.linalg.norm(contrast)), 1e-12))
    vector = contrast + np.sqrt(1 - contrast @ contrast) * common
    return (vector / np.linalg.norm(vector)).astype(np.float32)
