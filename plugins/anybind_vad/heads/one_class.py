"""The head `one-class`: distance to the embeddings of normal windows."""

from __future__ import annotations

import numpy as np

from anybind import Embeddings
from anybind.plugin import BadInput, BadOption, Head, HeadInput
from anybind_vad.heads.event_rate import compute_event_rates
from anybind_vad.presets import check_count

METHODS = ("nearest", "gaussian")
BLOCK_ROWS = 1024
"""Rows compared with all normal ones at a time, which bounds the memory."""
RATE_OFFSET = 1e-6
"""Added to event rates, in events per pixel and frame, before the logarithm."""
MIN_LOG_STD = 0.01
"""Smallest standard deviation of log event rates: a relative difference of 1 %."""


class OneClassHead(Head):
    """Distance to the embeddings of normal windows; abnormal ones are ignored.

    `nearest`: mean cosine distance (1 - similarity, 0 to 2) to the `neighbours` nearest normal windows.
    `gaussian`: Mahalanobis distance to their mean with the shrinkage covariance of Ledoit and Wolf (A well-conditioned
    estimator for large-dimensional covariance matrices, 2004), divided by the square root of the dimension; about 1 for
    a normal window. With `motion`, the score is the root of the sum of squares of this distance and of the z-score of
    the log event rate among normal windows (0 if negative).
    """

    name = "one-class"
    predicts = "anomaly"
    learns = "samples"

    def __init__(
        self,
        *,
        method: str = "nearest",
        neighbours: int = 5,
        rows: int = 20_000,
        motion: bool = False,
        modality: str = "event",
    ) -> None:
        """Set the options.

        Args:
            method: `nearest` or `gaussian`.
            neighbours: number of neighbours of `nearest`; all, if there are fewer.
            rows: largest number of normal windows of `nearest`, evenly spaced over the given ones.
            motion: include the event rate; for `gaussian` only, whose distances are in standard deviations too.
            modality: modality of the embeddings.

        Raises:
            BadOption: no such method, a number below 1, or `motion` with `nearest`.
        """
        if method not in METHODS:
            raise BadOption(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
        check_count("neighbours", neighbours)
        check_count("rows", rows)
        if not isinstance(motion, bool) or (motion and method != "gaussian"):
            raise BadOption(
                f"motion: expected true (only with method=gaussian) or false, got {motion!r} with method={method}"
            )
        self.method, self.neighbours, self.rows, self.motion = method, neighbours, rows, motion
        options = {"method": method, "neighbours": neighbours, "rows": rows, "motion": motion}
        super().__init__(needs=(modality,), settings={**options, "modality": modality})

    def fit_tensors(self, inputs: HeadInput, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Fit on the windows labelled 0."""
        (modality,) = self.needs
        rows = inputs.embeddings[modality].vectors[labels[inputs.rows[modality]] == 0]
        if len(rows) < 2:
            raise BadInput(
                f"the head 'one-class': expected 2 or more normal windows with {modality} embeddings, got {len(rows)}"
            )
        if self.method == "gaussian":
            tensors = _fit_gaussian(rows.astype(np.float64))
        else:
            selected = np.unique(np.linspace(0, len(rows) - 1, min(self.rows, len(rows))).round().astype(int))
            tensors = {"normal": rows[selected]}
        if self.motion:
            rates = _compute_log_rates(inputs)[labels == 0]
            tensors["motion"] = np.array([rates.mean(), max(float(rates.std()), MIN_LOG_STD)])
        return tensors

    def list_shapes(self) -> dict[str, tuple[int | None, ...]]:
        dim = self.made_for[self.needs[0]].space.dim
        shapes: dict[str, tuple[int | None, ...]] = {"normal": (None, dim)}
        if self.method == "gaussian":
            shapes = {"mean": (dim,), "whitening": (dim, dim)}
        return {**shapes, "motion": (2,)} if self.motion else shapes

    def compute_scores(self, inputs: HeadInput, queries: Embeddings | None) -> np.ndarray:
        (modality,) = self.needs
        vectors = inputs.embeddings[modality].vectors
        compute = self._compute_mahalanobis if self.method == "gaussian" else self._compute_nearest
        blocks = [compute(vectors[first : first + BLOCK_ROWS]) for first in range(0, len(vectors), BLOCK_ROWS)]
        distances = inputs.max_by_sample(modality, np.concatenate(blocks) if blocks else np.empty(0))
        if not self.motion:
            return distances
        mean, std = self.tensors["motion"]
        return np.hypot(distances, np.maximum(_compute_log_rates(inputs) - mean, 0) / std)

    def _compute_nearest(self, vectors: np.ndarray) -> np.ndarray:
        normal = self.tensors["normal"]
        count = min(self.neighbours, len(normal))
        distances = np.clip(1 - (vectors @ normal.T).astype(np.float64), 0, 2)
        return np.partition(distances, count - 1, axis=1)[:, :count].mean(axis=1)

    def _compute_mahalanobis(self, vectors: np.ndarray) -> np.ndarray:
        whitened = (vectors - self.tensors["mean"]) @ self.tensors["whitening"]
        return np.linalg.norm(whitened, axis=1) / np.sqrt(vectors.shape[1])


def _compute_log_rates(inputs: HeadInput) -> np.ndarray:
    """Return the logarithm of each window's event rate."""
    return np.log(compute_event_rates(inputs) + RATE_OFFSET)


def _fit_gaussian(rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return the mean (d,) and the whitening matrix (d, d) of the Ledoit-Wolf covariance."""
    mean = rows.mean(axis=0)
    centred = rows - mean
    count, dim = rows.shape
    covariance = centred.T @ centred / count
    variance = np.trace(covariance) / dim
    if not variance > 0:
        raise BadInput("the head 'one-class': expected normal windows with different embeddings, got equal ones")
    # Ledoit and Wolf: the variance of the sample covariance over its squared distance from the target.
    distance = ((covariance - variance * np.eye(dim)) ** 2).sum()
    scatter = ((centred**2).sum(axis=1) ** 2).mean() - (covariance**2).sum()
    shrinkage = 1.0 if distance == 0 else float(np.clip(scatter / count / distance, 0, 1))
    shrunk = (1 - shrinkage) * covariance + shrinkage * variance * np.eye(dim)
    values, directions = np.linalg.eigh(shrunk)
    whitening = directions / np.sqrt(np.maximum(values, 1e-6 * variance))
    return {"mean": mean, "whitening": whitening}
