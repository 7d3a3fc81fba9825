"""EVT 3.0 recordings, compared with a reference decoder and other libraries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anybind.reader import find_reader
from anybind_events.readers.evt3 import Evt3Reader
from helpers.streams import list_events

HEADER = b"% evt 3.0\n% format EVT3;height=720;width=1280\n% geometry 1280x720\n% end\n"
ROW, COLUMN, BASE, VECTOR_12, VECTOR_8, LOW, CONTINUED_4, HIGH, TRIGGER, OTHERS, CONTINUED_12 = (
    0, 2, 3, 4, 5, 6, 7, 8, 10, 14, 15,
)  # fmt: skip
RANGE = 1 << 24


class Plain:
    """A reference decoder, word by word."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.events: list[tuple[int, int, int, bool]] = []
        self.notes: dict[str, int] = {}
        self.rounds, self.high, self.low, self.clock = 0, None, 0, 0
        self.row = self.base = 0
        self.rise = False

    def count(self, name: str) -> None:
        self.notes[name] = self.notes.get(name, 0) + 1

    def tick(self) -> int:
        time = self.rounds * RANGE + (self.high or 0) * 4096 + self.low
        self.clock = max(self.clock, time)
        return time

    def event(self, x: int, on: bool) -> None:
        if x > 2047:
            self.count("outside")
        elif self.high is None:
            self.count("skipped_untimed")
        else:
            if self.tick() < self.clock:
                self.count("backwards")
            if x >= self.width or self.row >= self.height:
                self.count("outside")
            else:
                self.events.append((x, self.row, self.clock, on))

    def word(self, kind: int, value: int) -> None:
        if kind == ROW:
            self.row = value % 2048
        elif kind == COLUMN:
            self.event(value % 2048, value >= 2048)
        elif kind == BASE:
            self.base, self.rise = value % 2048, value >= 2048
        elif kind in (VECTOR_12, VECTOR_8):
            for bit in range(12 if kind == VECTOR_12 else 8):
                if value >> bit & 1:
                    self.event(self.base + bit, self.rise)
            self.base += 12 if kind == VECTOR_12 else 8
        elif kind == LOW:
            self.low = value
            if self.high is not None:
                self.tick()
        elif kind == HIGH:
            if self.high is not None and self.high - value > 2048:
                self.rounds += 1
                self.count("clock_wraps")
            self.low = self.low if value == self.high else 0
            self.high = value
            self.tick()
        elif kind == TRIGGER:
            self.count("skipped_triggers")


def decode(text: list[int], width: int, height: int) -> tuple[list[tuple[int, int, int, bool]], dict[str, int]]:
    plain = Plain(width, height)
    for word in text:
        plain.word(word >> 12, word & 4095)
    return plain.events, plain.notes


def word(kind: int, value: int) -> int:
    return kind << 12 | value


def write(path: Path, text: list[int], header: bytes = HEADER) -> Path:
    path.write_bytes(header + np.array(text, "<u2").tobytes())
    return path


USUAL = st.sampled_from([ROW, COLUMN, COLUMN, BASE, VECTOR_12, VECTOR_8, LOW, HIGH])
VALUES = st.one_of(st.integers(0, 4095), st.integers(0, 720), st.sampled_from([0, 1, 2047, 2048, 4094, 4095]))
WORDS = st.lists(st.one_of(st.builds(word, USUAL, VALUES), st.integers(0, 2**16 - 1)), max_size=80)


@pytest.mark.filterwarnings("ignore:.*times decrease")
@settings(deadline=None, max_examples=300)
@given(text=WORDS, message=st.booleans())
def test_random_words_are_decoded_as_by_the_reference_decoder(folder: Path, text: list[int], message: bool) -> None:
    text = [word(HIGH, 0)] * message + text
    stream = Evt3Reader().read(write(folder / "any.raw", text))
    assert (list_events(stream), stream.notes) == decode(text, 1280, 720)


def test_more_clock_wraps_than_a_block_can_count_are_unwrapped(tmp_path: Path) -> None:
    text = np.tile(np.array([word(HIGH, 0), word(HIGH, 4095)], np.uint16), 70_000)
    path = write(tmp_path / "rounds.raw", [*text.tolist(), word(COLUMN, 1)])
    stream = Evt3Reader().read(path)
    assert stream.t.tolist() == [69_999 * RANGE + 4095 * 4096]
    assert stream.notes == {"clock_wraps": 69_999}


