"""Choice of the length of windows by content."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from anybind_events.kernels import count_active_pixels

if TYPE_CHECKING:
    from anybind_events.stream import EventStream

LENGTHS_US = (20_000, 30_000, 40_000, 60_000, 80_000, 100_000, 150_000, 200_000, 300_000, 400_000)
"""Lengths to choose from, microseconds."""
FILLED = 0.5
"""Fraction of the active pixels that have active neighbours on all four sides, from which on edges are complete.

Chosen by recognition of 240 simulated recordings of general motion: see docs/how-to/classify-over-time.md.
"""
MIN_PIXELS = 30
"""Active pixels that a window needs."""
PROBES = 8
"""Number of windows that are measured, spread evenly over the recording."""


def choose_window(stream: EventStream) -> int:
    """Choose a length of windows by content: the shortest in which the edges are complete, in microseconds.

    Edges are complete when half of the active pixels have active neighbours on all four sides, whatever the contrast
    and the speed: in a shorter window they have gaps, in a longer one they smear. Active are pixels with at least two
    events at their 8 neighbours, so that noise does not count. Windows at up to 8 places are measured together.

    Args:
        stream: the recording, of any duration.

    Returns:
        one of 20, 30, 40, 60, 80, 100, 150, 200, 300 and 400 ms; the longest if none has enough events.
    """
    if not len(stream):
        return LENGTHS_US[-1]
    lengths = np.array(LENGTHS_US)
    spare = max(0, stream.duration_us + 1 - LENGTHS_US[-1])
    starts = np.unique(np.linspace(0, spare, PROBES).astype(np.int64)) + int(stream.t[0])
    totals = np.zeros((len(lengths), 2))
    for start in starts:
        ends = np.searchsorted(stream.t, start + np.append(0, lengths)).tolist()
        x, y = (column[ends[0] : ends[-1]] for column in (stream.x, stream.y))
        counts = np.array(ends[1:]) - ends[0]
        totals += count_active_pixels(x, y, stream.width, stream.height, counts)
    active, filled = totals.T
    chosen = np.flatnonzero((filled >= FILLED * active) & (active >= MIN_PIXELS * len(starts)))
    return LENGTHS_US[int(chosen[0]) if chosen.size else -1]
