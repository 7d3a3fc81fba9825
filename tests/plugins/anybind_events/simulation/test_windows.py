"""Windows of films: which frames and which times each is of, against a plain count; also of films that break."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anybind import BadInput
from anybind.errors import BadOption
from anybind_events.simulation.film import frame_difference, frame_windows
from anybind_events.simulation.windows import film_windows
from anybind_events.stream import concatenate_streams


@dataclass
class Film:
    """Frames of noise at these times; it breaks behind the last one if asked to."""

    times: Sequence[int]
    torn: bool = False

    def frames(self, *, gray: bool) -> Iterator[tuple[int, np.ndarray]]:
        random = np.random.default_rng(0)
        for time in self.times:
            yield time, random.integers(0, 256, (4, 5), dtype=np.uint8)
        if self.torn:
            raise BadInput("film.mp4 is damaged")


def expected(count: int, frames: int, stride: int) -> list[range]:
    """The windows of a film of so many frames: full ones while there are, then one that covers what is left."""
    full = [range(first, first + frames) for first in range(0, count - frames + 1, stride)]
    done = full[-1].stop if full else 0
    return full if done == count else [*full, range(len(full) * stride, count)]


SIZES = st.integers(1, 7).flatmap(lambda frames: st.tuples(st.just(frames), st.integers(1, frames)))


@given(count=st.integers(1, 30), size=SIZES)
def test_windows_are_those_of_a_plain_count_and_hold_the_events_of_their_frames(
    count: int, size: tuple[int, int]
) -> None:
    frames, stride = size
    film = Film([1000 * number for number in range(count)])
    streams = list(frame_difference(film))
    windows = list(frame_windows(film, frames=frames, stride=stride))
    assert [numbers for numbers, _ in windows] == expected(count, frames, stride)
    for numbers, stream in windows:
        whole = concatenate_streams([streams[number] for number in numbers])
        for name in "xytp":
            assert np.array_equal(getattr(stream, name), getattr(whole, name))


@given(steps=st.lists(st.integers(0, 90_000), min_size=1, max_size=30), size=SIZES)
def test_windows_begin_and_end_at_the_films_own_times(steps: list[int], size: tuple[int, int]) -> None:
    frames, stride = size
    times = [0, *np.cumsum(steps).tolist()]
    ends = [*times[1:], 2 * times[-1] - times[-2]]
    windows = list(film_windows(Film(times), frames=frames, stride=stride, threshold=25))
    assert [range(each.first, each.first + each.frames) for each in windows] == expected(len(times), frames, stride)
    for each in windows:
        assert (each.start_us, each.end_us) == (times[each.first], ends[each.first + each.frames - 1])


def test_a_film_of_one_frame_is_one_window_without_events_and_of_no_duration() -> None:
    (window,) = film_windows(Film([0]), frames=16, stride=16, threshold=25)
    assert (window.frames, window.start_us, window.end_us, len(window.sample)) == (1, 0, 0, 0)


@pytest.mark.parametrize("stride", [4, 3])
def test_a_film_that_breaks_gives_the_windows_of_all_frames_before_that(stride: int) -> None:
    times = [1000 * number for number in range(11)]
    whole = list(film_windows(Film(times), frames=4, stride=stride, threshold=25))
    broken = film_windows(Film(times, torn=True), frames=4, stride=stride, threshold=25)
    for one in whole:
        other = next(broken)
        assert (one.first, one.frames, one.end_us) == (other.first, other.frames, other.end_us)
        assert np.array_equal(one.sample.t, other.sample.t)
    with pytest.raises(BadInput, match="damaged"):
        next(broken)


def test_times_are_forgotten_as_the_film_plays() -> None:
    from anybind_events.simulation.windows import Timed

    timed = Timed(Film(range(0, 200_000, 1000)))
    for numbers, stream in frame_windows(timed, frames=4):
        timed.window(numbers, stream)
        assert len(timed.times) < 30


@pytest.mark.parametrize(("frames", "stride"), [(0, 1), (4, 0), (4, 5)])
def test_windows_of_no_frames_or_that_leave_some_out_are_refused(frames: int, stride: int) -> None:
    with pytest.raises(BadOption, match="at least 1 frame and the stride 1 to"):
        list(frame_windows(Film([0, 1000]), frames=frames, stride=stride))
