"""EVT 2.0 recordings, compared with a reference decoder and other libraries."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind_events.readers.evt2 import Evt2Reader
from helpers.streams import list_events

HEADER = b"% evt 2.0\n% geometry 640x480\n% end\n"
TIME_HIGH, TRIGGER, OTHERS, CONTINUED = 8, 10, 14, 15
RANGE = 1 << 34


class Decoded(NamedTuple):
    events: list[tuple[int, int, int, bool]]
    notes: dict[str, int]


def decode(text: list[int], width: int, height: int) -> Decoded:
    """Decode the words of a file one by one, by the format's specification."""
    events, notes, rounds, high, latest = [], {}, 0, None, 0
    count = lambda name: notes.update({name: notes.get(name, 0) + 1})  # noqa: E731
    for word in text:
        kind = word >> 28
        if kind == TIME_HIGH:
            if high is not None and high - word % 2**28 > 2**27:
                rounds += 1
                count("clock_wraps")
            high = word % 2**28
        elif kind == TRIGGER:
            count("skipped_triggers")
        elif kind < 2 and high is None:
            count("skipped_untimed")
        elif kind < 2:
            x, y, t = word >> 11 & 2047, word & 2047, rounds * RANGE + high * 64 + (word >> 22 & 63)
            if x >= width or y >= height:
                count("outside")
                continue
            if t < latest:
                count("backwards")
            latest = max(latest, t)
            events.append((x, y, latest, bool(kind)))
    return Decoded(events, notes)


def event(x: int, y: int, low: int, on: bool) -> int:
    return on << 28 | low << 22 | x << 11 | y


def time_high(high: int) -> int:
    return TIME_HIGH << 28 | high


def write(path: Path, text: list[int], header: bytes = HEADER) -> Path:
    path.write_bytes(header + np.array(text, "<u4").tobytes())
    return path


EVENTS = st.builds(event, st.integers(0, 700), st.integers(0, 500), st.integers(0, 63), st.booleans())
HIGHS = st.one_of(st.integers(0, 5), st.integers(2**28 - 3, 2**28 - 1), st.integers(0, 2**28 - 1)).map(time_high)
ANY_WORD = st.integers(0, 2**32 - 1)
# Mostly events, so that the runs of them are sometimes longer than sixteen.
WORDS = st.lists(st.one_of(EVENTS, EVENTS, EVENTS, st.lists(EVENTS, max_size=20), HIGHS, ANY_WORD), max_size=40).map(
    lambda parts: [word for part in parts for word in (part if isinstance(part, list) else [part])]
)


@pytest.mark.filterwarnings("ignore:.*times decrease")
@settings(deadline=None)
@given(text=WORDS)
def test_random_words_are_decoded_as_by_the_reference_decoder(folder: Path, text: list[int]) -> None:
    stream = Evt2Reader().read(write(folder / "any.raw", text))
    assert (list_events(stream), stream.notes) == decode(text, 640, 480)


