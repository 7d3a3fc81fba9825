"""`Reconstructor`: what turns consecutive windows of events into images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np

from anybind_events.stream import EventStream


class Reconstructor(ABC):
    """Reconstructs the images of one recording, window by window, in order."""

    @property
    @abstractmethod
    def settings(self) -> Mapping[str, object]:
        """What shapes the images, JSON-like."""

    @abstractmethod
    def reconstruct(self, window: EventStream, end_us: int) -> np.ndarray:
        """Return the image at the end of a window, (height, width) float32, 0 (dark) to 1.

        Args:
            window: the events since the image before; there may be none.
            end_us: time of the image, on the clock of the events.

        Raises:
            BadInput: the events do not fit a network.
        """
