"""`Representation`: maps a sample to an image-like array."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from anybind.errors import BadInput, BadOption


class Representation(ABC):
    """A map from samples (such as event streams) to image-like float32 arrays, (channels, height, width).

    Attributes:
        views: number of stacked views, each with the same channels.
    """

    views: int = 1

    @property
    @abstractmethod
    def settings(self) -> Mapping[str, object]:
        """Everything that shapes the output, JSON-like; part of the identity of an encoder that uses it."""

    @classmethod
    def with_clamp(cls, options: Mapping[str, object], clamp: float) -> dict[str, object]:
        """Return options of the representation with per-pixel event counts clamped at `clamp`.

        Raises:
            BadOption: it does not count events, or has no clamp.
        """
        raise BadOption(f"the representation {cls.__name__} has no clamp")

    def find_region(self, sample: Any) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom of the part of a sample that its array shows, as fractions of the sample.

        Values beyond 0 and 1 are padding. The default is the whole sample.
        """
        return 0.0, 0.0, 1.0, 1.0

    def draw_windows(self, sample: Any, limit: int) -> list[np.ndarray]:
        """Compute the arrays, (channels, height, width) each, of at most `limit` windows of a sample, at least one.

        All show the region of `find_region`. The default is the array of the whole sample, for representations that
        choose no windows.
        """
        return [self(sample)]

    @abstractmethod
    def __call__(self, sample: Any) -> np.ndarray:
        """Compute the array, float32, (channels, height, width); each class documents its value range."""

    def batch(self, samples: Sequence[Any]) -> np.ndarray:
        """Compute the arrays of several samples of one size, float32, (n, channels, height, width).

        Raises:
            BadInput: there is no sample, or they are of different sizes.
        """
        arrays = [self(sample) for sample in samples]
        shapes = {array.shape for array in arrays}
        if len(shapes) != 1:
            raise BadInput(f"a batch needs samples of one size, got {sorted(shapes) or 'none'}")
        return np.stack(arrays)
