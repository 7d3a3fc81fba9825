"""Calibration of cosine similarities by modality, and the test for weak matches.

Cosine similarities of a query with files of different modalities are not comparable: in a shared space each modality
lies in its own region (Liang et al., Mind the Gap, 2022), so that all files of one modality may rank before all files
of another. The *background* of a query in a modality is the distribution of its cosine similarities with all files of
that modality; few of them are relevant, and median and median absolute deviation (MAD) are robust against those.

* The calibrated score is the cosine similarity minus the median of the background. It ranks files of several
  modalities together.
* The z-score is the calibrated score divided by the standard deviation of the background, 1.4826 MAD.
* A match is *weak* if its z-score is within the level that the best of `count` irrelevant files stays below with a
  probability of 95 % under a normal distribution (Sidak correction). It is not better than chance then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

MIN_FILES = 10
"""Smallest background: the median of fewer cosine similarities says little."""
SAMPLE_FILES = 4096
"""Largest background; of more files, a sample. The standard error of the median is 2 % of the standard deviation."""
CONFIDENCE = 0.95
MAD_TO_STD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""
DIGITS = 4
"""Decimal places: medians of samples in another order differ in rounding alone."""


@dataclass(frozen=True)
class Background:
    """The distribution of a query's cosine similarities with files of a modality.

    Attributes:
        center: median.
        spread: robust standard deviation; 0 if all cosine similarities are equal.
        count: number of files that were searched.
    """

    center: float
    spread: float
    count: int

    @classmethod
    def from_cosines(cls, cosines: np.ndarray, count: int) -> Background:
        """Estimate a background from the cosine similarities (n,) of `count` files or a sample of them."""
        center = float(np.median(cosines))
        spread = MAD_TO_STD * float(np.median(np.abs(cosines - center)))
        return cls(center, spread or float(cosines.std()), count)

    def calibrate(self, cosine: float) -> float:
        """Return the calibrated score of a cosine similarity."""
        return round(cosine - self.center, DIGITS)

    def compute_z(self, cosine: float) -> float:
        """Return the z-score of a cosine similarity."""
        return round((cosine - self.center) / self.spread, DIGITS) if self.spread else 0.0

    def is_weak(self, cosine: float) -> bool:
        """Return whether a cosine similarity is not better than that of the best of `count` irrelevant files."""
        return self.compute_z(cosine) <= NormalDist().inv_cdf(CONFIDENCE ** (1 / self.count))


def estimate_backgrounds(cosines: Sequence[np.ndarray], counts: Sequence[int]) -> list[Background | None]:
    """Estimate the background of each modality.

    A modality of fewer than `MIN_FILES` files has the background of all modalities together.

    Args:
        cosines: cosine similarities (n,) of the query with files of each modality, or with a sample of them.
        counts: number of files of each modality.

    Returns:
        a background for each modality; None where there are fewer than `MIN_FILES` files in total.
    """
    total = sum(counts)
    pooled = Background.from_cosines(np.concatenate(cosines), total) if total >= MIN_FILES else None
    return [
        Background.from_cosines(sample, count) if count >= MIN_FILES else pooled
        for sample, count in zip(cosines, counts, strict=True)
    ]
