"""Fusion of modalities fitted to pairs: the weight of each modality in a joint query."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anybind import Embeddings
from anybind.plugin import BadInput, BadOption

RIDGE = 0.01
"""Default strength of the pull towards equal weights, relative to the mean squared length of centred embeddings."""


def fit_weights(queries: Sequence[Embeddings], targets: Embeddings, *, ridge: float = RIDGE) -> dict[str, float]:
    """Fit the weights of joint queries to pairs of queries and the embeddings that they should find.

    Ridge regression in closed form: the weights w minimise `mean_i |sum_m w_m q_mi - t_i|^2 + ridge |w - 1 / M|^2` over
    the M modalities. Each modality is centred first, since a shift between modalities does not change a ranking.

    Args:
        queries: embeddings of each modality; row i of all of them and of `targets` belong together.
        targets: what each query should find.
        ridge: above 0; the larger it is, the nearer the weights are to the mean of the modalities.

    Returns:
        weight by modality, with sum 1, for `Binder.embed`, `search` and the task `retrieval`.

    Raises:
        BadInput: fewer than two pairs, numbers of rows that differ, a modality twice, or weights with sum 0.
        BadOption: `ridge` is not above 0.
        SpaceMismatch: the embeddings are of different spaces.
    """
    names = [each.modality for each in queries]
    if not queries or len(set(names)) < len(names):
        raise BadInput(f"expected embeddings of different modalities, got {', '.join(names) or 'none'}")
    if len(targets) < 2 or any(len(each) != len(targets) for each in queries):
        counts = [len(each) for each in (*queries, targets)]
        raise BadInput(f"expected two or more rows, as many of each modality and of the targets, got {counts}")
    if not ridge > 0:
        raise BadOption(f"ridge: expected a number above 0, got {ridge!r}")
    for each in queries:
        targets.space.require_same(each.space, f"fit {each.modality} to {targets.modality}")
    columns = np.stack([_center(each).reshape(-1) for each in queries], axis=1)
    products = columns.T @ columns / len(targets)
    towards = columns.T @ _center(targets).reshape(-1) / len(targets)
    penalty = ridge * np.eye(len(names))
    weights = np.linalg.solve(products + penalty, towards + penalty.sum(axis=1) / len(names))
    if abs(weights.sum()) < 1e-6:
        raise BadInput("the queries do not resemble what they should find: the fitted weights cancel")
    return dict(zip(names, (weights / weights.sum()).tolist(), strict=True))


def _center(embeddings: Embeddings) -> np.ndarray:
    vectors = embeddings.vectors.astype(np.float64)
    return vectors - vectors.mean(axis=0)
