"""`WaitingEvents`: the events of a live source that the next windows need."""

from __future__ import annotations

import numpy as np

from anybind_events.event_columns import DTYPES
from anybind_events.pixel_counts import CountedStream, MovingCounts
from anybind_events.stream import EventStream

MIN_CAPACITY = 1 << 16


class WaitingEvents:
    """Events in an array: new ones are appended behind those that wait, old ones leave at the front.

    A full array is replaced, not overwritten: views stay valid. The events of the next window are counted as they
    arrive.
    """

    def __init__(self, width: int = 1, height: int = 1) -> None:
        self._size = width, height
        self._columns = [np.empty(0, dtype) for dtype in DTYPES.values()]
        self._first = self._end = 0
        self._counts = MovingCounts(width, height)  # of the first events

    def __len__(self) -> int:
        return self._end - self._first

    def append(self, part: EventStream, t: np.ndarray) -> None:
        """Append events, with other times."""
        end = self._end + len(part)
        if end > len(self._columns[0]):
            n_waiting = len(self)
            longer = [np.empty(max(MIN_CAPACITY, 2 * (n_waiting + len(part))), dtype) for dtype in DTYPES.values()]
            for new, old in zip(longer, self._columns, strict=True):
                new[:n_waiting] = old[self._first : self._end]
            self._columns, self._first, self._end = longer, 0, n_waiting
            end = n_waiting + len(part)
        for column, values in zip(self._columns, (part.x, part.y, t, part.p), strict=True):
            column[self._end : end] = values
        self._end = end

    def find(self, time_us: int) -> int:
        """Return the number of events before a time."""
        return int(np.searchsorted(self._columns[2][self._first : self._end], time_us))

    def count(self, count: int) -> None:
        """Count the pixels of the first events: of those that were not yet counted."""
        low, high = self._first + self._counts.n_events, self._first + count
        if low < high:
            self._counts.add(self._columns[0][low:high], self._columns[1][low:high])

    def drop(self, count: int) -> None:
        """Let the first events leave."""
        end = self._first + min(count, self._counts.n_events)
        self._counts.remove(self._columns[0][self._first : end], self._columns[1][self._first : end])
        self._first += count

    def view(self, count: int) -> CountedStream:
        """Return the first events, with their counts."""
        self.count(count)
        x, y, t, p = (column[self._first : self._first + count] for column in self._columns)
        return self._counts.attach(EventStream.from_valid(x, y, t, p, *self._size))
