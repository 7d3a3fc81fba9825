"""Binary recordings compared with other libraries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import anybind
from anybind_events.stream import EventStream
from helpers.streams import list_events

RECORDINGS = {
    "evt2.raw": ("evt2", "xytp"),
    "evt2_small.raw": ("evt2", "xytp"),
    "evt3.raw": ("evt3", "xyp"),  # its times go on 4,096 us later where the lower part of the clock falls by a few us
    "evt3_small.raw": ("evt3", "xyp"),
    "ncars.dat": ("dat", "xytp"),
    "ncars_obj_004397_td.dat": ("dat", "xytp"),
}
"""Real recordings: their encoding by the name that expelliarmus has for it, and the columns that it reads rightly."""


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_real_recording_matches_expelliarmus(test_data: Path, name: str) -> None:
    expelliarmus = pytest.importorskip("expelliarmus")
    encoding, columns = RECORDINGS[name]
    path = test_data / "events" / name
    theirs, ours = expelliarmus.Wizard(encoding=encoding).read(path), anybind.read(path)
    for column in columns:
        assert np.array_equal(getattr(ours, column), theirs[column]), column


@pytest.mark.parametrize("name", ["evt2.raw", "evt2_small.raw", "evt3.raw", "evt3_small.raw"])
def test_a_real_recording_matches_faery(test_data: Path, name: str) -> None:
    faery = pytest.importorskip("faery")
    path = test_data / "events" / name
    ours = anybind.read(path)
    theirs = faery.events_stream_from_file(str(path), dimensions_fallback=(ours.width, ours.height)).to_array()
    for column in "xytp":
        assert np.array_equal(getattr(ours, column), theirs["on" if column == "p" else column]), column


@pytest.mark.parametrize("from_zero", [True, False])
@pytest.mark.parametrize(
    ("name", "version", "longest_us"), [("a.raw", "evt2", 2**28), ("a.raw", "evt3", 2**20), ("a.dat", "dat2", 2**30)]
)
def test_a_recording_written_by_faery_is_read_back(
    tmp_path: Path, name: str, version: str, longest_us: int, from_zero: bool
) -> None:
    faery = pytest.importorskip("faery")
    random = np.random.default_rng(0)
    events = np.zeros(2000, [("t", "<u8"), ("x", "<u2"), ("y", "<u2"), (("p", "on"), "?")])
    events["t"] = np.cumsum(random.integers(0, longest_us, 2000)) + 5_000_000
    events["x"], events["y"] = random.integers(0, 1280, 2000), random.integers(0, 720, 2000)
    events["on"] = random.integers(0, 2, 2000)
    stream = faery.events_stream_from_array(events, (1280, 720))
    stream.to_file(str(tmp_path / name), version=version, zero_t0=from_zero)
    ours = anybind.read(tmp_path / name)
    assert list_events(ours) == list(zip(*(events[name].tolist() for name in ("x", "y", "t", "on")), strict=True))
    assert (ours.width, ours.height) == (1280, 720)


WRITTEN = {
    "short": (1280, 720, 0, 1_000_000),
    "several clock wraps": (346, 260, 5_000, 100_000_000),
    "pauses of several clock wraps": (2048, 2048, 0, 1 << 36),
    "times since 1970": (640, 480, 1_700_000_000_000_000, 1_700_000_010_000_000),
}
"""Recordings that are written: sensor, and first and last possible time."""


@pytest.fixture(params=WRITTEN)
def written(request: pytest.FixtureRequest) -> EventStream:
    width, height, first_us, last_us = WRITTEN[request.param]
    random, n = np.random.default_rng(0), 20_000
    x, y, p = random.integers(0, width, n), random.integers(0, height, n), random.random(n) < 0.5
    return EventStream(x, y, np.sort(random.integers(first_us, last_us, n)), p, width, height)


@pytest.mark.parametrize(
    ("name", "format"), [("a.raw", "evt2"), ("a.raw", "evt3"), ("a.dat", "dat"), ("a.aedat4", "aedat4")]
)
def test_a_recording_written_by_us_is_read_by_faery(
    tmp_path: Path, written: EventStream, name: str, format: str
) -> None:
    faery = pytest.importorskip("faery")
    if format == "dat" and written.t[-1] >= 1 << 32:
        pytest.skip("DAT has times of 32 bits")
    anybind.write(written, tmp_path / name, format=format)
    size = (written.width, written.height)
    theirs = faery.events_stream_from_file(str(tmp_path / name), dimensions_fallback=size).to_array()
    for column in "xytp":
        assert np.array_equal(getattr(written, column), theirs["on" if column == "p" else column]), column


@pytest.mark.parametrize(("format", "columns"), [("evt2", "xytp"), ("evt3", "xyp")])
def test_a_recording_written_by_us_is_read_by_expelliarmus(
    tmp_path: Path, written: EventStream, format: str, columns: str
) -> None:
    expelliarmus = pytest.importorskip("expelliarmus")
    anybind.write(written, tmp_path / "a.raw", format=format)
    theirs = expelliarmus.Wizard(encoding=format).read(tmp_path / "a.raw")
    if written.t[-1] >= 1 << 34:  # it has no clock wraps, and ignores the start time in the header
        columns = "xyp"
    for column in columns:
        assert np.array_equal(getattr(written, column), theirs[column]), column


def test_a_recording_written_by_us_is_read_by_aedat(tmp_path: Path, written: EventStream) -> None:
    aedat = pytest.importorskip("aedat")
    anybind.write(written, tmp_path / "a.aedat4")
    decoder = aedat.Decoder(tmp_path / "a.aedat4")
    (stream,) = decoder.id_to_stream().values()
    assert (stream["type"], stream["width"], stream["height"]) == ("events", written.width, written.height)
    theirs = np.concatenate([packet["events"] for packet in decoder])
    for column in "xytp":
        assert np.array_equal(getattr(written, column), theirs["on" if column == "p" else column]), column


def test_a_recording_written_by_us_is_read_by_dv_processing(tmp_path: Path, written: EventStream) -> None:
    dv = pytest.importorskip("dv_processing")
    anybind.write(written, tmp_path / "a.aedat4")
    recording, batches = dv.io.MonoCameraRecording(str(tmp_path / "a.aedat4")), []
    while (batch := recording.getNextEventBatch()) is not None:
        batches.append(batch.numpy())
    theirs = np.concatenate(batches)
    assert recording.getEventResolution() == (written.width, written.height)
    assert recording.getTimeRange() == (written.t[0], written.t[-1])
    for ours, column in {"x": "x", "y": "y", "t": "timestamp", "p": "polarity"}.items():
        assert np.array_equal(getattr(written, ours), theirs[column]), column
