"""Events on the standard input, as another program writes them."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

import numpy as np
import pytest

import anybind
from anybind.errors import BadInput, BadOption
from anybind_events import EventStream
from anybind_events.examples import EVENTS, pack_evt2, pack_evt3
from anybind_events.live.pipe import StandardInput
from helpers.streams import list_events, move_bar


def receive(data: bytes, parts: int = 3, **options: str) -> list[EventStream]:
    """Write data into a pipe in parts, and return the chunks that the source makes of them."""
    reading, writing = os.pipe()

    def write() -> None:
        with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "wb", buffering=0) as file:
            for number in range(parts):
                file.write(data[len(data) * number // parts : len(data) * (number + 1) // parts])

    thread = threading.Thread(target=write)
    thread.start()
    try:
        return list(StandardInput(descriptor=reading, **options).chunks())
    finally:
        os.close(reading)
        thread.join()


@pytest.mark.parametrize("parts", [1, 2, 7, 300])
@pytest.mark.parametrize(("version", "pack"), [("2.0", pack_evt2), ("3.0", pack_evt3)])
def test_raw_words_arrive_as_they_are_in_a_file(version, pack, parts: int) -> None:
    data = f"% evt {version}\n% geometry 240x180\n".encode() + b"".join(pack(*event) for event in EVENTS)
    chunks = receive(data, parts)
    assert list_events(*chunks) == [(x, y, t, p) for x, y, t, p in EVENTS]
    assert (chunks[0].width, chunks[0].height) == (240, 180)


@pytest.mark.parametrize("name", ["evt2_small.raw", "evt3_small.raw"])
def test_real_recordings_arrive_whole(name: str, test_data: Path) -> None:
    path = test_data / "events" / name
    stream, chunks = anybind.read(path), receive(path.read_bytes())
    assert len(chunks) > 1
    for column in "xytp":
        assert np.array_equal(np.concatenate([getattr(each, column) for each in chunks]), getattr(stream, column))


def test_words_cut_off_at_the_end_are_counted() -> None:
    data = b"% evt 3.0\n% geometry 240x180\n" + b"".join(pack_evt3(*event) for event in EVENTS)
    chunks = receive(data[:-1])
    assert list_events(*chunks) == list(EVENTS[:-1])
    assert chunks[-1].notes == {"truncated_bytes": 1}


@pytest.mark.parametrize("parts", [1, 2, 50])
def test_lines_of_text_arrive_whole(parts: int) -> None:
    stream = move_bar(100_000)
    rows = "".join(f"{x},{y},{t},{int(p)}\n" for x, y, t, p in list_events(stream))
    chunks = receive(f"x,y,t,p\n{rows}".encode(), parts, size="64x64")
    assert list_events(*chunks) == list_events(stream)


def test_text_without_names_needs_the_order_of_its_columns() -> None:
    data = b"0.001 3 4 1\n0.002 3 5 0\n0.003 3 6 1\n"
    with pytest.raises(BadInput, match="give columns="):
        receive(data, size="64x64")
    chunks = receive(data, size="64x64", columns="txyp", time_unit="s")
    assert list_events(*chunks) == [(3, 4, 1000, True), (3, 5, 2000, False), (3, 6, 3000, True)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no data"),
        (bytes(range(256)) * 20, "neither EVT2, EVT2.1 or EVT3 with its header, nor text"),
        (b"% evt 3.0\n", "no sensor size"),
        (b"x,y,t,p\n1,2,3,1\n2,3,4,1\n", "size of the sensor is unknown"),
    ],
)
def test_other_data_are_one_clear_error(data: bytes, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        receive(data)


def test_a_damaged_line_is_an_error_after_the_lines_before() -> None:
    lines = b"x,y,t,p\n1,2,3,1\n2,3,4,1\n2,3,5,0\n2,3,oops,1\n"
    with pytest.raises(BadInput, match="line 5: expected a number, got 'oops'"):
        receive(lines, size="64x64")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", "64"),
        ("size", "0x5"),
        ("size", 5),
        ("time_unit", "h"),
        ("time_unit", [1]),
        ("columns", 5),
        ("descriptor", "x"),
        ("descriptor", -1),
        ("descriptor", True),
    ],
)
def test_invalid_options_are_refused(name: str, value: object) -> None:
    with pytest.raises(BadOption, match=f"^{name}: expected"):
        StandardInput(**{name: value})  # pyright: ignore[reportArgumentType]


def test_a_closed_descriptor_is_one_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    with pytest.raises(BadInput, match=f"stdin: cannot read the file descriptor {reading}"):
        list(StandardInput(reading).chunks())


@pytest.mark.parametrize("first", ["0", "0.25"])
def test_fractions_of_an_unknown_unit_are_an_error(first: str) -> None:
    """As microseconds, all events of a second would be at one time."""
    data = f"t,x,y,p\n{first},1,2,1\n1.5,3,3,1\n".encode()
    with pytest.raises(BadInput, match="stdin: times with fractions of an unknown unit; give time_unit="):
        receive(data, size="10x10")
    (*_, last) = receive(data, size="10x10", time_unit="s")
    assert last.t[-1] == 1_500_000
    (*_, last) = receive(data.replace(b"t,", b"t_ms,"), size="10x10")
    assert last.t[-1] == 1500


@pytest.mark.parametrize("ending", ["7,8", "7,8,9,", "7,8,9,Tr"])
def test_a_line_cut_off_at_the_end_is_counted(ending: str) -> None:
    chunks = receive(f"x,y,t,p\n1,2,3,True\n4,5,6,False\n{ending}".encode(), size="10x10")
    assert list_events(*chunks) == [(1, 2, 3, True), (4, 5, 6, False)]
    assert chunks[-1].notes == {"truncated_bytes": len(ending)}


def test_a_last_line_without_its_end_is_an_event() -> None:
    assert list_events(*receive(b"x,y,t,p\n1,2,3,1\n4,5,6,0", size="10x10")) == [(1, 2, 3, True), (4, 5, 6, False)]