@settings(deadline=None)
@given(data=st.data())
def test_encoded_events_are_decoded(folder: Path, data: st.DataObject) -> None:
    times = np.cumsum(data.draw(st.lists(st.integers(0, 2**33 - 64), max_size=30))).tolist()
    pixel = st.tuples(st.integers(0, 639), st.integers(0, 479), st.booleans())
    events = [(*data.draw(pixel), t) for t in times]
    text, high = [time_high(0)], 0
    for x, y, p, t in events:
        # A camera writes the upper clock bits with or without events.
        while high != t // 64:
            high = min(t // 64, high + 2**27)
            text.append(time_high(high % 2**28))
        text.append(event(x, y, t % 64, p))
    assert list_events(Evt2Reader().read(write(folder / "encoded.raw", text))) == [
        (x, y, t, p) for x, y, p, t in events
    ]


def test_real_recordings_have_the_expected_events_on_640_by_480(test_data: Path) -> None:
    for name, count in (("evt2.raw", 521_252), ("evt2_small.raw", 539_481)):
        stream = Evt2Reader().read(test_data / "events" / name)
        assert (len(stream), stream.width, stream.height, stream.notes) == (count, 640, 480, {})


def test_clock_wraps_are_unwrapped_and_counted(tmp_path: Path) -> None:
    text = [time_high(2**28 - 1), event(1, 2, 63, True), time_high(0), event(3, 4, 0, False)]
    stream = Evt2Reader().read(write(tmp_path / "round.raw", text))
    assert list_events(stream) == [(1, 2, RANGE - 1, True), (3, 4, RANGE, False)]
    assert stream.notes == {"clock_wraps": 1}


@pytest.mark.parametrize("damaged", [0, 2**26, 2**27 - 1, 2**28 - 1])
def test_a_damaged_time_shifts_the_clock_by_at_most_its_range(tmp_path: Path, damaged: int) -> None:
    text = [time_high(1000), event(1, 1, 0, True), time_high(damaged), time_high(1001), event(2, 2, 0, True)]
    stream = Evt2Reader().read(write(tmp_path / "damaged.raw", text))
    assert stream.t[1] in (1001 * 64, 1001 * 64 + RANGE)


@pytest.mark.parametrize(
    ("header", "size"),
    [
        (b"% evt 2.0\n% geometry 1280x720\n", (1280, 720)),
        (b"% format EVT2;height=240;width=320\n", (320, 240)),
        (b"% Evt 2.0\n% Width 304\n% Height 240\n", (304, 240)),
        (b"% evt 2.0\n% plugin_name hal_plugin_gen41_evk3\n", (1280, 720)),
        (b"% evt 2.0\n% plugin_name hal_plugin_gen31_fx3\n", (640, 480)),
        (b"% evt 2.0\n% sensor_generation 4.2\n", (1280, 720)),
        (b"% evt 2.0\n% plugin_name hal_plugin_genx320_cx3\n", (320, 320)),
        (b"% evt 2.0\n", (304, 240)),
        (b"% evt 2.0\n% geometry 12345678901234567890x5\n", (304, 240)),
    ],
)
def test_the_sensor_size_is_that_of_the_header_or_the_smallest_that_fits(
    tmp_path: Path, header: bytes, size: tuple[int, int]
) -> None:
    path = write(tmp_path / "sensor.raw", [time_high(0), event(303, 239, 0, True)], header)
    stream = Evt2Reader().read(path)
    assert (stream.width, stream.height) == size
    assert list_events(stream) == [(303, 239, 0, True)]
    assert (next(Evt2Reader().chunks(path, count=1)).width) == size[0]


@pytest.mark.parametrize("side", ["0", "2049", "99999999"])
def test_an_impossible_header_size_needs_the_size_option(tmp_path: Path, side: str) -> None:
    path = write(tmp_path / "huge.raw", [time_high(0)], f"% evt 2.0\n% geometry {side}x100\n".encode())
    with pytest.raises(anybind.BadInput, match=rf"huge\.raw.*{side}x100.*size="):
        Evt2Reader().read(path)
    assert len(Evt2Reader().read(path, size=(640, 480))) == 0


@pytest.mark.parametrize(
    ("head", "ours"),
    [
        (HEADER, True),
        (b"% format EVT2;height=720;width=1280\n", True),
        (b"% evt 3.0\n% format EVT3;height=720;width=1280\n", False),
        (b"% evt 2.1\n", False),
        (b"% Version 2\n\x0c\x08", False),
        (b"\x89HDF\r\n", False),
    ],
)
def test_the_format_is_detected_by_the_header(head: bytes, ours: bool) -> None:
    assert Evt2Reader().sniff(head) is ours


def test_a_file_of_another_encoding_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "other.raw", [], b"% evt 3.0\n")
    with pytest.raises(anybind.BadInput, match=r"other\.raw: expected encoding EVT2"):
        Evt2Reader().read(path)
