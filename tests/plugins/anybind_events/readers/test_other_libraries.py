"""Binary recordings compared with other libraries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import anybind
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
