"""Calibration of cosine similarities by modality, and the test for weak matches.

Cosine similarities of a query with files of different modalities are not comparable: in a shared space each modality
lies in its own region (Liang et al., Mind the Gap, 2022), so that all files of one modality may rank before all files
of another. The *background* of a modality is the distribution of cosine similarities between its files and background
queries, which have no relation to the query:

* for a text query, the texts of `BACKGROUND_TEXTS`;
* for a query file, the files of its modality in the index, if there are at least `MIN_QUERIES`; for files of its own
  modality, whose similarities depend on the class, the query itself, as few of them are relevant.

The calibrated score is the cosine similarity minus the median of the background; it ranks files of several modalities
together. The z-score is the calibrated score over the standard deviation of the background, estimated by the median
absolute deviation (MAD). A match is *weak* if its z-score is not above the level that the best of all irrelevant files
of a modality stays below with a probability of 95 %, under a normal distribution (Sidak correction for their number).
It is not better than chance then.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

MIN_QUERIES = 10
"""Smallest number of background queries, and of files for a background of the query itself."""
MAX_QUERIES = 256
"""Largest number of background queries from an index."""
MAX_FILES = 4096
"""Largest number of files in a background; of more files, a sample."""
CONFIDENCE = 0.95
MAD_TO_STD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""
DIGITS = 4
"""Decimal places of scores: the order of files in an index changes their rounding."""
_NOUNS = (
    "time water year street way mountain group river problem kitchen hand forest part car place door case tree week"
    " flower system bread program table record chair work window government bottle number shoe night clock point"
    " train home boat lake airplane mother bridge area phone money computer story paper fact music month child book"
    " woman job food word sun business rain side sport friend shop"
)
BACKGROUND_TEXTS = tuple(
    noun if number % 4 < 2 else f"a photo of a {noun}" for number, noun in enumerate(_NOUNS.split())
)
"""Background queries for text queries: common English nouns, abstract and concrete, half of them in a prompt."""


@dataclass(frozen=True)
class Background:
    """The distribution of cosine similarities of background queries with files of a modality.

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
        """Estimate a background from the cosine similarities of `count` files, or of a sample of them."""
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


def estimate_background(
    files: np.ndarray, queries: np.ndarray, query: np.ndarray, count: int, *, same_modality: bool
) -> Background | None:
    """Estimate the background of a modality.

    Args:
        files: (n, d) embeddings of its files, or of a sample of them.
        queries: (k, d) background queries.
        query: (d,) the query.
        count: number of its files.
        same_modality: whether the query is a file of this modality.

    Returns:
        the background; None if there are fewer than `MIN_QUERIES` background queries, or files of the own modality.
    """
    if not same_modality and len(queries) >= MIN_QUERIES:
        return Background.from_cosines(files.astype(np.float64) @ queries.astype(np.float64).T, count)
    if len(files) >= MIN_QUERIES:
        return Background.from_cosines(files.astype(np.float64) @ query.astype(np.float64), count)
    return None
