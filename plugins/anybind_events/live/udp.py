"""UDP packets of SpiNNaker's interface board (SPIF), as aestream sends them (`aestream ... output udp`).

A packet has words of 32 bits, little-endian: the column in bits 16 to 30, the polarity in bit 15, the row below. Where
bit 31 is clear, a word with the time in microseconds follows; otherwise events have the time of their arrival.
Source of the format: aestream 0.6.4, `dvs_to_udp.cpp`.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from anybind.plugin import BadInput, BadOption
from anybind_events.event_columns import parse_size
from anybind_events.live.pipe import POLL_S
from anybind_events.live_source import LiveSource
from anybind_events.stream import EventStream

CHUNK_S = 0.005
"""Seconds of packets that become a chunk."""
MAX_CHUNK_PACKETS = 4096
MAX_PACKET_BYTES = 65_535
BUFFER_BYTES = 1 << 24
"""Size of the socket's buffer; the system may grant less."""
SO_MEMINFO, MEMINFO = 55, struct.Struct("=9I")
"""Linux: numbers about a socket; the last one counts packets that were lost since the socket's buffer was full."""
UNTIMED = np.uint32(1 << 31)
CLOCK_BITS = 32


class UdpInput(LiveSource):
    """Packets of SPIF over UDP. `lost_packets` in the notes counts those that the system dropped on this machine."""

    def __init__(self, *, size: str, port: int = 3333, address: str = "127.0.0.1") -> None:
        """Set the port and the sensor.

        Args:
            size: `WIDTHxHEIGHT` of the sensor in pixels, which packets do not have; events outside are dropped.
            port: UDP port.
            address: address to listen on; 0.0.0.0 for packets of other machines, too.

        Raises:
            BadOption: an invalid size, port or address.
        """
        if type(port) is not int or not 0 <= port <= 65_535:
            raise BadOption(f"port: expected 0 to 65535, got {port!r}")
        if not isinstance(address, str) or "\0" in address:
            raise BadOption(f"address: expected an address such as 127.0.0.1, got {address!r}")
        self._size, self._port, self._address = parse_size(size), port, address
        self._closed = False
        self._last_us = self._wraps = self._lost = self._new_lost = 0

    @property
    def settings(self) -> Mapping[str, object]:
        return {"size": "x".join(map(str, self._size)), "port": self._port, "address": self._address}

    def close(self) -> None:
        self._closed = True

    def prepare(self) -> tuple[int, int] | None:
        return self._size

    def chunks(self) -> Iterator[EventStream]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            with contextlib.suppress(OSError):
                receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
            try:
                receiver.bind((self._address, self._port))
            except (OSError, ValueError) as error:  # a ValueError for text that cannot be a host name
                reason = getattr(error, "strerror", "") or str(error)
                is_foreign = not isinstance(error, OSError) or error.errno == errno.EADDRNOTAVAIL
                option = "address" if is_foreign or isinstance(error, socket.gaierror) else "port"
                raise BadInput(
                    f"cannot listen on UDP port {self._port} of {self._address} ({reason});"
                    f" choose another with --source-option {option}="
                ) from error
            receiver.settimeout(POLL_S)
            while not self._closed:
                packets = self._receive(receiver)
                self._count_lost(receiver)  # also of those after the last one that arrived
                if packets or self._new_lost:
                    yield self.decode(packets)

    def _receive(self, receiver: socket.socket) -> list[bytes]:
        """Return the packets of the next 5 ms; none if there was none for a while."""
        packets: list[bytes] = []
        end_s = 0.0
        while len(packets) < MAX_CHUNK_PACKETS and (not packets or time.monotonic() < end_s):
            try:
                data = receiver.recv(MAX_PACKET_BYTES)
            except TimeoutError:
                break
            end_s = end_s or time.monotonic() + CHUNK_S
            packets.append(data)
        return packets

    def _count_lost(self, receiver: socket.socket) -> None:
        with contextlib.suppress(OSError, struct.error):  # not on this system
            *_, total = MEMINFO.unpack(receiver.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, MEMINFO.size))
            self._new_lost, self._lost = self._new_lost + (total - self._lost) % (1 << 32), total

    def decode(self, packets: list[bytes]) -> EventStream:
        """Decode packets that arrived now, in order.

        Returns:
            a chunk, which may be empty; its notes count events outside the sensor, packets that are not whole words
            (`invalid_packets`), lost ones, and events whose time was raised.
        """
        notes: Counter[str] = Counter()
        now_us = time.monotonic_ns() // 1000
        parts = []
        for packet in packets:
            words = np.frombuffer(packet, "<u4") if len(packet) % 4 == 0 else np.empty(0, "<u4")
            is_timed = bool(len(words)) and not words[0] & UNTIMED
            if not len(words) or (is_timed and len(words) % 2):
                notes["invalid_packets"] += 1
                continue
            pixels = words[::2] if is_timed else words
            if is_timed and (other := np.flatnonzero(pixels & UNTIMED)).size:
                pixels = pixels[: other[0]]  # aestream 0.6.4 sends words without meaning after its last events
                notes["invalid_packets"] += 1
            times = self._unwrap(words[1 : 2 * len(pixels) : 2]) if is_timed else np.full(len(pixels), now_us, np.int64)
            parts.append((pixels, times))
        notes["lost_packets"], self._new_lost = self._new_lost, 0
        pixels = np.concatenate([each for each, _ in parts] or [np.empty(0, np.uint32)]).astype(np.uint32)
        times = np.concatenate([each for _, each in parts] or [np.empty(0, np.int64)])
        return self._build(pixels, times, notes)

    def _unwrap(self, clock: np.ndarray) -> np.ndarray:
        """Convert clock values of 32 bits to times that go on after each wrap."""
        values = np.concatenate([[self._last_us], clock.astype(np.int64)])
        wraps = self._wraps + np.cumsum(np.diff(values) < -(1 << (CLOCK_BITS - 1)))
        self._last_us, self._wraps = int(values[-1]), int(wraps[-1])
        return values[1:] + (wraps << CLOCK_BITS)

    def _build(self, pixels: np.ndarray, times: np.ndarray, notes: Counter[str]) -> EventStream:
        width, height = self._size
        x, y = (pixels >> np.uint32(16)) & np.uint32(0x7FFF), pixels & np.uint32(0x7FFF)
        inside = (x < width) & (y < height)
        notes["outside"] = int(len(x) - np.count_nonzero(inside))
        times = times[inside]
        ordered = np.maximum.accumulate(times) if len(times) else times
        notes["backwards"] = int(np.count_nonzero(ordered != times))
        columns = x[inside].astype(np.uint16), y[inside].astype(np.uint16)
        polarity = (pixels[inside] & np.uint32(0x8000)) != 0
        return EventStream.from_valid(*columns, ordered, polarity, width, height, {k: n for k, n in notes.items() if n})
