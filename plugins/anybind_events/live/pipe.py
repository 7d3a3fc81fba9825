"""The standard input as a source: what another program, such as a camera's driver, writes."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator, Mapping

from anybind.plugin import BadInput, BadOption
from anybind_events.event_columns import parse_size
from anybind_events.live.decoding import decode_bytes, prepare_decoding
from anybind_events.live_source import LiveSource
from anybind_events.stream import EventStream
from anybind_events.time_unit import check_time_unit

POLL_S = 0.1
"""Seconds after which a waiting source notices that it was closed."""


class StandardInput(LiveSource):
    """Bytes of EVT2, EVT2.1 or EVT3 with their header, or lines of text, on the standard input."""

    def __init__(
        self, descriptor: int = 0, *, size: str | None = None, columns: str | None = None, time_unit: str | None = None
    ) -> None:
        """Set what the data do not say.

        Args:
            descriptor: file descriptor to read. [default: 0, the standard input]
            size: `WIDTHxHEIGHT` of the sensor in pixels. [default: that of the header]
            columns: order of the columns of a text, such as `txyp`. [default: that of its header]
            time_unit: unit of the times of a text that names none: s, ms, us or ns. [default: us; fractions are an
                error]

        Raises:
            BadOption: an invalid descriptor, size, order or unit.
        """
        if type(descriptor) is not int or descriptor < 0:
            raise BadOption(f"descriptor: expected the number of a file descriptor, got {descriptor!r}")
        if not isinstance(columns, str | None):
            raise BadOption(f"columns: expected an order of columns, such as txyp, got {columns!r}")
        check_time_unit(time_unit)
        self._size = None if size is None else parse_size(size)
        self._columns, self._time_unit, self._descriptor = columns, time_unit, descriptor
        self._closed = False

    @property
    def settings(self) -> Mapping[str, object]:
        return {
            "size": self._size and "x".join(map(str, self._size)),
            "columns": self._columns,
            "time_unit": self._time_unit,
            "descriptor": self._descriptor,
        }

    def close(self) -> None:
        self._closed = True

    def prepare(self) -> tuple[int, int] | None:
        prepare_decoding()
        return self._size

    def chunks(self) -> Iterator[EventStream]:
        try:
            os.fstat(self._descriptor)
        except OSError as error:
            raise BadInput(f"stdin: cannot read the file descriptor {self._descriptor} ({error.strerror})") from error
        if os.isatty(self._descriptor):
            raise BadInput("stdin: expected a pipe, got a terminal; write `camera-program | anybind watch - ...`")
        yield from decode_bytes(self._read, "stdin", size=self._size, columns=self._columns, time_unit=self._time_unit)

    def _read(self, count: int) -> bytes:
        while sys.platform != "win32" and not select.select([self._descriptor], [], [], POLL_S)[0]:
            if self._closed:
                return b""
        return b"" if self._closed else os.read(self._descriptor, count)
