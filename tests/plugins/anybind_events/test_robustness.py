"""The task `robustness`: metrics without and with filters, recordings without labels, events or validity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from anybind.binder import Binder
from anybind.dataset import Dataset
from anybind.encoder import Encoder
from anybind.errors import AnybindError, BadInput, BadOption, UnknownName
from anybind.item import Item
from anybind.plugin import windows
from anybind.testing.random_encoder import SPACE, make_random_binder
from anybind_events.robustness import Robustness
from anybind_events.stream import EventStream
from helpers.streams import move_bar

CLASSES = ("left", "right")
FILTER = "background-activity"


class CountEncoder(Encoder):
    """An encoder of the events on each half of the sensor; texts are the classes `left` and `right`."""

    space, logit_scale = SPACE, 100.0

    def __init__(self, modality: str) -> None:
        self.modality = modality

    @property
    def weights_hash(self) -> str:
        return "1" * 12

    @property
    def preprocessing(self) -> Mapping[str, object]:
        return {"halves": 2}

    def preprocess(self, sample: object) -> np.ndarray:
        row = np.zeros(SPACE.dim, np.float32)
        if isinstance(sample, EventStream):
            row[:2] = np.bincount(2 * sample.x.astype(int) // sample.width, minlength=2)
        else:
            row[int("right" in str(sample))] = 1
        return row / np.linalg.norm(row)

    def encode(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack(list(inputs))


class Halves(Dataset):
    """Recordings of a bar on the left or on the right half, with or without labels."""

    name = "halves"

    def __init__(self, *, labelled: bool = True, extra: Sequence[Item] = ()) -> None:
        items = []
        for number in range(6):
            bar = move_bar(200_000, seed=number)
            x = bar.x // 2 + (32 if number % 2 else 0)
            stream = EventStream(x, bar.y, bar.t, bar.p, 64, 64)
            items.append(Item(f"{number}", stream, CLASSES[number % 2] if labelled else ""))
        self.set_items([*items, *extra], CLASSES if labelled else ())


@pytest.fixture
def binder() -> Binder:
    binder = make_random_binder("event", "text")
    for modality in ("event", "text"):
        binder._encoders[modality] = CountEncoder(modality)
    return binder


def test_noise_lowers_the_cosine_and_a_filter_raises_it(binder: Binder):
    result = Robustness(filters=FILTER).run(binder, Halves(), modality="event")
    assert result.n == 6
    assert result.metrics["clean_top1"] == 1
    assert result.metrics["cosine"] < result.metrics["filtered_cosine"] <= 1
    rows = result.details["severities"]
    assert [row["severity"] for row in rows] == [1, 2, 3]
    cosines = [row["cosine"] for row in rows]
    assert cosines == sorted(cosines, reverse=True)
    assert result.metrics["cosine"] == pytest.approx(np.mean(cosines))
    for name, (low, high) in result.intervals.items():
        assert low <= result.metrics[name] + 1e-9
        assert high >= result.metrics[name] - 1e-9


def test_the_clean_row_shows_what_the_filters_change(binder: Binder):
    result = Robustness(corruption="none", filters="region:x=0:y=0:width=32:height=64").run(
        binder, Halves(), modality="event"
    )
    assert result.metrics["cosine"] == pytest.approx(1)
    assert result.metrics["top1"] == 1
    assert result.metrics["filtered_top1"] == 0.5  # no event of those on the right is left
    assert result.metrics["filtered_cosine"] == pytest.approx(0.5)


def test_a_seed_gives_the_same_result_again(binder: Binder):
    task = Robustness(corruption="background-noise", severities=[2], filters="")
    first, again, other = (task.run(binder, Halves(), modality="event", seed=seed).metrics for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_recordings_without_labels_have_cosines(binder: Binder):
    result = Robustness(filters=FILTER).run(binder, Halves(labelled=False), modality="event")
    assert set(result.metrics) == {"cosine", "filtered_cosine"}
    assert set(result.undefined) == {"top1", "filtered_top1", "clean_top1"}


def test_windows_are_averaged(binder: Binder):
    options = windows.WindowOptions(window="50ms")
    result = Robustness(filters=FILTER, windows=options).run(binder, Halves(), modality="event")
    assert result.details["windows"] == {"window": "50ms"}
    assert 0 < result.metrics["cosine"] < 1


def test_invalid_recordings_are_reported_once_and_left_out(binder: Binder):
    dataset = Halves(extra=[Item("empty", move_bar().head(0), "left"), Item("missing", "missing.npz", "left")])
    reported: list[str] = []

    def record(id: str, error: AnybindError) -> None:
        reported.append(id)

    assert Robustness(severities=[1]).run(binder, dataset, modality="event", on_bad=record).n == 6
    assert sorted(reported) == ["empty", "missing"]
    with pytest.raises(BadInput):
        Robustness(severities=[1]).run(binder, dataset, modality="event")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"corruption": "noise"}, BadOption),
        ({"severities": [4]}, BadOption),
        ({"severities": []}, BadOption),
        ({"filters": "noise"}, UnknownName),
        ({"templates": "no place"}, BadOption),
        ({"windows": windows.WindowOptions(filters=FILTER)}, BadOption),
    ],
)
def test_invalid_options_are_errors(options: dict[str, object], error: type[AnybindError]):
    with pytest.raises(error):
        Robustness(**options)  # pyright: ignore[reportArgumentType]


def test_other_modalities_are_an_error(binder: Binder):
    with pytest.raises(BadOption, match="expected the modality event"):
        Robustness().run(binder, Halves(), modality="image")
