"""The task `mixed-retrieval` on planted embeddings with a gap between modalities."""

from __future__ import annotations

import json

import numpy as np
import pytest

import anybind
from anybind import BadInput, Embeddings, Space
from anybind.dataset import Dataset, Item
from anybind.errors import BadOption
from anybind_retrieval.calibration import BACKGROUND_TEXTS
from anybind_retrieval.mixed_task import MixedRetrieval

CLASSES = tuple(f"c{number:02d}" for number in range(12))
MODALITIES = ("image", "event", "text")
DIM = len(CLASSES) + len(MODALITIES)


class PlantedBinder:
    """A binder whose embeddings are a class axis and, as the gap, an axis of the modality."""

    name = "planted"

    def __init__(self, gap=0.9, wrong=()):
        self.gap, self.wrong = gap, dict(wrong)

    def encoder(self, modality):
        assert modality in MODALITIES

    def embed(self, modality, inputs, derive_seed=None, on_bad=None):
        vectors = np.zeros((len(inputs), DIM))
        vectors[:, len(CLASSES) + MODALITIES.index(modality)] = self.gap
        ids = tuple(each.id if isinstance(each, Item) else f"text[{row}]" for row, each in enumerate(inputs))
        for row, each in enumerate(inputs):
            name = each.id if isinstance(each, Item) else each
            name = self.wrong.get((modality, name), name)
            axes = [number for number, label in enumerate(CLASSES) if label in name]
            if axes:
                vectors[row, axes[0]] = np.sqrt(1 - self.gap**2)
            else:  # a background text
                vectors[row, : len(CLASSES)] = np.random.default_rng(row).normal(size=len(CLASSES)) / 50
        vectors = anybind.normalize(vectors.astype(np.float32))
        return Embeddings(vectors, Space("planted", DIM), modality, ids, f"{modality}-encoder")


class PlantedDataset(Dataset):
    name = "planted"

    def __init__(self, labelled=True, modalities=("image", "event")):
        label = (lambda name: name) if labelled else (lambda name: "")
        self._items = [
            Item(f"{modality}-{name}", None, label(name), partners={modality: name})
            for modality in modalities
            for name in CLASSES
        ]
        if not labelled:
            self._items = [Item(name, None, partners=dict.fromkeys(modalities, name)) for name in CLASSES]
        self._classes = CLASSES if labelled else ()

    @property
    def items(self):
        return self._items

    @property
    def classes(self):
        return self._classes


@pytest.fixture(autouse=True)
def _partners_only(monkeypatch):
    """Make items available in their partners' modalities only."""
    resolve = lambda items, modalities, on_bad: [  # noqa: E731
        (item, tuple(item if name in item.partners else None for name in modalities)) for item in items
    ]
    monkeypatch.setattr("anybind_retrieval.mixed_task.resolve_items", resolve)


def run(binder=None, dataset=None, modality="image", gallery=("image", "event"), **options):
    task = MixedRetrieval(gallery=gallery, resamples=50, **options)
    return task.run(binder or PlantedBinder(), dataset or PlantedDataset(), modality=modality)


def test_calibration_finds_the_right_match_across_a_modality_gap():
    result = run()
    assert result.metrics["raw_R@1"] == 0
    assert result.metrics["raw_share_image"] == 1
    assert result.metrics["calibrated_R@1"] == 1
    assert (result.metrics["calibrated_share_event"], result.metrics["calibrated_share_image"]) == (1, 0)
    assert (result.metrics["R@1_event"], result.n, result.gallery_size) == (1, 12, 24)
    assert result.details["gallery"] == {"image": 12, "event": 12}
    assert result.details["uncalibrated"] == []
    assert "R@1_image" not in result.metrics  # each class has one image, the query
    assert result.chance["calibrated_R@1"] == pytest.approx(1 / 23)
    assert result.chance["raw_share_image"] == 0.5
    assert result.intervals["calibrated_R@1"] == (1, 1)
    json.dumps(result.to_dict())


def test_without_a_gap_raw_and_calibrated_matches_are_alike():
    result = run(PlantedBinder(gap=0.0))
    assert result.metrics["raw_R@1"] == result.metrics["calibrated_R@1"] == 1
    assert result.metrics["raw_share_event"] == 1


def test_planted_errors_lower_recall_by_their_fraction():
    wrong = {("event", f"event-{CLASSES[n]}"): f"event-{CLASSES[n + 1]}" for n in (0, 3, 6)}
    result = run(PlantedBinder(wrong=wrong))
    # The classes 0, 3, 6 have no match, and 1, 4, 7 two equal ones, of which one is wrong.
    assert result.metrics["calibrated_R@1"] == result.metrics["R@1_event"] == pytest.approx(6 / 12)
    low, high = result.intervals["calibrated_R@1"]
    assert low < 0.5 < high


def test_equal_scores_of_a_wrong_match_are_not_in_favour():
    result = run(PlantedBinder(gap=0.0, wrong={("event", "event-c01"): "event-c00"}))
    assert result.metrics["raw_R@1"] == pytest.approx(10 / 12)


def test_texts_are_class_names_in_prompts():
    result = run(gallery=["event", "text"])
    assert result.prompts
    assert result.metrics["calibrated_R@1"] == 1
    assert result.metrics["R@1_text"] == 1
    queries = run(modality="text", gallery="image, event")
    assert (queries.n, queries.gallery_size) == (12, 24)
    assert queries.metrics["raw_R@1"] == queries.metrics["calibrated_R@1"] == 1
    assert len(BACKGROUND_TEXTS) > 10


def test_without_labels_the_item_itself_is_right():
    result = run(dataset=PlantedDataset(labelled=False))
    assert result.metrics["calibrated_R@1"] == 1
    assert result.metrics["raw_share_image"] == 1


def test_a_gallery_without_samples_of_a_modality_is_refused():
    with pytest.raises(BadInput, match="available as event"):
        run(dataset=PlantedDataset(modalities=("image",)))


@pytest.mark.parametrize("options", [{"gallery": "image"}, {"gallery": ["image", "image"]}, {"resamples": 0}])
def test_invalid_options_are_refused(options):
    with pytest.raises(BadOption):
        MixedRetrieval(**{"gallery": MODALITIES, **options})
