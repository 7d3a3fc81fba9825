"""The head `event-rate`: the motion baseline."""

from __future__ import annotations

import numpy as np

from anybind import Embeddings
from anybind.plugin import BadInput, Head, HeadInput


def compute_event_rates(inputs: HeadInput) -> np.ndarray:
    """Compute the event rate of each window, (n,) float64, in events per pixel and step in time.

    A step is a difference of a video's frames, and a frame of an event recording.

    Raises:
        BadInput: one of the measures `events`, `steps` and `pixels` is missing.
    """
    for name in ("events", "steps", "pixels"):
        if name not in inputs.measures:
            raise BadInput(f"event rates: expected the measure {name!r}, got {', '.join(inputs.measures) or 'none'}")
    events, steps, pixels = (np.asarray(inputs.measures[name], float) for name in ("events", "steps", "pixels"))
    return events / (steps * pixels)


class EventRateHead(Head):
    """The event rate of each window, in events per pixel and step in time; without embeddings or training."""

    name = "event-rate"
    predicts = "anomaly"

    def compute_scores(self, inputs: HeadInput, queries: Embeddings | None) -> np.ndarray:
        return compute_event_rates(inputs)
