"""Windows of a video against a plain reference: frames, times, events, images; also of damaged videos."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind import BadInput
from anybind.errors import BadOption
from anybind_vad.opening import open_video
from anybind_vad.presets import WindowSettings
from anybind_vad.windows import VideoWindows
from helpers.videos import MemoryVideo, make_noise

SIZES = st.integers(2, 7).flatmap(lambda frames: st.tuples(st.just(frames), st.integers(1, frames)))


def list_windows(count, frames, stride, last="merge"):
    """List the windows of a video: full ones, the last of them with the remaining frames if they are merged."""
    full = [range(first, first + frames) for first in range(0, count - frames + 1, stride)]
    if not full:
        return [range(count)]
    return full if last == "drop" else [*full[:-1], range(full[-1].start, count)]


def split_windows(video, frames=16, stride=None, last="merge", **options):
    return list(VideoWindows(video, WindowSettings(frames, stride or frames, last=last), **options))


def list_columns(events):
    return [getattr(events, name).tolist() for name in "xytp"]


@given(count=st.integers(1, 30), size=SIZES, last=st.sampled_from(["merge", "drop"]))
@settings(deadline=None)
def test_windows_have_the_events_between_their_frames_as_a_plain_reference(count, size, last):
    frames, stride = size
    video = MemoryVideo(make_noise(count, (4, 5)))
    whole = anybind.derive("event", video, source="video")
    windows = split_windows(video, frames, stride, last, images=False)
    assert [range(window.first, window.first + window.frames) for window in windows] == list_windows(
        count, frames, stride, last
    )
    for window in windows:
        inside = np.isin(whole.t // 1000, np.arange(window.first + 1, window.first + window.frames))
        assert list_columns(window.events) == [getattr(whole, name)[inside].tolist() for name in "xytp"]
        assert (window.events.width, window.events.height) == (5, 4)


@given(steps=st.lists(st.integers(0, 90_000), min_size=1, max_size=30), size=SIZES)
@settings(deadline=None)
def test_windows_start_and_end_at_presentation_times(steps, size):
    frames, stride = size
    times = [0, *np.cumsum(steps).tolist()]
    ends = [*times[1:], 2 * times[-1] - times[-2]]
    windows = split_windows(MemoryVideo(make_noise(len(times), (2, 3)), times_us=times), frames, stride)
    assert [range(window.first, window.first + window.frames) for window in windows] == list_windows(
        len(times), frames, stride
    )
    for window in windows:
        assert (window.start_us, window.end_us) == (times[window.first], ends[window.first + window.frames - 1])


def test_video_of_one_frame_is_one_window_without_events_and_duration():
    (window,) = split_windows(MemoryVideo(make_noise(1)))
    assert (window.frames, window.start_us, window.end_us, len(window.events)) == (1, 0, 0, 0)


@pytest.mark.parametrize("stride", [4, 3])
def test_damaged_video_has_the_windows_of_all_frames_before_the_damage(stride):
    whole = split_windows(MemoryVideo(make_noise(11)), 4, stride)
    damaged = VideoWindows(MemoryVideo(make_noise(11), damaged=True), WindowSettings(4, stride))
    for one, other in zip(whole, damaged, strict=True):
        assert (one.first, one.frames, one.end_us) == (other.first, other.frames, other.end_us)
        assert list_columns(one.events) == list_columns(other.events)
    assert "damaged" in str(damaged.problem)


def test_video_damaged_before_its_first_frame_is_refused():
    with pytest.raises(BadInput, match="damaged"):
        split_windows(MemoryVideo([], damaged=True))


def test_frames_wider_than_any_sensor_are_refused():
    with pytest.raises(BadInput, match="sensor size 70000x1"):
        split_windows(MemoryVideo([np.zeros((1, 70_000))] * 3))


def test_threshold_changes_the_events():
    video = MemoryVideo([np.full((2, 3), level, np.uint8) for level in (0, 20, 60)])
    counts = [
        len(next(iter(VideoWindows(video, WindowSettings(threshold=threshold)))).events) for threshold in (10, 30, 50)
    ]
    assert counts == [12, 6, 0]


@pytest.mark.parametrize(("frames", "stride"), [(16, 16), (16, 4), (5, 5), (5, 3), (4, 1), (2, 1)])
@pytest.mark.parametrize("count", [1, 3, 16, 50])
def test_each_window_has_its_middle_frame(frames, stride, count):
    video = MemoryVideo(make_noise(count, (6, 8)), colours=lambda number: np.full((6, 8, 3), number, np.uint8))
    for window in split_windows(video, frames, stride):
        middle = window.first + frames // 2
        assert window.image[0, 0, 0] == (middle if middle < window.first + window.frames else window.first)


def test_one_frame_per_window_is_converted_to_rgb():
    video = MemoryVideo(make_noise(400, (6, 8)))
    split_windows(video)
    assert video.converted == list(range(8, 400, 16))


def test_windows_without_images_convert_no_frame():
    video = MemoryVideo(make_noise(40))
    assert [window.image for window in split_windows(video, images=False)] == [None] * 2
    assert video.converted == []


def test_images_are_scaled_down_on_request():
    assert split_windows(MemoryVideo(make_noise(20, (6, 8))), max_side=4)[0].image.shape == (3, 4, 3)


def test_full_window_has_one_difference_less_than_frames():
    ramp = [np.full((2, 3), 30 * (number % 2), np.uint8) for number in range(48)]
    for window in split_windows(MemoryVideo(ramp)):
        assert (window.frames, len(window.events)) == (16, 15 * 6)


@pytest.mark.parametrize(("options", "message"), [({"frames": 1}, "at least 2"), ({"last": "keep"}, "merge or drop")])
def test_windows_without_differences_and_unknown_rules_are_refused(options, message):
    with pytest.raises(BadOption, match=message):
        WindowSettings(**{"stride": 1, **options})


def test_measures_are_events_frames_and_pixels():
    first, last = split_windows(MemoryVideo(make_noise(36, (6, 8))))
    assert first.measures == {"events": float(len(first.events)), "steps": 15.0, "pixels": 48.0}
    assert last.measures["steps"] == 19


def test_static_window_has_no_event_sample():
    (window,) = split_windows(MemoryVideo([np.zeros((6, 8))] * 3))
    assert window.get_sample("event") is None
    assert window.get_sample("image").shape == (6, 8, 3)


def test_decoding_stops_at_the_end_of_the_next_window():
    video = MemoryVideo(make_noise(200))
    windows = iter(VideoWindows(video, WindowSettings(4, 2)))
    for _ in range(5):
        next(windows)
    assert video.decoded == list(range(14))


def test_times_follow_a_variable_frame_rate(make_video, tmp_path):
    random = np.random.default_rng(0)
    times = np.cumsum([0, *random.choice([20, 40, 500], 49)]).tolist()
    frames = random.integers(0, 256, (50, 48, 64, 3), dtype=np.uint8)
    windows = VideoWindows(open_video(make_video(tmp_path / "varying.mkv", frames, times)), images=False)
    split = list(windows)
    assert list(windows.times_us) == [1000 * time for time in times]
    assert [window.start_us for window in split] == [1000 * times[first] for first in (0, 16, 32)]
    assert [window.end_us for window in split[:2]] == [1000 * times[first] for first in (16, 32)]
    assert split[2].end_us == 1000 * (2 * times[49] - times[48])


def test_video_is_opened_from_a_file_or_a_folder(make_video, tmp_path):
    frame = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    PIL.Image.fromarray(frame).save(tmp_path / "1.png")
    assert open_video(tmp_path, 10).fps == 10
    video = open_video(make_video(tmp_path / "a.mkv", [frame] * 3))
    assert (video.width, video.height) == (64, 48)
    with pytest.raises(
        BadInput, match=r"1\.png: expected a video, a folder of frames or an event recording, got image"
    ):
        open_video(tmp_path / "1.png")
