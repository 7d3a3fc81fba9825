"""Statistics of recordings, compared with plain loops, and distances between simulated and real ones."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind import BadInput
from anybind.errors import BadOption
from anybind_events import EventStream, measure_realism
from anybind_events.realism import compare_statistics, compute_statistics
from helpers.command import Command


def noise(seed: int = 0, events: int = 4000, on: float = 0.5) -> EventStream:
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, 300_000, events))
    return EventStream(rng.integers(0, 30, events), rng.integers(0, 20, events), t, rng.random(events) < on, 30, 20)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), events=st.integers(20, 300))
def test_statistics_match_plain_loops(seed: int, events: int) -> None:
    stream = noise(seed, events)
    statistics = compute_statistics(stream)
    counts: dict[tuple[int, int], int] = defaultdict(int)
    last: dict[tuple[int, int], int] = {}
    parts, decades = np.zeros(12), np.zeros(28)
    for x, y, t in zip(stream.x.tolist(), stream.y.tolist(), stream.t.tolist(), strict=True):
        counts[x, y] += 1
        parts[(t - stream.t[0]) * 12 // (stream.duration_us + 1)] += 1
        if (x, y) in last:
            decades[int(np.floor(4 * np.log10(max(1, t - last[x, y]))))] += 1
        last[x, y] = t
    area = (max(x for x, _ in counts) - min(x for x, _ in counts) + 1) * (
        max(y for _, y in counts) - min(y for _, y in counts) + 1
    )
    assert statistics.rate_shares == pytest.approx(parts / events)
    assert statistics.interval_shares == pytest.approx(decades / max(1, decades.sum()))
    assert statistics.active_share == pytest.approx(len(counts) / area)
    assert statistics.on_share == pytest.approx(np.mean(stream.p))
    assert statistics.pixel_rate == pytest.approx(events / area / (stream.duration_us * 1e-6))


def test_a_pixel_with_many_more_events_than_its_neighbours_is_hot() -> None:
    quiet = noise(1, 600)  # about one event a pixel
    t = np.linspace(0, 300_000, 200).astype(int)
    hot = EventStream(np.full(200, 7), np.full(200, 5), t, np.ones(200, bool), 30, 20)
    order = np.argsort(np.concatenate([quiet.t, hot.t]), kind="stable")
    columns = (np.concatenate([getattr(quiet, name), getattr(hot, name)])[order] for name in "xytp")
    statistics = compute_statistics(EventStream(*columns, 30, 20))
    assert compute_statistics(quiet).hot_share == 0
    assert statistics.hot_share == 1 / 600
    assert statistics.hot_event_share == pytest.approx(200 / 800, abs=0.01)


def test_equal_recordings_have_no_distance_and_others_have_the_expected_one() -> None:
    one, other = compute_statistics(noise(1)), compute_statistics(noise(2, on=0.8))
    assert set(compare_statistics([one, one], [one]).values()) == {0.0}
    distances = compare_statistics([one], [other])
    assert distances["on_share"] == pytest.approx(0.3, abs=0.03)
    assert distances["rate"] < 0.01


def test_the_rate_distance_is_the_shift_of_events_in_shares_of_the_duration() -> None:
    def pulse(part: int) -> EventStream:
        t = np.concatenate([[0], np.full(10_000, part * 1000 + 500), [11_999]])
        return EventStream(np.zeros(10_002), np.zeros(10_002), t, np.ones(10_002, bool), 1, 1)

    first, second = (compute_statistics(pulse(part)) for part in (2, 5))
    assert compare_statistics([first], [second])["rate"] == pytest.approx(3 / 12, abs=1e-3)


def test_files_are_compared_and_drawn(cli: Command, tmp_path: Path) -> None:
    for number in range(3):
        anybind.write(noise(number), tmp_path / f"{number}.npz")
    paths = [tmp_path / f"{number}.npz" for number in range(3)]
    chart = tmp_path / "chart.png"
    ended = cli("realism", *paths[:2], "--real", paths[2], "-o", chart, "--json")
    record = json.loads(ended.out)
    expected = measure_realism([noise(0), noise(1)], [noise(2)])
    assert record["distances"] == dict(expected.distances)
    assert [each["file"] for each in record["simulated"]] == [str(path) for path in paths[:2]]
    assert record["output"] == str(chart)
    assert min(PIL.Image.open(chart).size) > 400
    assert "n = 1 real: a calibration" in cli("realism", paths[0], "--real", paths[2]).out


def test_eased_saccades_are_nearer_to_a_real_recording_than_constant_ones(test_data: Path) -> None:
    real = test_data / "n_caltech101_real" / "faces_easy_0001.bin"
    faces = sorted((test_data / "caltech101" / "images" / "Faces").glob("*"))[:3]
    distances = []
    for model in ("saccades", "eased-saccades"):
        streams = [anybind.derive("event", anybind.read(path), seed=1, model=model) for path in faces]
        distances.append(measure_realism(streams, [real]).distances)
    for name in ("rate", "intervals", "hot_share", "hot_event_share"):
        assert distances[1][name] < distances[0][name]


def test_missing_or_empty_recordings_and_other_files_are_errors(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(BadInput, match="at least one real recording"):
        measure_realism([noise()], [])
    with pytest.raises(BadInput, match="expected events at two or more times, got 1 events"):
        measure_realism([noise()[:1]], [noise()])
    with pytest.raises(BadInput, match=r"a\.png: expected an event recording, got image"):
        measure_realism([tmp_path / "a.png"], [noise()])
    with pytest.raises(BadOption, match="not a supported chart format"):
        measure_realism([noise()], [noise()], output=tmp_path / "chart.txt")


def test_one_of_several_recordings_in_a_file_is_chosen(cli: Command, test_data: Path) -> None:
    path = test_data / "more_events" / "n_datasets_example.mat"
    real = test_data / "n_caltech101_real" / "faces_easy_0001.bin"
    command = ("realism", path, "--real", real, "--json")
    assert "choose one with source=" in cli(*command).error()
    (simulated,) = json.loads(cli(*command, "--reader-option", "source=TD").out)["simulated"]
    assert simulated["events"] == 242_040
    assert measure_realism([noise(), path], real, reader_options={"source": "EM"}).simulated[1].events == 442_382
    assert "has an option 'sources'" in cli(*command, "--reader-option", "sources=TD").error()


def test_a_single_recording_is_a_list_of_one(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    anybind.write(noise(1), path)
    expected = measure_realism([str(path)], [path]).distances
    assert measure_realism(str(path), path).distances == expected
    assert measure_realism(noise(1), noise(1)).distances == expected
