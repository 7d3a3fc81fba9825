"""`score_video` and its parts: order, damage, smoothing, the gallery, warnings, bounded memory."""

from __future__ import annotations

import numpy as np
import pytest

import anybind_vad
from anybind import AnybindWarning, BadInput
from anybind.errors import BadOption, UnknownName
from anybind.head import Head
from anybind_vad import score_video
from anybind_vad import scores as scores_module
from anybind_vad.snapshots import SnapshotCollector
from helpers.videos import MemoryVideo, noise


class Brightness(Head):
    """Scores the first coordinate of the event embedding; 0 where there is none."""

    name = "brightness"
    predicts = "anomaly"

    def __init__(self):
        super().__init__(needs=("event",))

    def compute_scores(self, inputs, queries):
        return inputs.max_by_sample("event", inputs.embeddings["event"].vectors[:, 0])


def alternating(count, **options):
    """A video of which every second window of 16 frames stands still."""
    frames, moving = [np.zeros((6, 8), np.uint8)], noise(count, (6, 8))
    for number in range(1, count):
        frames.append(moving[number] if number // 16 % 2 == 0 else frames[-1])
    return MemoryVideo(frames, step_us=40_000, **options)


@pytest.fixture
def scored(toy, monkeypatch):
    """Score a video in memory with the toy encoders."""

    def run(video, **options):
        monkeypatch.setattr(scores_module, "open_video", lambda path, fps: video)
        monkeypatch.setattr(scores_module, "load", lambda binding, device, store: toy)
        return score_video("film.mp4", **{"head": Brightness(), "binding": toy.binding, **options})

    return run


def test_windows_are_scored_in_order_and_those_that_stand_still_with_0(scored):
    found = scored(alternating(100), batch_size=3)
    assert found.spans[:, 0].tolist() == [0, 16, 32, 48, 64, 80, 96]
    assert found.spans[:, 1].tolist() == [16] * 6 + [4]
    assert (found.window_scores > 0).tolist() == [True, False, True, False, True, False, True]
    assert (found.events > 0).tolist() == (found.window_scores > 0).tolist()
    assert (len(found.frame_scores), found.end_us, found.problem) == (100, 4_000_000, "")


def test_scores_of_frames_are_those_of_their_windows(scored):
    found = scored(alternating(40))
    assert found.frame_scores.tolist() == found.window_scores.astype(float).repeat([16, 16, 8]).tolist()


def test_a_video_that_breaks_is_scored_up_to_there_with_a_warning(scored):
    with pytest.warns(AnybindWarning, match=r"film\.mp4 is damaged \(scored up to 0:02\.8, frame 69\)"):
        found = scored(alternating(70, damaged=True))
    assert found.problem == "film.mp4 is damaged"
    assert found.window_scores.tolist() == scored(alternating(70)).window_scores.tolist()
    assert len(found.times_us) == 70


def test_a_video_that_breaks_is_refused_on_request(scored):
    with pytest.raises(BadInput, match=r"damaged \(scored up to"):
        scored(alternating(70, damaged=True), strict=True)


def test_a_video_that_breaks_before_its_first_frame_is_refused(scored):
    with pytest.raises(BadInput, match="damaged"):
        scored(MemoryVideo([], damaged=True))


def test_every_window_is_offered_to_the_gallery(scored):
    gallery = SnapshotCollector()
    found = scored(alternating(64), gallery=gallery)
    assert [shot.score for shot in gallery.snapshots] == found.window_scores.tolist()
    assert [bool(shot.events) for shot in gallery.snapshots] == [True, False, True, False]


def test_the_runner_is_found_by_how_much_moves(make_street):
    street = make_street()
    found = anybind_vad.score_video(street.path, head="event-rate")
    assert set(np.argsort(found.frame_scores)[-len(street.runner) :].tolist()) == set(street.runner)
    (segment,) = found.segments
    assert (segment.first, segment.last) == (street.runner.start, street.runner.stop - 1)


def test_overlapping_windows_are_those_of_windows_side_by_side_where_they_coincide(make_street):
    plain, dense = (score_video(make_street().path, head="event-rate", stride=stride) for stride in (16, 4))
    assert dense.window_scores[::4].tolist() == plain.window_scores.tolist()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"stride": 17}, "stride"),
        ({"frames": 0}, "frames"),
        ({"threshold": 0}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"smooth": -1}, "smooth"),
        ({"above": float("nan")}, "above"),
        ({"batch_size": 0}, "batch_size"),
        ({"clamp": -1}, "clamp"),
        ({"preset": "authors"}, "preset"),
        ({"head": "one-class"}, "fitted"),
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_refused_before_the_video_is_decoded(scored, options, said):
    video = alternating(20)
    with pytest.raises((BadOption, UnknownName), match=said):
        scored(video, **options)
    assert video.decoded == []


@pytest.mark.slow
def test_memory_does_not_grow_with_the_video(scored):
    import tracemalloc

    class Long(MemoryVideo):
        def frames(self):
            for number in range(self.count):
                yield from MemoryVideo([self.grays[number % 64]], times_us=[40_000 * number]).frames()

    def peak(count):
        video = Long(noise(64, (12, 16)))
        video.count = count
        tracemalloc.start()
        scored(video, batch_size=4)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(50)
    short, long = peak(640), peak(12_800)
    # Times and scores of frames, a few times over, and numbers of windows: nothing of the frames (192 bytes each).
    assert long - short < 12_160 * 48
