"""Windows of live sources: replay, queue, clocks, and sources that fail."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import anybind
from anybind.errors import BadInput, BadOption, PluginError
from anybind.windows import WindowOptions
from anybind_events import EventStream, LiveWindow
from anybind_events.live import chunk_queue
from anybind_events.live.replay import Replay
from anybind_events.live_source import SourceStalled
from anybind_events.windows import divide_stream
from helpers.sources import Scripted, assert_counts_are_of_the_events, shift, split
from helpers.streams import draw_noise, list_events, move_bar

LENGTHS = [("100ms", "30ms"), ("40ms", ""), ("30ms", "70ms"), ("500ev", "300ev"), ("300ev", "500ev"), ("300ev", "")]


def assert_windows_equal(live: Sequence[LiveWindow], stream: EventStream, length: str, stride: str) -> None:
    whole = list(divide_stream(stream, WindowOptions(window=length, stride=stride)))
    assert [(each.start_us, each.end_us) for each in live] == [(each.start_us, each.end_us) for each in whole]
    for one, other in zip(live, whole, strict=True):
        assert list_events(one.events) == list_events(other.events)
    assert_counts_are_of_the_events(live)


@pytest.mark.parametrize(("length", "stride"), LENGTHS)
def test_windows_of_chunks_are_those_of_the_whole_recording(length: str, stride: str) -> None:
    stream = move_bar(400_000, noise_hz=2)
    live = list(Scripted(split(stream)).windows(length, stride, drop="block"))
    assert len(live) > 2
    assert_windows_equal(live, stream, length, stride)
    assert live[-1].counts.events == len(stream)


@pytest.mark.parametrize("name", ["dvs128_walking.aedat", "slider_depth.txt", "evt3_small.raw", "davis240.aedat4"])
def test_a_replay_gives_the_windows_of_the_file(name: str, test_data: Path) -> None:
    path = test_data / "events" / name
    live = list(Replay(path, speed=0).windows("30ms", "10ms", drop="block"))
    assert_windows_equal(live, anybind.read(path), "30ms", "10ms")


def test_windows_stay_unchanged_while_others_follow() -> None:
    source = Scripted(split(move_bar(2_000_000)))
    windows = source.windows("50ms", drop="block")
    first = next(windows)
    before = list_events(first.events)
    assert len(list(windows)) > 30
    assert list_events(first.events) == before
    assert_counts_are_of_the_events([first])


def test_windows_without_motion_or_events_say_so() -> None:
    bar, noise = move_bar(100_000), draw_noise(100_000, 5.0, 64, 64, seed=1)
    later = shift(bar, 300_000)
    live = list(Scripted([bar, shift(noise, 100_000), later]).windows("100ms", drop="block"))
    assert [each.inactivity for each in live] == ["", "nothing moved", "no events", ""]


def test_a_replay_takes_as_long_as_the_recording_and_speed_divides_that(tmp_path: Path) -> None:
    anybind.write(move_bar(300_000), tmp_path / "bar.npz")
    durations = []
    for speed in (1, 4):
        source = Replay(tmp_path / "bar.npz", speed=speed)
        windows = list(source.windows("100ms"))
        durations.append(windows[-1].arrival_s - source.start_s)
    assert durations[0] >= 0.28
    assert durations[1] >= 0.07


def test_a_rate_scales_the_times(tmp_path: Path) -> None:
    stream = move_bar(1_000_000)
    anybind.write(stream, tmp_path / "bar.npz")
    windows = list(Replay(tmp_path / "bar.npz", rate=20 * len(stream)).windows("10ms"))
    assert windows[-1].end_us == pytest.approx(50_000, rel=0.05)
    assert sum(len(each.events) for each in windows) == len(stream)


def test_a_loop_goes_on_with_continued_time(tmp_path: Path) -> None:
    stream = move_bar(100_000)
    anybind.write(stream, tmp_path / "bar.npz")
    windows = Replay(tmp_path / "bar.npz", speed=0, loop=True).windows("50ms", drop="block")
    taken = [next(windows) for _ in range(9)]
    windows.close()  # pyright: ignore[reportAttributeAccessIssue]
    times = np.concatenate([each.events.t for each in taken])
    assert (np.diff(times) >= 0).all()
    assert [each.start_us for each in taken] == [50_000 * number for number in range(9)]
    assert taken[-1].counts.jumps == 0


def test_a_jump_of_the_clock_begins_new_windows_and_is_counted() -> None:
    bar = move_bar(100_000)
    chunks = [shift(bar, 50_000_000), shift(bar, 90_000_000), bar]
    live = list(Scripted(chunks).windows("40ms", drop="block"))
    assert live[-1].counts.jumps == 2
    assert len(live) == 9  # and not one for each 40 ms in between
    assert sum(len(each.events) for each in live) == 3 * len(bar)
    assert all(one.start_us < other.start_us for one, other in itertools.pairwise(live))
    assert_counts_are_of_the_events(live)


def test_a_jump_inside_a_chunk_is_one_too() -> None:
    bar = move_bar(100_000)
    t = bar.t.copy()
    t[len(t) // 2 :] += 3_600_000_000
    live = list(Scripted([EventStream(bar.x, bar.y, t, bar.p, 64, 64)]).windows("10ms", drop="block"))
    assert live[-1].counts.jumps == 1
    assert len(live) < 20


def test_events_a_little_late_are_raised_and_counted() -> None:
    bar = move_bar(100_000)
    live = list(Scripted([bar, shift(bar, 90_000)]).windows("50ms", drop="block"))
    assert live[-1].counts.backwards > 0
    assert sum(len(each.events) for each in live) == 2 * len(bar)
    assert (np.diff(np.concatenate([each.events.t for each in live])) >= 0).all()
    assert_counts_are_of_the_events(live)


@pytest.mark.parametrize(("drop", "expected"), [("oldest", [2, 3]), ("newest", [0, 1])])
def test_a_flood_drops_by_the_policy_and_counts(
    drop: str, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    bar = move_bar(100_000)
    monkeypatch.setattr(chunk_queue, "MAX_EVENTS", 2 * len(bar))
    queue = chunk_queue.ChunkQueue(60.0, drop)
    chunks = [shift(bar, 100_000 * number) for number in range(4)]
    queue.fill(chunks)
    received = []
    while (arrived := queue.get(1.0)) is not None:
        received.append(arrived[0])
    assert list_events(*received) == list_events(*(chunks[number] for number in expected))
    counts = queue.count(0, 0)
    assert (counts.events, counts.dropped, counts.queued) == (4 * len(bar), 2 * len(bar), 0)


def test_events_that_waited_too_long_are_dropped() -> None:
    bar = move_bar(100_000)
    queue = chunk_queue.ChunkQueue(0.0, "oldest")
    queue.fill([bar, shift(bar, 100_000)])
    assert list_events(queue.get(1.0)[0]) == list_events(shift(bar, 100_000))  # pyright: ignore[reportOptionalSubscript]
    assert queue.count(0, 0).dropped == len(bar)


def test_blocking_drops_no_events(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = move_bar(400_000)
    monkeypatch.setattr(chunk_queue, "MAX_EVENTS", 100)
    live = list(Scripted(split(stream)).windows("50ms", drop="block"))
    assert live[-1].counts.dropped == 0
    assert_windows_equal(live, stream, "50ms", "")


def test_a_stalled_source_is_an_error_after_the_windows_before_and_is_closed() -> None:
    source = Scripted([move_bar(100_000)], hang=True)
    windows = source.windows("40ms", timeout=0.2)
    assert [next(windows).start_us for _ in range(3)] == [0, 40_000, 80_000]
    with pytest.raises(SourceStalled, match=r"nothing for 0\.2 s"):
        next(windows)
    assert source.closed.is_set()


def test_an_error_of_the_source_comes_after_what_it_sent() -> None:
    for error, raised in ((BadInput("unplugged"), BadInput), (ValueError("odd"), PluginError)):
        windows = Scripted([move_bar(100_000)], error).windows("40ms", drop="block")
        assert [next(windows).start_us for _ in range(3)] == [0, 40_000, 80_000]
        with pytest.raises(raised, match=r"unplugged|source failed: ValueError: odd"):
            next(windows)


def test_closing_the_windows_closes_the_source() -> None:
    source = Scripted([move_bar(100_000)], hang=True)
    windows = source.windows("40ms")
    next(windows)
    windows.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert source.closed.is_set()


def test_a_sensor_that_changes_its_size_is_an_error() -> None:
    windows = Scripted([move_bar(50_000), shift(move_bar(50_000, side=80), 50_000)]).windows("500ms")
    with pytest.raises(BadInput, match="64x64 to 80x80"):
        list(windows)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": "auto"}, "expected a duration"),
        ({"stride": "500ev"}, "one unit"),
        ({"drop": "all"}, "expected oldest, newest, block"),
        ({"timeout": -1}, "0 or more seconds"),
    ],
)
def test_invalid_options_are_refused_before_the_source_starts(options: dict[str, object], message: str) -> None:
    source = Scripted([])
    with pytest.raises(BadOption, match=message):
        source.windows(**options)  # pyright: ignore[reportArgumentType]
    assert not source.sent.is_set()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"speed": 1, "rate": 5}, "not both"),
        ({"speed": -1}, "speed"),
        ({"rate": 0}, "rate: expected a number above 0"),
        ({"speed": True}, "speed: expected a number"),
        ({"loop": 1}, "loop: expected true or false, got 1"),
        ({"reader_options": "size=1x1"}, "reader_options: expected options by name, got 'size=1x1'"),
        ({"path": 5}, "path: expected the path of a recording, got 5"),
    ],
)
def test_a_replay_refuses_invalid_options(options: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=message):
        Replay(**{"path": tmp_path / "absent.npz", **options})  # pyright: ignore[reportArgumentType]


def test_a_replay_refuses_options_that_its_reader_does_not_take(tmp_path: Path) -> None:
    anybind.write(move_bar(100_000), tmp_path / "bar.npz")
    for name in ("sizes", "count", "path", "reader"):
        with pytest.raises(BadOption, match=f"option '?{name}"):
            Replay(tmp_path / "bar.npz", {name: 5})


def test_a_replay_refuses_files_that_are_no_event_recordings(tmp_path: Path) -> None:
    anybind.write(np.zeros((8, 8, 3), np.uint8), tmp_path / "image.png")
    with pytest.raises(BadInput, match="expected an event recording"):
        Replay(tmp_path / "image.png")
    with pytest.raises(BadInput, match="cannot read"):
        Replay(tmp_path / "absent.npz")
