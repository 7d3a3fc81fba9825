"""`.bin` files of N-MNIST and N-Caltech101: events of 40 bits, with no header."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anybind import BadInput, Reader
from anybind_events.stream import EventStream

EVENT_BYTES = 5
OVERFLOW_ROW = 240
"""An event with this y is none: it says that the sensor's 13-bit clock went round. The ATIS ends at row 239."""
OVERFLOW_US = 1 << 13
LAST_TIME = (1 << 23) - 1
SENSORS = {"N-MNIST": (34, 34), "N-Caltech101": (240, 180), "ATIS": (304, 240)}
"""Sensor sizes that data sets in this format have; the smallest that holds all events is taken."""


class BinReader(Reader):
    """Five bytes an event: x, y, then polarity (1 bit) and time in microseconds (23 bits), big endian.

    Source of the format: the data sets' description by Orchard et al., 2015.
    """

    def sniff(self, head: bytes) -> None:
        """The format has no mark."""
        return

    def read(self, path: Path, *, size: tuple[int, int] | None = None) -> EventStream:
        """The recording.

        Args:
            path: the file.
            size: (width, height) of the sensor, which the format does not record; the smallest of
                34x34, 240x180 and 304x240 that holds all events by default.

        Raises:
            BadInput: the file does not end with a whole event, its time runs backwards, or a row is above 240.
        """
        raw = np.fromfile(path, dtype=np.uint8)
        if raw.size % EVENT_BYTES:
            whole = raw.size - raw.size % EVENT_BYTES
            raise BadInput(
                f"{path} is truncated or no .bin recording: its last event, at byte {whole}, is cut short"
                f" ({raw.size} bytes are no multiple of {EVENT_BYTES})"
            )
        x, y, high, middle, low = raw.reshape(-1, EVENT_BYTES).T
        rise = high >= 128
        time = ((high & 127).astype(np.int64) << 16) | (middle.astype(np.int64) << 8) | low
        wraps = y == OVERFLOW_ROW
        time += OVERFLOW_US * np.cumsum(wraps)
        events = ~wraps
        x, y, time, rise = x[events], y[events], time[events], rise[events]
        try:
            width, height = size or _smallest_sensor(x, y)
            return EventStream(x, y, time, rise, width, height)
        except BadInput as error:
            raise BadInput(f"{path} is no .bin recording: {error}") from error

    def write(self, sample: EventStream, path: Path) -> None:
        """Write a recording; raises `BadInput` where the format has no room for its sensor or its length."""
        if sample.width > 256 or sample.height > OVERFLOW_ROW:
            raise BadInput(
                f".bin has room for sensors up to 256x{OVERFLOW_ROW}, not {sample.width}x{sample.height}; write .npz"
            )
        if len(sample) and not 0 <= sample.t[0] <= sample.t[-1] <= LAST_TIME:
            raise BadInput(f".bin has room for times from 0 to {LAST_TIME} us; shift the recording or write .npz")
        packed = np.empty((len(sample), EVENT_BYTES), dtype=np.uint8)
        packed[:, 0], packed[:, 1] = sample.x, sample.y
        packed[:, 2] = (sample.p.astype(np.int64) << 7) | (sample.t >> 16)
        packed[:, 3], packed[:, 4] = (sample.t >> 8) & 255, sample.t & 255
        packed.tofile(path)


def _smallest_sensor(x: np.ndarray, y: np.ndarray) -> tuple[int, int]:
    right, bottom = (int(column.max(initial=0)) for column in (x, y))
    for width, height in SENSORS.values():
        if right < width and bottom < height:
            return width, height
    raise BadInput(f"an event at ({right}, {bottom}) lies outside every sensor of this format")
