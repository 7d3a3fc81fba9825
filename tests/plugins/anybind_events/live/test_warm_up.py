"""What is done before a live source starts, so that its first windows take no longer than the others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import anybind
from anybind.errors import BadInput, BadOption
from anybind_classification import LiveAnswer, watch
from anybind_events import EventStream, LiveWindow
from anybind_events.filter import Filter
from anybind_events.live.warm_up import N_WINDOWS
from helpers.sources import Scripted, split
from helpers.streams import list_events, move_bar

TESTS = Path(__file__).parents[3]


class OfKnownSize(Scripted):
    """A source that knows its sensor, and records the order of events."""

    def __init__(self, stream: EventStream, size: tuple[int, int] | None = None) -> None:
        super().__init__(split(stream))
        self.size, self.log = size, list[object]()

    def prepare(self) -> tuple[int, int] | None:
        self.log.append("prepare")
        return self.size

    def chunks(self) -> Iterator[EventStream]:
        self.log.append("start")
        return super().chunks()


class Fixed(Filter):
    """A filter of a camera of 64x64 pixels."""

    @property
    def settings(self) -> Mapping[str, object]:
        return {}

    def start(self, width: int, height: int):
        if (width, height) != (64, 64):
            raise BadInput(f"of 64x64 pixels, got {width}x{height}")
        return lambda stream: stream


@pytest.mark.slow
@pytest.mark.parametrize("source", ["bar.raw", "bar.aedat4", "bar.csv", "stdin", "dv"])
def test_modules_and_compiled_loops_are_ready_before_the_source_starts(source: str, tmp_path: Path) -> None:
    stream = move_bar(300_000, noise_hz=20)
    for suffix in (".raw", ".aedat4", ".csv"):
        anybind.write(stream, tmp_path / f"bar{suffix}")
    command = [sys.executable, "-m", "helpers.first_uses", str(tmp_path), source]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == []


@pytest.mark.parametrize(("length", "stride"), [("30ms", ""), ("50ms", "20ms"), ("1h", ""), ("300ev", "500ev")])
@pytest.mark.parametrize("size", [(64, 64), (1280, 720), (3, 2)])
def test_made_up_windows_of_the_sensor_come_first_and_are_not_counted(
    length: str, stride: str, size: tuple[int, int]
) -> None:
    stream = move_bar(100_000)
    source = OfKnownSize(stream, size)
    made_up: list[LiveWindow] = []

    def use(window: LiveWindow) -> None:
        made_up.append(window)
        source.log.append("made up")

    live = list(source.windows(length, stride, drop="block", warm_up=use))
    assert source.log == ["prepare", *["made up"] * N_WINDOWS, "start"]
    assert {(each.events.width, each.events.height) for each in made_up} == {size}
    assert all(len(each.events) for each in made_up)
    assert live[-1].counts.events == len(stream)
    assert list_events(live[0].events) == list_events(stream)[: len(live[0].events)]


@pytest.mark.parametrize("filters", ["background-activity,hot-pixel", "refractory,dead-pixel", "trail", "flicker"])
def test_filters_leave_events_of_made_up_windows(filters: str) -> None:
    made_up: list[LiveWindow] = []
    list(OfKnownSize(move_bar(50_000), (640, 480)).windows("100ms", filters=filters, warm_up=made_up.append))
    assert all(len(each.events) for each in made_up)


def test_made_up_answers_are_not_counted() -> None:
    made_up: list[LiveAnswer] = []
    source = OfKnownSize(move_bar(100_000))
    answers = list(watch(source, ["a face", "a cat"], window="50ms", drop="block", warm_up=made_up.append))
    assert len(made_up) == N_WINDOWS
    assert [each.encoder_calls for each in answers] == [1, 2]
    assert source.log == ["prepare", "start"]


def test_a_filter_of_another_sensor_is_an_error_before_the_source_starts() -> None:
    source = OfKnownSize(move_bar(50_000), (32, 32))
    with pytest.raises(BadInput, match="got 32x32"):
        list(source.windows("10ms", filters=Fixed()))
    assert source.log == ["prepare"]
    assert source.closed.is_set()


def test_a_filter_of_a_sensor_that_is_not_known_yet_is_tried_with_its_events() -> None:
    source = OfKnownSize(move_bar(50_000), None)
    assert len(list(source.windows("10ms", filters=Fixed()))) == 5


def test_a_source_that_cannot_be_prepared_is_one_error_and_is_closed() -> None:
    class Absent(OfKnownSize):
        def prepare(self) -> None:
            raise BadOption("no camera found")

    source = Absent(move_bar(50_000))
    with pytest.raises(BadOption, match="no camera found"):
        list(source.windows("10ms"))
    assert source.log == []
    assert source.closed.is_set()
