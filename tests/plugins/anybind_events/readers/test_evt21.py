"""EVT 2.1 recordings, compared with a reference decoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anybind.reader import find_reader
from anybind_events.readers.evt21 import Evt21Reader
from helpers.streams import list_events

LITTLE = b"% format EVT21;width=1280;height=720\n% end\n"
LEGACY = b"% format EVT21;width=1280;height=720;endianness=legacy\n% end\n"
TIME_HIGH, TRIGGER = 8, 10


def decode(text: list[int], width: int, height: int) -> tuple[list[tuple[int, int, int, bool]], dict[str, int]]:
    """Decode the words of a file one by one, by the format's specification."""
    events, notes, rounds, high, latest = [], {}, 0, None, 0
    count = lambda name: notes.update({name: notes.get(name, 0) + 1})  # noqa: E731
    for word in text:
        kind, value = word >> 60, word >> 32 & 0xFFFFFFF
        if kind == TIME_HIGH:
            if high is not None and high - value > 2**27:
                rounds += 1
                count("clock_wraps")
            high = value
        elif kind == TRIGGER:
            count("skipped_triggers")
        elif kind < 2:
            for bit in range(32):
                if not word >> bit & 1:
                    continue
                x, y = (word >> 43 & 2047) + bit, word >> 32 & 2047
                if high is None:
                    count("skipped_untimed")
                elif x >= width or y >= height:
                    count("outside")
                else:
                    t = rounds * 2**34 + high * 64 + (word >> 54 & 63)
                    if t < latest:
                        count("backwards")
                    latest = max(latest, t)
                    events.append((x, y, latest, bool(kind)))
    return events, notes


def vector(x: int, y: int, low: int, on: bool, flags: int) -> int:
    return on << 60 | low << 54 | x << 43 | y << 32 | flags


def time_high(high: int) -> int:
    return TIME_HIGH << 60 | high << 32


def write(path: Path, text: list[int], header: bytes) -> Path:
    raw = np.array(text, "<u8").view("<u4").reshape(-1, 2)
    path.write_bytes(header + (raw[:, ::-1] if b"legacy" in header else raw).tobytes())
    return path


VECTORS = st.builds(
    vector, st.integers(0, 1300), st.integers(0, 730), st.integers(0, 63), st.booleans(), st.integers(0, 2**32 - 1)
)
HIGHS = st.one_of(st.integers(0, 5), st.integers(2**28 - 3, 2**28 - 1), st.integers(0, 2**28 - 1)).map(time_high)
WORDS = st.lists(st.one_of(VECTORS, VECTORS, HIGHS, st.integers(0, 2**64 - 1)), max_size=30)


@pytest.mark.filterwarnings("ignore:.*times decrease")
@settings(deadline=None)
@given(text=WORDS, header=st.sampled_from([LITTLE, LEGACY]))
def test_random_words_are_decoded_as_by_the_reference_decoder(folder: Path, text: list[int], header: bytes) -> None:
    stream = Evt21Reader().read(write(folder / "any.raw", text, header))
    assert (list_events(stream), stream.notes) == decode(text, 1280, 720)


@settings(deadline=None)
@given(data=st.data(), header=st.sampled_from([LITTLE, LEGACY]))
def test_encoded_events_are_decoded(folder: Path, data: st.DataObject, header: bytes) -> None:
    times = np.cumsum(data.draw(st.lists(st.integers(0, 500), max_size=20))).tolist()
    text, events = [], []
    for t in times:
        x, y, p = data.draw(st.tuples(st.integers(0, 39), st.integers(0, 719), st.booleans()))
        columns = sorted(data.draw(st.sets(st.integers(0, 31))))
        text += [time_high(t // 64), vector(32 * x, y, t % 64, p, sum(1 << column for column in columns))]
        events += [(32 * x + column, y, t, p) for column in columns]
    assert list_events(Evt21Reader().read(write(folder / "encoded.raw", text, header))) == events


def test_the_byte_order_of_words_follows_the_specification(tmp_path: Path) -> None:
    # The word 0x0102030405060708 is written 08 07 .. 01 by the GenX320, and 04 03 02 01 08 07 06 05 by the IMX636.
    word, start = 0x0102030405060708, time_high(0)
    for header, written in ((LITTLE, "0807060504030201"), (LEGACY, "0403020108070605")):
        path = write(tmp_path / "order.raw", [start, word], header)
        assert path.read_bytes()[-8:].hex() == written
        assert list_events(Evt21Reader().read(path, size=(2048, 2048))) == decode([start, word], 2048, 2048)[0]


def test_a_vector_is_clipped_at_the_edge_of_the_sensor(tmp_path: Path) -> None:
    text = [time_high(0), vector(1279, 0, 0, True, 0b111), vector(2047, 0, 0, True, 0b11)]
    stream = Evt21Reader().read(write(tmp_path / "edge.raw", text, LITTLE))
    assert list_events(stream) == [(1279, 0, 0, True)]
    assert stream.notes == {"outside": 4}


def test_the_reader_is_found_by_content_and_gives_events(tmp_path: Path) -> None:
    for header in (LITTLE, LEGACY, b"% evt 2.1\n"):
        result = find_reader(write(tmp_path / "found.raw", [time_high(0)], header))
        assert (result.name, result.spec.modality) == ("evt21", "event")
