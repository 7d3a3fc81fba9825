"""Live windows behind filters: the windows and answers of the filtered file, clocks that jump, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import anybind
from anybind.errors import BadInput, BadOption, UnknownName
from anybind.plugin import modalities, windows
from anybind_classification.demo_images import RECORDING
from anybind_events import EventStream, filter_events
from anybind_events.live.replay import Replay
from helpers.sources import Scripted, assert_counts_are_of_the_events, shift, split
from helpers.streams import draw_noise, list_events, move_bar

FILTERS = "background-activity,hot-pixel"


@pytest.mark.parametrize("stride", ["", "20ms", "90ms"])
def test_windows_are_those_of_the_filtered_file(stride: str) -> None:
    live = list(Replay(RECORDING, speed=0).windows("50ms", stride, drop="block", filters=FILTERS))
    options = windows.WindowOptions(window="50ms", stride=stride, filters=FILTERS)
    offline = list(modalities.find_modality("event").split(anybind.read(RECORDING), options))
    assert [(each.start_us, each.end_us, each.inactivity) for each in live] == [
        (each.start_us, each.end_us, each.inactivity) for each in offline
    ]
    for one, other in zip(live, offline, strict=True):
        assert list_events(one.events) == list_events(other.sample)
    assert_counts_are_of_the_events(live)
    assert live[-1].counts.events == len(anybind.read(RECORDING))


def test_noise_that_a_filter_thins_out_did_not_move_and_what_is_filtered_away_is_no_event() -> None:
    noise = draw_noise(100_000, 5.0, 128, 128, seed=1)
    (window,) = Scripted([noise]).windows("100ms", drop="block", filters="background-activity")
    assert 0 < len(window.events) < len(noise)
    assert window.inactivity == "nothing moved"
    only_on = EventStream(noise.x, noise.y, noise.t, np.ones(len(noise), bool), 128, 128)
    (window,) = Scripted([only_on]).windows("100ms", drop="block", filters="polarity:keep=off")
    assert (len(window.events), window.inactivity) == (0, "no events")


def test_filters_start_anew_where_the_clock_jumps() -> None:
    bar = move_bar(100_000, noise_hz=5)
    chunks = [*split(shift(bar, 50_000_000)), *split(bar, seed=1)]
    live = list(Scripted(chunks).windows("100ms", drop="block", filters="background-activity"))
    assert live[-1].counts.jumps == 1
    expected = filter_events(bar, "background-activity")
    assert [len(each.events) for each in live] == [len(expected)] * 2
    assert list_events(live[-1].events) == list_events(expected)


def test_late_events_pass_filters() -> None:
    bar = move_bar(100_000)
    live = list(Scripted([bar, shift(bar, 90_000)]).windows("50ms", drop="block", filters="polarity:keep=on"))
    assert live[-1].counts.backwards > 0
    assert sum(len(each.events) for each in live) == 2 * len(bar)
    assert (np.diff(np.concatenate([each.events.t for each in live])) >= 0).all()


def test_a_chunk_without_events_keeps_a_filtered_source_alive() -> None:
    bar = move_bar(100_000)
    live = list(Scripted([bar.head(0), bar, bar.head(0)]).windows("50ms", drop="block", filters=FILTERS))
    assert len(live) == 2


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"filters": "background-activty"}, UnknownName, "background-activity"),
        ({"filters": "background-activity:duration=3"}, BadOption, "duration"),
        ({"filters": FILTERS, "length": "500ev"}, BadOption, "filters need windows of a duration, such as 100ms"),
    ],
)
def test_invalid_filters_are_refused_before_the_source_starts(options, error, message: str) -> None:
    source = Scripted([move_bar(100_000)])
    with pytest.raises(error, match=message):
        source.windows(**options)
    assert not source.sent.is_set()


def test_the_camera_of_another_sensor_is_one_error(tmp_path: Path) -> None:
    matrix = {"rows": 3, "cols": 3, "data": [300, 0, 173, 0, 300, 130, 0, 0, 1]}
    camera = {"image_width": 346, "image_height": 260, "camera_matrix": matrix}
    camera["distortion_coefficients"] = {"rows": 1, "cols": 5, "data": [0.1, 0, 0, 0, 0]}
    path = tmp_path / "camera.json"
    path.write_text(json.dumps(camera))
    source = Scripted([move_bar(100_000)])
    with pytest.raises(BadInput, match="346x260"):
        list(source.windows("50ms", drop="block", filters=f"undistort:camera={path}"))
    assert source.closed.is_set()
