"""The head `one-class`: distance to the embeddings of normal windows."""

from __future__ import annotations

import numpy as np

from anybind import Embeddings
from anybind.plugin import BadInput, BadOption, Head, HeadInput
from anybind_vad.heads.event_rate import compute_event_rates
from anybind_vad.presets import check_count

METHODS = ("nearest", "gaussian")
AT_ONCE = 1024
"""Rows compared with all kept ones at a time, which bounds the memory."""
STILL = 1e-6
"""Events per pixel and frame that are added to those there are: of none there is no logarithm."""
NARROWEST = 0.01
"""Least standard deviation of a logarithm of event rates, which tells apart what differs by a percent."""


class OneClassHead(Head):
    """Distance to the embeddings of normal windows; those labelled abnormal are never read.

    `nearest`: mean cosine distance (1 - similarity, 0 to 2) to the `neighbours` nearest of them.
    `gaussian`: Mahalanobis distance to their mean, the covariance shrunk towards a multiple of the identity by as
    much as Ledoit and Wolf find best (A well-conditioned estimator for large-dimensional covariance matrices, 2004),
    divided by the square root of the dimension, so that a normal window has about 1. With `motion`, it is joined by how
    much more moves than in normal windows: by how many of their standard deviations the logarithm of the event rate
    lies above their mean, 0 where it lies below. The score is the root of the sum of both squares.
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
        """Set the distance.

        Args:
            method: `nearest` or `gaussian`.
            neighbours: of `nearest`; all, where fewer are kept.
            rows: how many `nearest` keeps at most, evenly spaced over those given.
            motion: whether it counts how much moves; of `gaussian`, whose distances are in standard deviations too.
            modality: whose embeddings are compared.

        Raises:
            BadOption: no such method, numbers below 1, or motion where distances have another unit.
        """
        if method not in METHODS:
            raise BadOption(f"method must be one of {', '.join(METHODS)}, got {method!r}")
        check_count("neighbours", neighbours)
        check_count("rows", rows)
        if not isinstance(motion, bool) or (motion and method != "gaussian"):
            raise BadOption(f"motion is true or false, and goes with the method gaussian, got {motion!r} and {method}")
        self.method, self.neighbours, self.rows, self.motion = method, neighbours, rows, motion
        options = {"method": method, "neighbours": neighbours, "rows": rows, "motion": motion}
        super().__init__(needs=(modality,), settings={**options, "modality": modality})

    def fit_tensors(self, inputs: HeadInput, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Return what the method keeps of the windows labelled 0."""
        (modality,) = self.needs
        rows = inputs.embeddings[modality].vectors[labels[inputs.rows[modality]] == 0]
        if len(rows) < 2:
            raise BadInput(
                f"the head 'one-class' needs two normal windows or more to learn from, got {len(rows)}; windows without"
                f" {modality} embeddings do not count"
            )
        if self.method == "gaussian":
            tensors = _gaussian(rows.astype(np.float64))
        else:
            kept = np.unique(np.linspace(0, len(rows) - 1, min(self.rows, len(rows))).round().astype(int))
            tensors = {"normal": rows[kept]}
        if self.motion:
            logs = _motion(inputs)[labels == 0]
            tensors["motion"] = np.array([logs.mean(), max(float(logs.std()), NARROWEST)])
        return tensors

    def compute_scores(self, inputs: HeadInput, queries: Embeddings | None) -> np.ndarray:
        (modality,) = self.needs
        vectors = inputs.embeddings[modality].vectors
        distance = self._mahalanobis if self.method == "gaussian" else self._nearest
        parts = [distance(vectors[first : first + AT_ONCE]) for first in range(0, len(vectors), AT_ONCE)]
        far = inputs.max_by_sample(modality, np.concatenate(parts) if parts else np.empty(0))
        if not self.motion:
            return far
        mean, spread = self.tensors["motion"]
        return np.hypot(far, np.maximum(_motion(inputs) - mean, 0) / spread)

    def _nearest(self, vectors: np.ndarray) -> np.ndarray:
        normal = self.tensors["normal"]
        count = min(self.neighbours, len(normal))
        distances = np.clip(1 - (vectors @ normal.T).astype(np.float64), 0, 2)
        return np.partition(distances, count - 1, axis=1)[:, :count].mean(axis=1)

    def _mahalanobis(self, vectors: np.ndarray) -> np.ndarray:
        away = (vectors - self.tensors["mean"]) @ self.tensors["whitening"]
        return np.linalg.norm(away, axis=1) / np.sqrt(vectors.shape[1])


def _motion(inputs: HeadInput) -> np.ndarray:
    """The logarithm of each window's event rate."""
    return np.log(compute_event_rates(inputs) + STILL)


def _gaussian(rows: np.ndarray) -> dict[str, np.ndarray]:
    """The mean, and the matrix (d, d) by which differences from it are multiplied to be of unit variance."""
    mean = rows.mean(axis=0)
    centred = rows - mean
    count, dim = rows.shape
    covariance = centred.T @ centred / count
    spread = np.trace(covariance) / dim
    if not spread > 0:
        raise BadInput("the normal windows are all alike: a Gaussian has no width")
    # Ledoit and Wolf: how far the rows' own products scatter about their mean, over how far that lies from the target.
    far = ((covariance - spread * np.eye(dim)) ** 2).sum()
    scatter = ((centred**2).sum(axis=1) ** 2).mean() - (covariance**2).sum()
    share = 1.0 if far == 0 else float(np.clip(scatter / count / far, 0, 1))
    shrunk = (1 - share) * covariance + share * spread * np.eye(dim)
    values, directions = np.linalg.eigh(shrunk)
    whitening = directions / np.sqrt(np.maximum(values, 1e-6 * spread))
    return {"mean": mean, "whitening": whitening}
