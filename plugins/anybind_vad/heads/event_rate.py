"""The head `event-rate`: how much moves, which every other head must be read against."""

from __future__ import annotations

import numpy as np

from anybind.plugin import BadInput, Head, HeadInput


def event_rates(windows: HeadInput) -> np.ndarray:
    """Events per pixel and frame of each window, (n,) float64; raises `BadInput` where they were not counted."""
    for name in ("events", "frames", "pixels"):
        if name not in windows.measures:
            raise BadInput(f"the measure {name!r} of the windows is needed to say how much moves")
    events, frames, pixels = (np.asarray(windows.measures[name], float) for name in ("events", "frames", "pixels"))
    return events / (frames * pixels)


class EventRateHead(Head):
    """Events per pixel and frame of each window; it looks at nothing else and learns nothing."""

    name = "event-rate"

    def rate(self, windows: HeadInput) -> np.ndarray:
        return event_rates(windows)
