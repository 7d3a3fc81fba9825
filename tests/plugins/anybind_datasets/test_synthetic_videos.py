"""Rendered videos of walking people."""

from __future__ import annotations

import numpy as np
import pytest

import anybind
from anybind.errors import BadOption
from anybind_datasets import synthetic_videos
from anybind_datasets.synthetic_videos import VIDEOS, SyntheticVideos, render_street


@pytest.fixture
def short(monkeypatch):
    """Shorten videos to twelve frames."""
    monkeypatch.setattr(synthetic_videos, "FRAMES", 12)


def test_video_pixels_match_rendered_frames(short, tmp_path):
    dataset = SyntheticVideos(tmp_path, split="test", limit=1)
    (item,) = dataset.items
    walkers, runner = VIDEOS[item.id]
    frames = [frame.gray for frame in anybind.read(item.source).frames()]
    rendered = render_street(12, runner, list(VIDEOS).index(item.id), walkers)
    gray = [(frame @ np.array([299, 587, 114]) // 1000).astype(np.uint8) for frame in rendered]
    np.testing.assert_array_equal(frames, gray)


def test_videos_are_deterministic(short, tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        SyntheticVideos(tmp_path / name)
    videos = sorted((tmp_path / "one").iterdir())
    assert len(videos) == 10
    assert all(video.read_bytes() == (tmp_path / "other" / video.name).read_bytes() for video in videos)


def test_videos_are_rendered_once(short, tmp_path):
    path = SyntheticVideos(tmp_path, limit=1).items[0].source
    path.write_bytes(b"unchanged")
    SyntheticVideos(tmp_path, limit=2)
    assert path.read_bytes() == b"unchanged"


def test_notes_hold_split_and_abnormal_frames(short, tmp_path):
    dataset = SyntheticVideos(tmp_path)
    parts = {part: [item for item in dataset.items if item.notes["split"] == part] for part in ("train", "test")}
    assert {part: len(items) for part, items in parts.items()} == dataset.splits
    assert {item.label for item in parts["train"]} == {"normal"}
    assert next(item.notes["abnormal"] for item in parts["test"] if item.label == "running") == [[48, 80]]
    assert all(bool(item.notes["abnormal"]) == (item.label == "running") for item in dataset.items)
    assert [item.id for item in dataset.with_split("train").items] == [item.id for item in parts["train"]]


def test_runner_moves_faster_than_walkers():
    walking, running = render_street(30, range(0), 5), render_street(30, range(30), 5)
    positions = []
    for number in range(10, 25):
        without_runner, with_runner = walking[number].astype(int), running[number].astype(int)
        positions.append(np.flatnonzero((without_runner != with_runner).any(axis=(0, 2))).mean())
    assert np.polyfit(range(15), positions, 1)[0] == pytest.approx(7, abs=1)


def test_unknown_split_is_rejected(tmp_path):
    with pytest.raises(BadOption, match="no split 'val'"):
        SyntheticVideos(tmp_path, split="val")
