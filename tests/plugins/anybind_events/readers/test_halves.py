"""Large files read by two threads: the same result as one pass, for any contents."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import anybind
from anybind import AnybindWarning, BadInput
from anybind_events.readers import binary, blocks
from anybind_events.readers.dat import DatReader
from anybind_events.readers.evt2 import Evt2Reader

FORMATS = {
    "dat": (DatReader, b"% Version 2\n% Width 640\n% Height 480\n\x0c\x08", np.dtype("<u8")),
    "evt2": (Evt2Reader, b"% evt 2.0\n% geometry 640x480\n", np.dtype("<u4")),
}


def read_both_ways(form, text, tail, folder, monkeypatch, strict=False):
    reader, header, dtype = FORMATS[form]
    path = folder / f"made.{form}"
    path.write_bytes(header + text.astype(dtype).tobytes() + tail)
    joined = []

    def halves(*args):
        joined.append(binary_halves(*args))
        return joined[-1]

    binary_halves = binary.read_halves
    monkeypatch.setattr(blocks, "SINGLE_THREAD_BYTES", 0)
    result = []
    for way in (halves, lambda *_: None):
        monkeypatch.setattr(binary, "read_halves", way)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AnybindWarning)
            try:
                result.append(reader().read(path, strict=strict))
            except BadInput as error:
                result.append(str(error))
    monkeypatch.setattr(binary, "read_halves", binary_halves)
    return result, joined[0] is not None


def are_equal(result):
    one, other = result
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    columns = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in "xytp")
    return columns and dict(one.notes) == dict(other.notes) and (one.width, one.height) == (other.width, other.height)


def make_camera_words(form, times, rng, width=640):
    """Return words of a camera for times that decrease only at clock wraps."""
    x, y, p = rng.integers(0, width, len(times)), rng.integers(0, 480, len(times)), rng.integers(0, 2, len(times))
    if form == "dat":
        return (times % 2**32).astype(np.uint64) | (x | y << 14 | p << 28).astype(np.uint64) << np.uint64(32)
    text, high = [], None
    for time, column, row, sign in zip(times.tolist(), x.tolist(), y.tolist(), p.tolist(), strict=True):
        if time >> 6 != high:
            high = time >> 6
            text.append(8 << 28 | high % 2**28)
        text.append(sign << 28 | (time & 63) << 22 | column << 11 | row)
    return np.array(text, np.uint64)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("wraps_after", [0.2, 0.5, 0.8, 2])
def test_a_recording_with_clock_wraps_is_the_same_in_halves_and_in_one_pass(form, wraps_after, tmp_path, monkeypatch):
    rng = np.random.default_rng(3)
    span = 100_000
    start = (2**32 if form == "dat" else 2**34) - int(wraps_after * span)
    times = start + np.sort(rng.integers(0, span, 4000))
    result, joined = read_both_ways(form, make_camera_words(form, times, rng), b"", tmp_path, monkeypatch)
    assert joined
    assert are_equal(result)
    assert np.array_equal(result[0].t, times)
    assert result[0].notes.get("clock_wraps", 0) == (wraps_after < 1)


@pytest.mark.parametrize("form", FORMATS)
def test_events_dropped_in_the_first_half_leave_no_gap(form, tmp_path, monkeypatch):
    rng = np.random.default_rng(4)
    times = np.sort(rng.integers(0, 100_000, 3000))
    result, joined = read_both_ways(form, make_camera_words(form, times, rng, width=900), b"", tmp_path, monkeypatch)
    assert joined
    assert are_equal(result)
    assert 0 < result[0].notes["outside"] == 3000 - len(result[0])


def test_time_decreasing_between_halves_is_repaired_as_in_one_pass(tmp_path, monkeypatch):
    rng = np.random.default_rng(5)
    times = np.concatenate([np.sort(rng.integers(1000, 2000, 500)), np.sort(rng.integers(0, 1500, 500))])
    result, joined = read_both_ways("dat", make_camera_words("dat", times, rng), b"", tmp_path, monkeypatch)
    assert not joined
    assert are_equal(result)
    assert result[0].notes["backwards"] > 0


@pytest.mark.parametrize("form", FORMATS)
def test_a_truncated_end_is_reported_as_in_one_pass(form, tmp_path, monkeypatch):
    rng = np.random.default_rng(6)
    text = make_camera_words(form, np.sort(rng.integers(0, 100_000, 2000)), rng)
    result, joined = read_both_ways(form, text, b"\x01\x02", tmp_path, monkeypatch)
    assert joined
    assert are_equal(result)
    assert result[0].notes["truncated_bytes"] == 2
    refused, _ = read_both_ways(form, text, b"\x01\x02", tmp_path, monkeypatch, strict=True)
    assert are_equal(refused)
    assert "truncated" in refused[0]


def test_a_recording_without_a_split_is_read_in_one_pass(tmp_path, monkeypatch):
    text = np.full(2000, 5 << 11 | 7)  # events without any clock word
    result, joined = read_both_ways("evt2", text, b"", tmp_path, monkeypatch)
    assert not joined
    assert are_equal(result)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), form=st.sampled_from(sorted(FORMATS)))
def test_random_words_are_the_same_in_halves_and_in_one_pass(data, form, tmp_path, monkeypatch):
    bits = FORMATS[form][2].itemsize * 8
    kinds = st.integers(0, 2**bits - 1)
    if form == "evt2":
        kinds |= st.integers(0, 2**29 - 1) | st.integers(0, 2**28 - 1).map(lambda time: 8 << 28 | time)
    text = np.array(data.draw(st.lists(kinds, min_size=1, max_size=40)), np.uint64)
    tail = data.draw(st.binary(max_size=3))
    result, _ = read_both_ways(form, text, tail, tmp_path, monkeypatch)
    assert are_equal(result)


def test_a_large_file_is_read_in_halves(tmp_path, monkeypatch):
    count = blocks.SINGLE_THREAD_BYTES // 8 + 10
    rng = np.random.default_rng(7)
    recording = anybind.read  # the public function
    path = tmp_path / "large.dat"
    text = make_camera_words("dat", np.arange(count), rng)
    path.write_bytes(FORMATS["dat"][1] + text.tobytes())
    calls = []
    true = binary.read_halves
    monkeypatch.setattr(binary, "read_halves", lambda *args: calls.append(1) or true(*args))
    result = recording(path)
    assert calls == [1]
    assert len(result) == count
    assert np.array_equal(result.t, np.arange(count))
