"""Event recordings as videos: windows over time, scores, and the task on replicas."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from anybind import BadInput, EmbeddingStore
from anybind.errors import BadOption
from anybind.registry import create_part
from anybind_events.stream import EventStream
from anybind_vad import score_video
from anybind_vad.embedding import EmbeddedVideo
from anybind_vad.opening import open_video
from anybind_vad.presets import WindowSettings
from anybind_vad.recordings import EventRecording, RecordingWindows
from helpers import replicas

SIZE = (64, 48)


def make_events(times, start=0):
    times = np.asarray(times, np.int64) + start
    zeros = np.zeros(len(times), np.uint16)
    return EventStream(zeros, zeros, times, zeros.astype(bool), *SIZE)


def save_events(path, events):
    np.savez(path, t=events.t, x=events.x, y=events.y, p=events.p, size=np.array(SIZE))
    return path


def list_windows(events, fps=25.0, **settings):
    recording = EventRecording(None, events, fps)
    return list(RecordingWindows(recording, WindowSettings(**{"frames": 4, "stride": 4, **settings})))


@pytest.mark.parametrize("start", [0, 7_000_000])
def test_each_event_is_in_the_window_of_its_time(start):
    events = make_events(np.arange(0, 800_000, 10_000), start)  # 20 frames of 4 events
    windows = list_windows(events)
    assert [(window.first, window.frames) for window in windows] == [(0, 4), (4, 4), (8, 4), (12, 4), (16, 4)]
    assert [len(window.events) for window in windows] == [16] * 5
    assert [(window.start_us, window.end_us) for window in windows[:2]] == [(0, 160_000), (160_000, 320_000)]
    assert windows[1].events.t[0] == start + 160_000
    assert windows[0].image is None


@pytest.mark.parametrize("frames", [2, 4, 16, 40])
def test_a_constant_event_rate_has_one_score_for_any_window(tmp_path, frames):
    save_events(tmp_path / "constant.npz", make_events(np.arange(0, 1_640_000, 1000)))  # 41 frames of 40 events
    scores = score_video(tmp_path / "constant.npz", head="event-rate", frames=frames).frame_scores
    np.testing.assert_allclose(scores, 40 / (SIZE[0] * SIZE[1]), rtol=1e-5)


def test_a_recording_without_events_warns_without_a_threshold(tmp_path):
    save_events(tmp_path / "empty.npz", make_events([]))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        score_video(tmp_path / "empty.npz", head="event-rate")
    assert any(str(each.message).endswith("has no events, and all scores are equal") for each in caught)


def test_overlapping_windows_share_events():
    windows = list_windows(make_events(np.arange(0, 800_000, 10_000)), stride=2)
    assert [window.first for window in windows] == [0, 2, 4, 6, 8, 10, 12, 14, 16]
    assert {len(window.events) for window in windows} == {16}


@pytest.mark.parametrize(("last", "expected"), [("merge", (16, 7)), ("drop", (16, 4))])
def test_last_frames_are_merged_or_dropped(last, expected):
    windows = list_windows(make_events([0, 919_999]), last=last)
    assert (windows[-1].first, windows[-1].frames) == expected
    assert len(windows[-1].events) == (last == "merge")


def test_a_recording_shorter_than_a_window_is_one_shorter_window():
    (window,) = list_windows(make_events([0, 50_000]))
    assert (window.first, window.frames, len(window.events)) == (0, 2, 2)


def test_times_do_not_drift_at_30_hz():
    recording = EventRecording(None, make_events([0, 60_000_000]), 30.0)
    times = RecordingWindows(recording, WindowSettings()).times_us
    assert len(times) == 1801
    assert times[1800] == 60_000_000


def test_a_recording_is_scored_by_its_event_rate(tmp_path):
    calm, busy = np.arange(0, 640_000, 20_000), np.arange(640_000, 1_280_000, 1_000)
    path = save_events(tmp_path / "recording.npz", make_events(np.concatenate([calm, busy])))
    scores = score_video(path, head="event-rate")
    assert scores.spans[:, :2].tolist() == [[0, 16], [16, 16]]
    np.testing.assert_allclose(scores.window_scores[1] / scores.window_scores[0], 20)
    assert score_video(path, head="event-rate", fps=50).spans[:, :2].tolist() == [[0, 16], [16, 16], [32, 16], [48, 16]]


def test_a_stored_recording_is_read_again_with_equal_embeddings(tmp_path, toy):
    path = save_events(tmp_path / "recording.npz", make_events(np.arange(0, 2_000_000, 5_000)))
    store = EmbeddingStore(tmp_path / "store")
    first, again = (
        EmbeddedVideo(open_video(path), toy, ("event",), WindowSettings(), store=store).embed() for _ in range(2)
    )
    np.testing.assert_array_equal(first.inputs.embeddings["event"], again.inputs.embeddings["event"])
    np.testing.assert_array_equal(first.spans, again.spans)


def test_heads_on_images_and_other_files_are_refused(tmp_path, toy):
    path = save_events(tmp_path / "recording.npz", make_events([0, 1_000_000]))
    with pytest.raises(BadInput, match="has no images"):
        EmbeddedVideo(open_video(path), toy, ("event", "image"), WindowSettings())
    with pytest.raises(BadOption, match="above 0"):
        open_video(path, fps=0)
    with pytest.raises(BadOption, match="siz"):
        open_video(path, siz=3)


@pytest.mark.parametrize("name", ["ucf-crime-dvs", "ewad"])
def test_abnormal_frames_of_a_replica_are_found(tmp_path, name):
    folder = replicas.make_replica(name, tmp_path / name)
    import anybind

    binder = anybind.load("mini")
    dataset = create_part("dataset", name, folder)
    result = create_part("task", "vad", head="event-rate", frames=4).run(binder, dataset, modality="event")
    assert result.details["frames"] == 4 * replicas.FRAMES
    assert result.metrics["auc"] > 0.95
