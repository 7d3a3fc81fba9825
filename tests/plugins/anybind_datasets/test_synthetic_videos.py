"""Films that are made on the spot."""

from __future__ import annotations

import numpy as np
import pytest

import anybind
from anybind.errors import BadOption
from anybind_datasets import synthetic_videos
from anybind_datasets.synthetic_videos import FILMS, MadeFilms, street


@pytest.fixture
def short(monkeypatch):
    """Films of twelve frames: what is in them is of no interest."""
    monkeypatch.setattr(synthetic_videos, "FRAMES", 12)


def test_films_are_those_of_the_program_to_the_pixel(short, tmp_path):
    dataset = MadeFilms(tmp_path, split="test", limit=1)
    (item,) = dataset.items
    walkers, runner = FILMS[item.id]
    frames = [frame.gray for frame in anybind.read(item.source).frames()]
    made = street(12, runner, list(FILMS).index(item.id), walkers)
    gray = [(frame @ np.array([299, 587, 114]) // 1000).astype(np.uint8) for frame in made]
    np.testing.assert_array_equal(frames, gray)


def test_two_folders_hold_the_same_bytes(short, tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        MadeFilms(tmp_path / name)
    films = sorted((tmp_path / "one").iterdir())
    assert len(films) == 10
    assert all(film.read_bytes() == (tmp_path / "other" / film.name).read_bytes() for film in films)


def test_films_are_made_once(short, tmp_path):
    path = MadeFilms(tmp_path, limit=1).items[0].source
    path.write_bytes(b"kept")
    MadeFilms(tmp_path, limit=2)
    assert path.read_bytes() == b"kept"


def test_notes_say_part_and_frames_as_the_task_reads_them(short, tmp_path):
    dataset = MadeFilms(tmp_path)
    parts = {part: [item for item in dataset.items if item.notes["split"] == part] for part in ("train", "test")}
    assert {part: len(items) for part, items in parts.items()} == dataset.splits
    assert {item.label for item in parts["train"]} == {"normal"}
    assert next(item.notes["abnormal"] for item in parts["test"] if item.label == "running") == [[48, 80]]
    assert all(bool(item.notes["abnormal"]) == (item.label == "running") for item in dataset.items)
    assert [item.id for item in dataset.with_split("train").items] == [item.id for item in parts["train"]]


def test_someone_who_runs_moves_faster_than_those_who_walk():
    walking, running = street(30, range(0), 5), street(30, range(30), 5)
    places = []
    for number in range(10, 25):
        ours, theirs = walking[number].astype(int), running[number].astype(int)
        places.append(np.flatnonzero((ours != theirs).any(axis=(0, 2))).mean())
    assert np.polyfit(range(15), places, 1)[0] == pytest.approx(7, abs=1)


def test_a_part_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BadOption, match="no split 'val'"):
        MadeFilms(tmp_path, split="val")
