"""Events of videos: frame differences compared with a loop, the contrast model on small videos, constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anybind import BadInput
from anybind.errors import BadOption
from anybind.registry import find_part
from anybind_events.simulation.models import find_model
from anybind_events.simulation.sensor import compute_log_intensity, draw_thresholds
from anybind_events.simulation.video import frame_difference
from anybind_events.stream import EventStream, concatenate_streams
from helpers.streams import list_events
from helpers.videos import MemoryVideo, make_noise


def contrast(video: MemoryVideo, seed: int = 0, **options: float) -> Iterator[EventStream]:
    return find_model("video", "contrast").simulate(video, seed, options)


def list_columns(stream: EventStream) -> list[list[int]]:
    return [getattr(stream, name).tolist() for name in "xytp"]


VIDEOS = st.lists(
    st.lists(st.integers(0, 255), min_size=6, max_size=6).map(lambda grays: np.array(grays).reshape(2, 3)),
    min_size=1,
    max_size=5,
)


@settings(max_examples=100, deadline=None)
@given(video=VIDEOS, threshold=st.sampled_from([0.5, 1, 10, 24.5, 25, 200, 254, 255, 300]))
def test_a_difference_above_the_threshold_is_an_event_at_the_later_frame(
    video: list[np.ndarray], threshold: float
) -> None:
    streams = list(frame_difference(MemoryVideo(video), threshold=threshold))
    assert len(streams) == len(video)
    assert list_events(streams[0]) == []
    for number in range(1, len(video)):
        expected = [
            (x, y, 1000 * number, bool(video[number][y, x] > video[number - 1][y, x]))
            for y in range(2)
            for x in range(3)
            if abs(int(video[number][y, x]) - int(video[number - 1][y, x])) > threshold
        ]
        assert list_events(streams[number]) == expected
        assert (streams[number].width, streams[number].height) == (3, 2)


def test_a_difference_of_26_but_not_of_25_is_an_event() -> None:
    video = [np.array([[100, 100, 100, 100]]), np.array([[125, 126, 75, 74]])]
    _, stream = frame_difference(MemoryVideo(video))
    assert list_events(stream) == [(1, 0, 1000, True), (3, 0, 1000, False)]


def test_a_linear_log_intensity_gives_evenly_spaced_events() -> None:
    # From gray 64 to 128 it is a step of log 2: four thresholds, made a little smaller so that the last is reached.
    video = MemoryVideo([np.full((1, 1), gray) for gray in (64, 128)])
    _, stream = contrast(video, threshold=float(np.log(2) / 4) - 1e-6, mismatch=0)
    assert list_columns(stream) == [[0] * 4, [0] * 4, [250, 500, 750, 1000], [True] * 4]


def test_the_first_frame_gives_an_empty_stream_of_the_sensor_size() -> None:
    first = next(iter(contrast(MemoryVideo(make_noise(2, (4, 7))))))
    assert (len(first), first.width, first.height) == (0, 7, 4)


def test_a_video_of_one_frame_gives_no_events() -> None:
    for model in (frame_difference, contrast):
        assert [len(stream) for stream in model(MemoryVideo(make_noise(1)))] == [0]


def test_summed_events_reconstruct_the_video_within_a_threshold() -> None:
    video = make_noise(12)
    falls, rises = draw_thresholds(np.random.default_rng(5), 0.2, 0.04, video[0].shape)
    level = compute_log_intensity(video[0].astype(np.float32)).astype(np.float64)
    for frame, stream in zip(video, contrast(MemoryVideo(video), seed=5, threshold=0.2, mismatch=0.04), strict=True):
        moved = np.where(stream.p, rises[stream.y, stream.x], -falls[stream.y, stream.x])
        np.add.at(level, (stream.y, stream.x), moved)
        away = compute_log_intensity(frame.astype(np.float32)) - level
        assert (away < rises + 1e-5).all()
        assert (-away < falls + 1e-5).all()


def test_the_same_seed_gives_the_same_recording_and_another_gives_another() -> None:
    options = {"shot_hz": 20.0, "leak_hz": 5.0, "refractory_us": 100.0}
    one, same, other = (
        concatenate_streams(list(contrast(MemoryVideo(make_noise(5)), seed=seed, **options))) for seed in (1, 1, 2)
    )
    assert list_columns(one) == list_columns(same)
    assert list_columns(one) != list_columns(other)


@pytest.mark.parametrize(
    "options", [{}, {"leak_hz": 50.0}, {"refractory_us": 300.0}, {"shot_hz": 50.0}], ids=lambda each: "".join(each)
)
def test_streams_follow_each_other_in_time(options: dict[str, float]) -> None:
    streams = list(contrast(MemoryVideo(make_noise(6)), **options))
    whole = concatenate_streams(streams)
    assert (np.diff(whole.t) >= 0).all()
    for number, stream in enumerate(streams[1:]):
        assert len(stream)
        assert 1000 * number <= stream.t[0] <= stream.t[-1] <= 1000 * number + 1000


def test_shot_noise_has_its_rate_and_is_uniform() -> None:
    video = MemoryVideo([np.full((20, 30), 90)] * 11, step_us=100_000)
    stream = concatenate_streams(list(contrast(video, shot_hz=10.0)))
    expected = 10.0 * 1.0 * 600
    assert abs(len(stream) - expected) < 6 * np.sqrt(expected)
    assert abs(stream.p.mean() - 0.5) < 6 * 0.5 / np.sqrt(expected)
    assert len(np.unique(stream.y.astype(int) * 30 + stream.x)) > 590
    assert np.histogram(stream.t, bins=10, range=(0, 1_000_000))[0].min() > expected / 10 * 0.7


def test_a_refractory_period_removes_events() -> None:
    free, blind = (sum(map(len, contrast(MemoryVideo(make_noise(8)), refractory_us=us))) for us in (0, 400))
    assert 0 < blind < free


def test_leaks_give_on_events_of_a_static_video() -> None:
    video = MemoryVideo([np.full((4, 5), 90)] * 21, step_us=50_000)
    stream = concatenate_streams(list(contrast(video, leak_hz=3.0, mismatch=0.0)))
    assert len(stream) == pytest.approx(3 * 20, abs=20)
    assert stream.p.all()


@pytest.mark.parametrize(
    "options",
    [{"threshold": 0}, {"mismatch": -1}, {"refractory_us": -1}, {"leak_hz": np.nan}, {"shot_hz": np.inf}, {"seed": -1}],
    ids=str,
)
def test_an_invalid_option_is_an_error(options: dict[str, float]) -> None:
    with pytest.raises(
        BadOption, match=f"{next(iter(options))}(: expected a finite number| must be an integer of 0 or more)"
    ):
        list(contrast(MemoryVideo(make_noise(2)), **options))


def test_frames_are_scaled_to_the_size_of_the_sensor() -> None:
    video = MemoryVideo([frame.astype(np.uint8) for frame in make_noise(3, (40, 60))])
    stream = concatenate_streams(list(contrast(video, width=30, height=20)))
    assert (stream.width, stream.height) == (30, 20)
    assert len(stream)
    with pytest.raises(BadOption, match="give height too, or neither"):
        list(contrast(video, width=30))


def test_a_threshold_below_gray_level_resolution_is_an_error() -> None:
    with pytest.raises(BadOption, match=r"threshold: expected at least 0\.001 log units, got 1e-50"):
        list(contrast(MemoryVideo(make_noise(2)), threshold=1e-50))


def weigh(colors: np.ndarray, weights: tuple[float, float, float]) -> np.ndarray:
    return (colors.astype(np.float64) * weights).sum(axis=2)


@pytest.mark.parametrize("difference", ["gray", "color"])
@pytest.mark.parametrize("threshold", [10, 25, 200])
def test_differences_of_weighted_colours_equal_a_plain_reference(difference: str, threshold: float) -> None:
    colors = np.random.default_rng(0).integers(0, 256, (9, 12, 16, 3), dtype=np.uint8)
    video = MemoryVideo(make_noise(9, (12, 16)), colours=lambda number: colors[number])
    weights = (0.2989, 0.587, 0.114) if difference == "gray" else (0.299, 0.587, 0.114)
    grays = [weigh(frame, weights) for frame in colors]
    for number, stream in enumerate(frame_difference(video, threshold=threshold, difference=difference)):
        changes = np.zeros((12, 16))
        if number and difference == "gray":
            changes = np.abs(grays[number] - grays[number - 1])
        elif number:
            changes = np.rint(weigh(np.abs(colors[number].astype(int) - colors[number - 1]), weights))
        rows, columns = np.nonzero(changes > threshold)
        assert (stream.x.tolist(), stream.y.tolist()) == (columns.tolist(), rows.tolist())
        brighter = (grays[number] > grays[number - 1])[rows, columns]
        assert stream.p.tolist() == brighter.tolist()


def test_a_change_of_colour_of_equal_gray_is_an_event_of_the_colour_difference_only() -> None:
    red, green = np.array([[[190, 0, 0]]], np.uint8), np.array([[[0, 97, 0]]], np.uint8)
    video = MemoryVideo([np.full((1, 1), 57, np.uint8)] * 2, colours=lambda number: (red, green)[number])
    counts = {
        name: sum(map(len, frame_difference(video, threshold=10, difference=name)))
        for name in ("luma", "gray", "color")
    }
    assert counts == {"luma": 0, "gray": 0, "color": 1}


def test_an_unknown_difference_is_an_error() -> None:
    with pytest.raises(BadOption, match="difference: expected luma, gray, color, got 'colour'"):
        list(frame_difference(MemoryVideo(make_noise(2)), difference="colour"))


@pytest.mark.parametrize("threshold", [0, -1, np.nan])
def test_an_invalid_difference_threshold_is_an_error(threshold: float) -> None:
    with pytest.raises(BadOption, match="threshold: expected a finite number above 0"):
        list(frame_difference(MemoryVideo(make_noise(2)), threshold=threshold))


MODELS = pytest.mark.parametrize("model", [frame_difference, contrast])


@MODELS
def test_a_video_is_decoded_frame_by_frame(model: Callable[..., Iterator[EventStream]]) -> None:
    video = MemoryVideo(make_noise(200))
    streams = model(video)
    for _ in range(10):
        next(streams)
    assert video.decoded == list(range(10))


@MODELS
def test_frames_above_the_maximum_sensor_size_are_an_error(model: Callable[..., Iterator[EventStream]]) -> None:
    with pytest.raises(BadInput, match="sensor size 70000x1"):
        list(model(MemoryVideo([np.zeros((1, 70_000))] * 2)))


@MODELS
def test_frames_before_damage_are_simulated(model: Callable[..., Iterator[EventStream]]) -> None:
    streams = model(MemoryVideo(make_noise(30), damaged=True))
    for _ in range(30):
        next(streams)
    with pytest.raises(BadInput, match="damaged"):
        next(streams)


@MODELS
def test_a_real_video_gives_events_at_walking_people(
    model: Callable[..., Iterator[EventStream]], test_data: Path
) -> None:
    reader = find_part("reader", "video").load()()
    video = reader.read(test_data / "ucsd_ped2" / "frames" / "01", fps=10)
    streams = []
    for stream in model(video):
        streams.append(stream)
        if len(streams) == 20:
            break
    whole = concatenate_streams(streams)
    assert (whole.width, whole.height) == (360, 240)
    assert 500 < len(whole) < 1_000_000
    assert whole.t[-1] <= 1_900_000
