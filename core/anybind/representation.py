"""`Representation`: a sample to an image-like array."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np


class Representation(ABC):
    """A sample (such as an event stream) to an image-like float32 array, (channels, height, width)."""

    @property
    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """Everything that shapes the output, JSON-like; part of the identity of an encoder that uses it."""

    @abstractmethod
    def __call__(self, sample: Any) -> np.ndarray:
        """The array, float32, (channels, height, width); each class says its value range."""
