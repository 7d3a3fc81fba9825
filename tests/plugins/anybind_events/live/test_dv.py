"""Events of dv-processing's network writer over TCP."""

from __future__ import annotations

import importlib
import importlib.util
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

import anybind
from anybind.errors import BadInput, BadOption
from anybind_events import EventStream
from anybind_events.live.dv import DvInput
from helpers.streams import list_events, move_bar

MAGIC = b"#!AER-DAT4.0\r\n"


@contextmanager
def serve(data: bytes, parts: int = 1) -> Iterator[int]:
    """Send data to the first client, in parts, and close the connection; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def send() -> None:
            connection, _ = server.accept()
            with connection:
                for number in range(parts):
                    connection.sendall(data[len(data) * number // parts : len(data) * (number + 1) // parts])

        thread = threading.Thread(target=send)
        thread.start()
        yield server.getsockname()[1]
        thread.join(20)


@pytest.fixture
def sent(tmp_path: Path) -> tuple[EventStream, bytes]:
    """Return a recording, and what a writer sends of it: an AEDAT4 file without its first line and its last table."""
    stream = move_bar(100_000, noise_hz=2)
    anybind.write(stream, tmp_path / "bar.aedat4")
    data = (tmp_path / "bar.aedat4").read_bytes().removeprefix(MAGIC)
    position = start = 4 + int.from_bytes(data[:4], "little")
    while position + 8 <= len(data):
        number, size = struct.unpack("<ii", data[position : position + 8])
        if number != 0 or position + 8 + size > len(data):
            break
        position += 8 + size
    assert position > start
    return stream, data[:position]


def receive(port: int) -> Sequence[EventStream]:
    return list(DvInput(port=port).chunks())


@pytest.mark.parametrize("parts", [1, 50])
def test_packets_arrive_complete_and_in_order(parts: int, sent: tuple[EventStream, bytes]) -> None:
    stream, data = sent
    with serve(data, parts) as port:
        chunks = receive(port)
    assert list_events(*chunks) == list_events(stream)
    assert (chunks[0].width, chunks[0].height) == (64, 64)


@pytest.mark.parametrize(("n_bytes", "message"), [(4, "ended before the header"), (20, "ended inside a packet")])
def test_a_connection_that_ends_before_its_packets_is_an_error(
    sent: tuple[EventStream, bytes], n_bytes: int, message: str
) -> None:
    with (
        serve(sent[1][:n_bytes]) as port,
        pytest.raises(BadInput, match=rf"127\.0\.0\.1:{port}: the connection {message}"),
    ):
        list(DvInput(port=port).chunks())


def test_a_connection_that_ends_inside_a_packet_is_an_error(sent: tuple[EventStream, bytes]) -> None:
    with serve(sent[1][:-5]) as port, pytest.raises(BadInput, match="ended inside a packet"):
        receive(port)


@pytest.mark.parametrize("data", [b"HTTP/1.1 200 OK\r\n" * 10, b"\x10\0\0\0" + bytes(16), b"\xff" * 100])
def test_other_data_are_one_error(data: bytes) -> None:
    with serve(data) as port, pytest.raises(BadInput, match=f"127.0.0.1:{port}: "):
        receive(port)


def test_a_damaged_packet_is_an_error_after_those_before(sent: tuple[EventStream, bytes]) -> None:
    stream, data = sent
    received = []
    with serve(data + struct.pack("<ii", 7, -1)) as port, pytest.raises(BadInput, match="invalid stream or length"):
        for chunk in DvInput(port=port).chunks():
            received.append(chunk)
    assert list_events(*received) == list_events(stream)


def test_a_writer_that_does_not_run_is_one_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(BadInput, match=f"cannot connect to 127.0.0.1:{port}"):
        next(DvInput(port=port).windows("10ms"))
    for port in (0, True):
        with pytest.raises(BadOption, match="1 to 65535"):
            DvInput(port=port)


def test_an_invalid_host_is_one_error() -> None:
    with pytest.raises(BadInput, match=r"cannot connect to a\.\.b:10000 .*; .* check --source-option host= and port="):
        next(DvInput(host="a..b").windows("10ms"))
    with pytest.raises(BadOption, match=r"host: expected a host such as 127\.0\.0\.1, got 5"):
        DvInput(host=5)  # pyright: ignore[reportArgumentType]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("dv_processing") is None, reason="needs dv-processing")
def test_events_of_a_network_writer_arrive_complete_and_in_order(test_data: Path) -> None:
    dv = importlib.import_module("dv_processing")
    stream = anybind.read(test_data / "events" / "davis240.aedat4")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    writer = dv.io.NetworkWriter("127.0.0.1", port, dv.io.Stream.EventStream(0, "events", "c", (320, 240)))
    received: list[EventStream] = []
    source = DvInput(port=port)

    def collect() -> None:
        for chunk in source.chunks():
            received.append(chunk)
            if sum(map(len, received)) >= len(stream):
                break

    thread = threading.Thread(target=collect)
    thread.start()
    while not writer.getClientCount():
        threading.Event().wait(0.05)
    for chunk in stream.chunks(count=2000):
        store = dv.EventStore()
        for x, y, t, p in list_events(chunk):
            store.push_back(t, x, y, p)
        writer.writeEvents(store)
        threading.Event().wait(0.01)
    thread.join(30)
    source.close()
    assert list_events(*received) == list_events(stream)
