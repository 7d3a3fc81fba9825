"""A film in one pass: windows of events, their frames in colour, the times of all frames."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from anybind import BadInput
from anybind.modality import derive_windows
from anybind_vad.windows import FilmPass, open_film


class Film:
    """A film in memory whose frames in colour are told apart by their first pixel; it breaks where it is told to."""

    def __init__(self, count, step_us=40_000, broken=False):
        self.count, self.step_us, self.broken = count, step_us, broken
        self.coloured = []

    def frames(self, *, gray, look=None):
        random = np.random.default_rng(0)
        for number in range(self.count):
            if look is not None:
                look(number, lambda number=number: self.colour(number))
            yield number * self.step_us, random.integers(0, 256, (6, 8), dtype=np.uint8)
        if self.broken:
            raise BadInput("film.mp4 is damaged")

    def colour(self, number):
        self.coloured.append(number)
        return np.full((6, 8, 3), number % 256, np.uint8)


@pytest.mark.parametrize(("frames", "stride"), [(16, None), (16, 4), (5, 5), (5, 3), (4, 1), (1, 1)])
@pytest.mark.parametrize("count", [1, 3, 16, 50])
def test_each_window_has_the_frame_in_its_middle(frames, stride, count):
    film = Film(count)
    passed = FilmPass(film, frames=frames, stride=stride)
    windows = list(passed)
    plain = list(derive_windows("event", Film(count), source="video", frames=frames, stride=stride))
    assert [(each.first, each.frames, each.end_us) for each in windows] == [
        (each.first, each.frames, each.end_us) for each in plain
    ]
    for window in windows:
        middle = window.first + frames // 2
        shown = middle if middle < window.first + window.frames else window.first
        assert window.picture[0, 0, 0] == shown
    assert list(passed.times) == [40_000 * number for number in range(count)]


def test_few_frames_are_made_in_colour_and_fewer_are_kept():
    film = Film(400)
    passed = FilmPass(film)
    for _ in passed:
        assert len(passed._kept) <= 8
    assert len(film.coloured) <= 2 * 400 / 16


def test_a_film_played_without_pictures_makes_none():
    film = Film(40)
    assert [window.picture for window in FilmPass(film, pictures=False)] == [None] * 3
    assert film.coloured == []


def test_pictures_are_made_small_on_request():
    window = next(iter(FilmPass(Film(20), side=4)))
    assert window.picture.shape == (3, 4, 3)


def test_measures_are_events_frames_and_pixels():
    first, *_, last = FilmPass(Film(20))
    assert first.measures == {"events": float(len(first.sample)), "frames": 16.0, "pixels": 48.0}
    assert last.measures["frames"] == 4


def test_a_film_that_breaks_gives_the_windows_before_that():
    windows, passed = [], FilmPass(Film(40, broken=True))
    with pytest.raises(BadInput, match="damaged"):
        for window in passed:
            windows.append(window)
    assert [(each.first, each.frames) for each in windows] == [(0, 16), (16, 16), (32, 8)]


def test_times_are_the_films_own_where_its_rate_varies(make_film, tmp_path):
    random = np.random.default_rng(0)
    times = np.cumsum([0, *random.choice([20, 40, 500], 49)]).tolist()
    frames = random.integers(0, 256, (50, 48, 64, 3), dtype=np.uint8)
    passed = FilmPass(open_film(make_film(tmp_path / "varying.mkv", frames, times)), pictures=False)
    windows = list(passed)
    assert list(passed.times) == [1000 * time for time in times]
    assert [each.start_us for each in windows] == [1000 * times[first] for first in (0, 16, 32, 48)]
    assert [each.end_us for each in windows[:3]] == [1000 * times[first] for first in (16, 32, 48)]
    assert windows[3].end_us == 1000 * (2 * times[49] - times[48])


def test_a_film_is_opened_by_its_file_or_its_folder(make_film, tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    PIL.Image.fromarray(picture).save(tmp_path / "1.png")
    assert open_film(tmp_path, 10).fps == 10
    film = open_film(make_film(tmp_path / "a.mkv", [picture] * 3))
    assert (film.width, film.height) == (64, 48)
    with pytest.raises(BadInput, match=r"1\.png holds image; give a film"):
        open_film(tmp_path / "1.png")
