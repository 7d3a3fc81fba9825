"""The modality `event`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from anybind import BadInput, Modality
from anybind_events.representations.paper import count_events
from anybind_events.simulation.saccades import saccade_settings, simulate_saccades
from anybind_events.stream import EventStream


class Event(Modality):
    """A recording of an event camera: an `EventStream` with at least one event."""

    name = "event"

    def accepts(self, item: object) -> bool:
        return isinstance(item, EventStream)

    def check(self, sample: Any) -> None:
        if not len(sample):
            raise BadInput("the recording is empty: it holds no events")

    def show(self, sample: Any) -> np.ndarray:
        """The middle third of the recording: rises in red and falls in blue on white.

        Over the whole of it, a scene that moves to and fro would rise and fall everywhere alike.
        """
        start = int(sample.t[0]) + sample.duration_us // 3
        return red_blue_frame(sample.between(start, start + max(1, sample.duration_us // 3)))

    def derivation(self, source: str) -> Mapping[str, Any]:
        """The simulation's name and settings."""
        return {"simulation": "saccades", **saccade_settings()}

    def derive(self, sample: Any, source: str, *, seed: int) -> EventStream:
        """What an event camera would record of a picture that it scans by three saccades: of one even gray, nothing."""
        return simulate_saccades(sample, seed=seed)


def red_blue_frame(stream: EventStream) -> np.ndarray:
    """A picture of a recording for people: (height, width, 3) uint8, rises red, falls blue, on white.

    Colour is full at the 99th percentile of the counts of pixels that have any.
    """
    rises, falls = (count_events(stream, polarity=polarity) for polarity in (True, False))
    busy = np.concatenate([rises[rises > 0], falls[falls > 0]])
    full = np.percentile(busy, 99) if busy.size else 1.0
    red, blue = np.minimum(rises / full, 1.0), np.minimum(falls / full, 1.0)
    channels = np.stack([1 - blue, 1 - np.maximum(red, blue), 1 - red], axis=-1)
    return np.rint(255 * channels).astype(np.uint8)
