"""Events of iniVation's dv-processing and DV over TCP, as `dv.io.NetworkWriter` sends them.

The connection begins with the header of an AEDAT4 file, without its first line, and goes on with the packets of such a
file. Source of the format: iniVation's AEDAT4 documentation; observed from dv-processing.
"""

from __future__ import annotations

import codecs
import contextlib
import socket
import struct
from collections.abc import Iterator, Mapping

import numpy as np

from anybind.plugin import BadInput, BadOption
from anybind_events.disorder import TimeOrder
from anybind_events.live.pipe import POLL_S
from anybind_events.live_source import LiveSource
from anybind_events.readers.aedat4 import EVENT, build_events, find_events
from anybind_events.readers.aedat4_packets import LZ4, MAX_PACKET_BYTES, ZSTD, create_unpacker, read_stream_header
from anybind_events.stream import EventStream

CONNECT_S = 5.0
MAX_HEADER_BYTES = 1 << 20


class DvInput(LiveSource):
    """The events of a network writer of dv-processing or DV; it must run before."""

    def __init__(self, *, port: int = 10_000, host: str = "127.0.0.1") -> None:
        """Set the address of the writer.

        Args:
            port: TCP port of the writer.
            host: host of the writer.

        Raises:
            BadOption: an invalid port or host.
        """
        if type(port) is not int or not 0 < port <= 65_535:
            raise BadOption(f"port: expected 1 to 65535, got {port!r}")
        if not isinstance(host, str) or "\0" in host:
            raise BadOption(f"host: expected a host such as 127.0.0.1, got {host!r}")
        self._host, self._port = host, port
        self._name = f"{self._host}:{self._port}"
        self._closed = False

    @property
    def settings(self) -> Mapping[str, object]:
        return {"port": self._port, "host": self._host}

    def close(self) -> None:
        self._closed = True

    def prepare(self) -> tuple[int, int] | None:
        codecs.lookup("idna")  # imported when a host is looked up
        for compression in (LZ4, ZSTD):
            create_unpacker(compression)
        for data in (bytes(EVENT.itemsize), bytearray(EVENT.itemsize)):
            build_events(np.frombuffer(data, EVENT), 1, 1, TimeOrder(), {})
        return None

    def chunks(self) -> Iterator[EventStream]:
        try:
            connection = socket.create_connection((self._host, self._port), CONNECT_S)
        except (OSError, ValueError) as error:  # a ValueError for text that cannot be a host name
            reason = getattr(error, "strerror", "") or error
            raise BadInput(
                f"cannot connect to {self._name} ({reason}); start the writer first, and check"
                " --source-option host= and port="
            ) from error
        with contextlib.closing(connection):
            connection.settimeout(POLL_S)
            yield from self._receive(connection)

    def _receive(self, connection: socket.socket) -> Iterator[EventStream]:
        if not (start := self._read(connection, 4)):
            return
        size = int.from_bytes(start, "little")
        if not 0 < size <= MAX_HEADER_BYTES:
            raise BadInput(f"{self._name}: expected the header of a network writer of dv-processing, got other data")
        if not (header := self._read(connection, size)):
            if self._closed:
                return
            raise BadInput(f"{self._name}: the connection ended before the header")
        try:
            compression, _, streams = read_stream_header(header)
        except BadInput as error:
            raise BadInput(f"{self._name}: {error}") from error
        infos = {number: each for number, each in streams.items() if each.kind == "EVTS" and each.width and each.height}
        if len(infos) != 1:
            raise BadInput(f"{self._name}: expected one stream of events with the size of its sensor, got {len(infos)}")
        ((number, info),) = infos.items()
        unpack = create_unpacker(compression)
        while head := self._read(connection, 8):
            stream, size = struct.unpack("<ii", head)
            if stream not in streams or not 0 <= size <= MAX_PACKET_BYTES:
                raise BadInput(f"{self._name}: damaged packet: invalid stream or length")
            packet = self._read(connection, size)
            if stream != number or len(packet) < size:
                continue
            try:
                events = np.frombuffer(find_events(unpack(memoryview(packet))), EVENT)
            except (RuntimeError, ValueError, struct.error) as error:  # lz4 raises the first
                raise BadInput(f"{self._name}: damaged packet: {error}") from error
            yield build_events(events, info.width, info.height, TimeOrder(), {})

    def _read(self, connection: socket.socket, count: int) -> bytes:
        """Return exactly so many bytes; none at the end of the connection, or once the source is closed.

        Raises:
            BadInput: the connection ends in between.
        """
        data = bytearray()
        while len(data) < count and not self._closed:
            try:
                part = connection.recv(min(count - len(data), 1 << 20))
            except TimeoutError:
                continue
            except OSError as error:
                raise BadInput(f"{self._name}: the connection was lost ({error.strerror or error})") from error
            if not part and data:
                raise BadInput(f"{self._name}: the connection ended inside a packet")
            if not part:
                return b""
            data += part
        return b"" if self._closed else bytes(data)
