"""Insertion of events into a stream."""

from __future__ import annotations

import numpy as np

from anybind_events.stream import EventStream


def insert_events(
    stream: EventStream, x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray
) -> tuple[EventStream, np.ndarray]:
    """Insert events, given in any order, by their times, after existing events of the same time.

    Args:
        stream: the existing events.
        x, y, t, p: columns of the new ones, inside the sensor; they need not have the columns' types.

    Returns:
        all events, and which of them are existing ones, (n,) bool.
    """
    order = np.argsort(t, kind="stable")
    positions = np.searchsorted(stream.t, t[order], side="right") + np.arange(len(t))
    is_existing = np.ones(len(stream) + len(t), np.bool_)
    is_existing[positions] = False
    columns: dict[str, np.ndarray] = {}
    for name, new in zip("xytp", (x, y, t, p), strict=True):
        old = getattr(stream, name)
        columns[name] = np.empty(len(is_existing), old.dtype)
        columns[name][is_existing] = old
        columns[name][positions] = new[order]
    x, y, t, p = (columns[name] for name in "xytp")
    return stream.from_valid(x, y, t, p, stream.width, stream.height), is_existing
