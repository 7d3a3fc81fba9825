"""The scores of a whole film: in groups, from a log, of films that break."""

from __future__ import annotations

import numpy as np
import pytest

import anybind
from anybind import BadInput
from anybind.head import Head, find_head
from anybind_vad.gallery import Gallery
from anybind_vad.score_log import ScoreLog
from anybind_vad.scores import score_film
from anybind_vad.windows import FilmPass, open_film


class Brightness(Head):
    """Scores the first coordinate of the event vector; 0 where there is none."""

    name = "brightness"
    predicts = "anomaly"

    def __init__(self):
        super().__init__(needs=("event",))

    def rate(self, inputs, queries):
        return inputs.largest("event", inputs.embeddings["event"].vectors[:, 0])


class Noise:
    """A film in memory of which every second window of 16 stands still."""

    def __init__(self, count, broken=False):
        self.count, self.broken = count, broken

    def frames(self, *, gray, look=None):
        random = np.random.default_rng(0)
        frame = np.zeros((6, 8), np.uint8)
        for number in range(self.count):
            if number // 16 % 2 == 0:
                frame = random.integers(0, 256, (6, 8), dtype=np.uint8)
            if look is not None:
                look(number, lambda: np.zeros((6, 8, 3), np.uint8))
            yield 40_000 * number, frame
        if self.broken:
            raise BadInput("film.mp4 is damaged")


def scored(toy, film, **options):
    return score_film(FilmPass(film, pictures=False), toy, Brightness(), **options)


def test_windows_are_scored_in_order_and_those_that_stand_still_with_0(toy):
    found = scored(toy, Noise(100), batch_size=3)
    assert found.firsts.tolist() == [0, 16, 32, 48, 64, 80, 96]
    assert found.lengths.tolist() == [16] * 6 + [4]
    # The first frame that stands still is still that of the window before it.
    assert (found.scores > 0).tolist() == [True, False, True, False, True, False, True]
    assert (found.events > 0).tolist() == (found.scores > 0).tolist()
    assert (len(found.frame_scores), found.end_us, found.problem) == (100, 4_000_000, "")


def test_scores_of_frames_are_those_of_their_windows(toy):
    found = scored(toy, Noise(40))
    assert found.frame_scores.tolist() == found.scores.astype(float).repeat([16, 16, 8]).tolist()


def test_progress_is_told(toy):
    told = []
    scored(toy, Noise(100), batch_size=3, advance=told.append)
    assert told == [3, 3, 1]


def test_a_film_that_breaks_is_scored_up_to_there(toy):
    found, whole = scored(toy, Noise(70, broken=True)), scored(toy, Noise(70))
    assert found.problem == "film.mp4 is damaged"
    assert found.scores.tolist() == whole.scores.tolist()
    assert len(found.times_us) == 70


def test_a_film_that_breaks_before_its_first_frame_is_refused(toy):
    with pytest.raises(BadInput, match="damaged"):
        scored(toy, Noise(0, broken=True))


def test_what_a_log_holds_is_not_embedded_again_and_the_rest_is_the_same(toy, tmp_path):
    whole = scored(toy, Noise(200), batch_size=3)
    log = ScoreLog.begin(tmp_path / "log.jsonl", {})
    scored(toy, Noise(110, broken=True), batch_size=3, log=log)  # two groups and a window
    log.close(remove=False)
    log = ScoreLog.resume(tmp_path / "log.jsonl", {})
    assert [len(group) for group in log.done] == [3, 3]
    before = toy.encoder("event").embedded
    resumed = scored(toy, Noise(200), batch_size=3, log=log)
    assert toy.encoder("event").embedded - before == (whole.events[6:] > 0).sum()
    assert resumed.scores.tolist() == whole.scores.tolist()
    assert [len(group) for group in ScoreLog.resume(tmp_path / "log.jsonl", {}).done] == [3, 3, 3, 3]


def test_a_log_is_believed(toy, tmp_path):
    log = ScoreLog.begin(tmp_path / "log.jsonl", {})
    log.append([7.0, 8.0])
    log.close(remove=False)
    found = scored(toy, Noise(64), batch_size=2, log=ScoreLog.resume(tmp_path / "log.jsonl", {}))
    assert found.scores[:2].tolist() == [7, 8]


def test_every_window_is_offered_to_the_gallery(toy):
    gallery = Gallery()
    found = score_film(FilmPass(Noise(64)), toy, Brightness(), gallery=gallery)
    assert [shot.score for shot in gallery.shots] == found.scores.tolist()
    assert [bool(shot.events) for shot in gallery.shots] == [True, False, True, False]


def test_the_runner_is_found_by_how_much_moves(make_street):
    street = make_street()
    found = score_film(FilmPass(open_film(street.path), pictures=False), anybind.load("mini"), find_head("event-rate"))
    assert set(np.argsort(found.frame_scores)[-len(street.runner) :].tolist()) == set(street.runner)


def test_memory_does_not_grow_with_the_film(toy):
    import tracemalloc

    def peak(count):
        tracemalloc.start()
        scored(toy, Noise(count), batch_size=4, advance=lambda done: None)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(50)
    short, long = peak(640), peak(12_800)
    # Eight bytes of each frame's time, twice, and what is known of windows: nothing of the frames themselves (48 bytes).
    assert long - short < 12_160 * 28
