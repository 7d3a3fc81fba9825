"""Packets of SPIF over UDP."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import anybind
from anybind.errors import BadInput, BadOption
from anybind_events import EventStream, LiveWindow
from anybind_events.live import udp
from anybind_events.live.udp import UdpInput
from anybind_events.live_source import SourceStalled
from helpers.streams import list_events, move_bar

AESTREAM = shutil.which("aestream")


def find_free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pack(stream, timed: bool, per_packet: int = 32) -> list[bytes]:
    """Pack events as aestream does."""
    pixels = stream.x.astype(np.uint32) << 16 | stream.y | stream.p.astype(np.uint32) << 15
    words = np.stack([pixels, stream.t.astype(np.uint32)], axis=1) if timed else pixels[:, None] | np.uint32(1 << 31)
    return [words[first : first + per_packet].astype("<u4").tobytes() for first in range(0, len(words), per_packet)]


def collect(windows: Iterator[LiveWindow]) -> list[LiveWindow]:
    """Collect windows until the source stalls."""
    collected = []
    with pytest.raises(SourceStalled):
        for window in windows:
            collected.append(window)
    return collected


@contextmanager
def listen(**options: object) -> Iterator[tuple[int, Iterator[LiveWindow]]]:
    """Yield a port and the windows of 10 ms of what is sent to it."""
    port = find_free_port()
    yield port, UdpInput(size="64x64", port=port, **options).windows("10ms", drop="block", timeout=0.5)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_timed_events_are_decoded_as_they_were_packed(chunk: int) -> None:
    stream = move_bar(100_000, noise_hz=2)
    source, packets = UdpInput(size="64x64"), pack(stream, True)
    chunks = [source.decode(packets[first : first + chunk]) for first in range(0, len(packets), chunk)]
    assert list_events(*chunks) == list_events(stream)


def test_events_without_times_have_that_of_their_arrival() -> None:
    stream = move_bar(100_000)
    chunk = UdpInput(size="64x64").decode(pack(stream, False, 128))
    assert [row[:2] + row[3:] for row in list_events(chunk)] == [row[:2] + row[3:] for row in list_events(stream)]
    assert chunk.duration_us == 0


def test_times_go_on_after_the_clock_of_32_bits_wraps() -> None:
    stream = move_bar(100_000)
    shifted = type(stream)(stream.x, stream.y, stream.t + 2**32 - 50_000, stream.p, 64, 64)
    source = UdpInput(size="64x64")
    chunks = [source.decode([packet]) for packet in pack(shifted, True)]
    assert list_events(*chunks) == list_events(shifted)


def test_garbage_is_dropped_and_counted() -> None:
    stream = move_bar(100_000)
    outside = np.array([3000 << 16 | 5, 7], "<u4").tobytes()
    good = pack(stream, True)
    ending = good[0] + np.array([0x82F98800, 0x7FFF, 0x40D68E, 0], "<u4").tobytes()
    source = UdpInput(size="64x64")
    chunk = source.decode([b"", b"abc", good[0][:-4], outside, ending, *good[1:]])
    assert list_events(chunk) == list_events(stream)
    assert chunk.notes == {"invalid_packets": 4, "outside": 1}


def test_two_sources_on_one_port_are_one_error() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        with pytest.raises(BadInput, match=f"UDP port {port} .*--source-option port="):
            next(UdpInput(size="64x64", port=port).windows("10ms"))


@pytest.mark.parametrize("address", ["foo.invalid", "a" * 80, "192.0.2.1"])
def test_an_address_that_is_not_of_this_machine_is_one_error(address: str) -> None:
    with pytest.raises(BadInput, match=r"cannot listen on UDP port .* choose another with --source-option address=$"):
        next(UdpInput(size="64x64", address=address).windows("10ms"))


def test_a_silent_port_stalls() -> None:
    with listen() as (_, windows), pytest.raises(SourceStalled):
        next(windows)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts lost packets")
def test_packets_that_do_not_fit_the_buffer_are_counted_also_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp, "BUFFER_BYTES", 4096)
    stream, port = move_bar(100_000), find_free_port()
    packets = 100 * pack(stream.head(len(stream) // 32 * 32), True)
    source = UdpInput(size="64x64", port=port)
    chunks = source.chunks()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        threading.Timer(0.5, sender.sendto, (packets[0], ("127.0.0.1", port))).start()
        next(chunks)  # listens; nothing is read until the next call
        for packet in packets[1:]:
            sender.sendto(packet, ("127.0.0.1", port))
    threading.Timer(0.5, source.close).start()
    later = list(chunks)
    lost = sum(each.notes.get("lost_packets", 0) for each in later)
    assert lost > 0
    assert sum(map(len, later)) + 32 * lost == 32 * (len(packets) - 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("size", "64"), ("size", None), ("port", -1), ("port", "a"), ("port", True), ("address", 5), ("address", "a\0b")],
)
def test_invalid_options_are_refused(name: str, value: object) -> None:
    with pytest.raises(BadOption, match=f"^{name}: expected"):
        UdpInput(**{"size": "64x64", name: value})  # pyright: ignore[reportArgumentType]


@pytest.mark.slow
@pytest.mark.skipif(AESTREAM is None, reason="needs aestream")
def test_packets_of_aestream_arrive(test_data: Path) -> None:
    assert AESTREAM is not None
    path, port = test_data / "events" / "ncars.dat", find_free_port()
    command = [AESTREAM, "input", "file", str(path), "output", "udp", "127.0.0.1", str(port)]
    senders = []

    class Sent(UdpInput):
        def chunks(self) -> Iterator[EventStream]:
            shell = ["sh", "-c", 'sleep 1; exec "$@"', "sh"]
            senders.append(subprocess.Popen([*shell, *command, "--include-timestamp", "true"]))
            yield from super().chunks()

    windows = Sent(size="120x100", port=port).windows("10ms", drop="block", timeout=3)
    received = [row for window in collect(windows) for row in list_events(window.events)]
    assert senders[0].wait(10) == 0
    sent = list_events(anybind.read(path))
    assert received[: len(sent)] == sent
    assert len(received) < len(sent) + 30  # words without meaning in the last packet
