"""`score_video`: order, damage, snapshots, warnings, bounded memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import anybind
import anybind_vad
from anybind import AnybindWarning, BadInput
from anybind.errors import BadOption, UnknownName
from anybind.head import Head
from anybind_vad import score_video
from anybind_vad import scores as scores_module
from anybind_vad.snapshots import SnapshotCollector
from helpers.videos import MemoryVideo, make_noise


class FirstCoordinate(Head):
    """The first coordinate of the event embedding; 0 without events."""

    name = "first-coordinate"
    predicts = "anomaly"

    def __init__(self):
        super().__init__(needs=("event",))

    def compute_scores(self, inputs, queries):
        return inputs.max_by_sample("event", inputs.embeddings["event"].vectors[:, 0])


def make_alternating_video(count, **options):
    """Make a video of which every second window of 16 frames is static."""
    frames, moving = [np.zeros((6, 8), np.uint8)], make_noise(count, (6, 8))
    for number in range(1, count):
        frames.append(moving[number] if number // 16 % 2 == 0 else frames[-1])
    return MemoryVideo(frames, step_us=40_000, **options)


@pytest.fixture
def score(toy, monkeypatch):
    """Score a video in memory with the toy encoders."""

    def run(video, **options):
        monkeypatch.setattr(scores_module, "open_video", lambda path, fps: video)
        monkeypatch.setattr(scores_module, "load", lambda binding, device, backend, store: toy)
        return score_video("clip.mp4", **{"head": FirstCoordinate(), "binding": toy.binding, **options})

    return run


def test_windows_are_scored_in_order_and_static_ones_with_0(score):
    result = score(make_alternating_video(100), batch_size=3)
    assert result.spans[:, 0].tolist() == [0, 16, 32, 48, 64, 80]
    assert result.spans[:, 1].tolist() == [16] * 5 + [20]
    assert (result.window_scores > 0).tolist() == [True, False, True, False, True, True]
    assert (result.events > 0).tolist() == (result.window_scores > 0).tolist()
    assert (len(result.frame_scores), result.end_us, result.problem) == (100, 4_000_000, "")


def test_frame_scores_are_those_of_their_windows(score):
    result = score(make_alternating_video(40))
    assert result.frame_scores.tolist() == result.window_scores.astype(float).repeat([16, 24]).tolist()


def test_dropped_frames_have_no_score(score):
    result = score(make_alternating_video(40), last="drop")
    assert result.frame_scores.tolist() == result.window_scores.astype(float).repeat([16, 16]).tolist()
    assert (len(result.times_us), result.end_us, result.settings["last"]) == (32, 32 * 40_000, "drop")


def test_damaged_video_is_scored_up_to_the_damage_with_a_warning(score):
    with pytest.warns(AnybindWarning, match=r"clip\.mp4 is damaged \(scored up to 0:02\.8, frame 69\)"):
        result = score(make_alternating_video(70, damaged=True, path=Path("clip.mp4")))
    assert result.problem == "clip.mp4 is damaged"
    assert result.window_scores.tolist() == score(make_alternating_video(70)).window_scores.tolist()
    assert len(result.times_us) == 70


def test_strict_refuses_a_damaged_video(score):
    with pytest.raises(BadInput, match=r"damaged \(scored up to"):
        score(make_alternating_video(70, damaged=True), strict=True)


def test_video_damaged_before_its_first_frame_is_refused(score):
    with pytest.raises(BadInput, match="damaged"):
        score(MemoryVideo([], damaged=True))


def test_every_window_is_added_to_the_collector(score):
    collector = SnapshotCollector()
    result = score(make_alternating_video(64), collector=collector)
    assert [snapshot.score for snapshot in collector.snapshots] == result.window_scores.tolist()
    assert [bool(snapshot.events) for snapshot in collector.snapshots] == [True, False, True, False]


def test_runner_has_the_highest_event_rate(make_street):
    street = make_street()
    result = anybind_vad.score_video(street.path, head="event-rate")
    assert set(np.argsort(result.frame_scores)[-len(street.runner) :].tolist()) == set(street.runner)
    (segment,) = result.segments
    assert (segment.first, segment.last) == (street.runner.start, street.runner.stop - 1)


def test_overlapping_windows_equal_disjoint_ones_at_the_same_frames(make_street):
    plain, dense = (score_video(make_street().path, head="event-rate", stride=stride) for stride in (16, 4))
    assert dense.window_scores[::4].tolist() == plain.window_scores.tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 17}, "stride"),
        ({"frames": 0}, "frames"),
        ({"threshold": 0}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"sigma": -1}, "sigma"),
        ({"score_threshold": float("nan")}, "score_threshold"),
        ({"batch_size": 0}, "batch_size"),
        ({"clamp": -1}, "clamp"),
        ({"preset": "authors"}, "preset"),
        ({"head": "one-class"}, "fitted"),
    ],
    ids=str,
)
def test_invalid_options_are_refused_before_decoding(score, options, message):
    video = make_alternating_video(20)
    with pytest.raises((BadOption, UnknownName), match=message):
        score(video, **options)
    assert video.decoded == []


@pytest.mark.long
@pytest.mark.slow
def test_memory_does_not_grow_with_the_video(score):
    import tracemalloc

    class LongVideo(MemoryVideo):
        def frames(self):
            for number in range(self.count):
                yield from MemoryVideo([self.grays[number % 64]], times_us=[40_000 * number]).frames()

    def measure_peak(count):
        video = LongVideo(make_noise(64, (12, 16)))
        video.count = count
        tracemalloc.start()
        score(video, batch_size=4)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    measure_peak(50)
    short, long = measure_peak(640), measure_peak(12_800)
    # A few times and scores per frame and numbers per window, but no frames (192 bytes each).
    assert long - short < 12_160 * 64


def test_a_binder_is_its_binding_device_and_store(make_street):
    path = make_street().path
    by_name = score_video(path, head="event-rate")
    by_binder = score_video(path, head="event-rate", binding=anybind.load("mini", batch_size=2))
    np.testing.assert_array_equal(by_binder.frame_scores, by_name.frame_scores)
    assert by_binder.settings == by_name.settings