@settings(deadline=None)
@given(data=st.data())
def test_encoded_events_are_decoded(folder: Path, data: st.DataObject) -> None:
    times = np.cumsum(data.draw(st.lists(st.integers(0, 40_000_000), max_size=20))).tolist()
    text, events, high = [word(HIGH, 0)], [], 0
    for t in times:
        x, y, p = data.draw(st.tuples(st.integers(0, 1279), st.integers(0, 719), st.booleans()))
        # A camera writes the upper clock bits with or without events.
        while high != t // 4096:
            high = min(t // 4096, high + 2000)
            text.append(word(HIGH, high % 4096))
        text += [word(LOW, t % 4096), word(ROW, y)]
        kind = data.draw(st.sampled_from([COLUMN, VECTOR_12, VECTOR_8]))
        if kind == COLUMN:
            text.append(word(COLUMN, p << 11 | x))
            events.append((x, y, t, p))
            continue
        length = 12 if kind == VECTOR_12 else 8
        columns = sorted(data.draw(st.sets(st.integers(0, min(2 * length, 1280 - x) - 1))))
        flags = sum(1 << column for column in columns)
        text += [word(BASE, p << 11 | x), word(kind, flags % 2**length), word(kind, flags >> length)]
        events += [(x + column, y, t, p) for column in columns]
    assert list_events(Evt3Reader().read(write(folder / "encoded.raw", text))) == events


def test_real_recordings_have_the_expected_events_on_1280_by_720(test_data: Path) -> None:
    for name, count in (("evt3.raw", 1_218_618), ("evt3_small.raw", 219_596)):
        stream = Evt3Reader().read(test_data / "events" / name)
        assert (len(stream), stream.width, stream.height) == (count, 1280, 720)


def test_a_real_recording_matches_its_reference_up_to_the_first_decreasing_time(
    test_data: Path,
) -> None:
    theirs = np.load(test_data / "events" / "evt3_small.reference.npy", allow_pickle=False)
    ours = Evt3Reader().read(test_data / "events" / "evt3_small.raw")
    for name in "xyp":
        assert np.array_equal(getattr(ours, name), theirs[name]), name
    # Where the lower clock bits decrease by a few us, the reference adds 4,096 us, and our reader holds the time.
    differ = np.flatnonzero(ours.t != theirs["t"])
    assert differ[0] == 20_121
    assert np.array_equal(ours.t[: differ[0]], theirs["t"][: differ[0]])
    late = theirs["t"] - ours.t
    assert ((late + 11) // 4096 * 4096 - late <= 11).all()
    assert (late >= 0).all()


def test_the_event_rate_of_a_real_recording_follows_its_times(test_data: Path) -> None:
    # Its clock wrapped once; without unwrapping, its end would precede its start.
    stream = Evt3Reader().read(test_data / "events" / "evt3.raw")
    assert stream.duration_us == 10_767_997
    assert stream.notes == {"clock_wraps": 1}


def test_times_are_held_while_only_the_lower_clock_bits_have_wrapped(tmp_path: Path) -> None:
    text = [word(HIGH, 1), word(LOW, 4095), word(ROW, 7), word(COLUMN, 5), word(LOW, 0), word(COLUMN, 6)]
    stream = Evt3Reader().read(write(tmp_path / "wait.raw", [*text, word(HIGH, 2), word(COLUMN, 8)]))
    assert list_events(stream) == [(5, 7, 8191, False), (6, 7, 8191, False), (8, 7, 8192, False)]
    assert stream.notes == {"backwards": 1}


def test_clock_wraps_are_unwrapped_and_counted(tmp_path: Path) -> None:
    text = []
    for high in (4095, 0, 4095, 0):
        text += [word(HIGH, high), word(LOW, 9), word(COLUMN, 5)]
    stream = Evt3Reader().read(write(tmp_path / "round.raw", text))
    assert stream.t.tolist() == [RANGE - 4087, RANGE + 9, 2 * RANGE - 4087, 2 * RANGE + 9]
    assert stream.notes == {"clock_wraps": 2}


@pytest.mark.parametrize("damaged", [0, 1, 2000, 3000, 4095])
def test_a_damaged_time_shifts_the_clock_by_at_most_its_range(tmp_path: Path, damaged: int) -> None:
    text = [word(HIGH, 1000), word(COLUMN, 1), word(HIGH, damaged), word(HIGH, 1001), word(COLUMN, 2)]
    stream = Evt3Reader().read(write(tmp_path / "damaged.raw", text))
    assert stream.t[1] - 1001 * 4096 in (0, max(0, damaged - 1001) * 4096, RANGE)


def test_events_before_the_first_time_are_skipped_and_counted(tmp_path: Path) -> None:
    text = [word(ROW, 9), word(BASE, 100), word(LOW, 5), word(COLUMN, 1), word(VECTOR_8, 0b101), word(LOW, 3)]
    path = write(tmp_path / "before.raw", [*text, word(HIGH, 2), word(VECTOR_8, 1), word(COLUMN, 4)])
    stream = Evt3Reader().read(path)
    assert list_events(stream) == [(108, 9, 8192, False), (4, 9, 8192, False)]
    assert stream.notes == {"skipped_untimed": 3}


def test_a_recording_without_clock_words_has_no_events(tmp_path: Path) -> None:
    text = [word(COLUMN, 1), word(LOW, 3), word(LOW, 1), word(COLUMN, 2)]
    stream = Evt3Reader().read(write(tmp_path / "never.raw", text))
    assert len(stream) == 0
    assert stream.notes == {"skipped_untimed": 2}


def test_triggers_and_vendor_words_are_not_events(tmp_path: Path) -> None:
    rest = [word(kind, 77) for kind in (TRIGGER, OTHERS, CONTINUED_4, CONTINUED_12, 1, 9, 11, 12, 13)]
    stream = Evt3Reader().read(write(tmp_path / "rest.raw", [word(HIGH, 0), *rest, word(COLUMN, 3)]))
    assert list_events(stream) == [(3, 0, 0, False)]
    assert stream.notes == {"skipped_triggers": 1}


def test_vectors_beyond_the_last_column_are_dropped_and_do_not_wrap(tmp_path: Path) -> None:
    text = [word(HIGH, 0), word(BASE, 2048 | 2040), *[word(VECTOR_12, 4095)] * 400]
    stream = Evt3Reader().read(write(tmp_path / "off.raw", text), size=(2048, 2048))
    assert list_events(stream) == [(column, 0, 0, True) for column in range(2040, 2048)]
    assert stream.notes == {"outside": 400 * 12 - 8}


def test_the_reader_is_found_by_content_and_gives_events(tmp_path: Path) -> None:
    for header in (HEADER, b"% evt 3.0\n", b"% format EVT3\n"):
        result = find_reader(write(tmp_path / "found.raw", [word(HIGH, 0)], header))
        assert (result.name, result.spec.modality) == ("evt3", "event")
