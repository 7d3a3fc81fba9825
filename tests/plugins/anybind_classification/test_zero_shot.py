"""Zero-shot metrics against scikit-learn, and the task on a toy binding."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

import anybind
from anybind import prompts
from anybind.binding import ConfiguredPart
from anybind.dataset import Dataset, Item
from anybind.encoder import Encoder
from anybind.errors import BadOption
from anybind_classification import zero_shot
from anybind_classification.zero_shot import ZeroShot


@given(st.integers(2, 9), st.integers(1, 40), st.randoms(use_true_random=False))
def test_accuracies_equal_scikit_learns(classes, n, random):
    truth = np.array([random.randrange(classes) for _ in range(n)])
    scores = np.array([[random.random() for _ in range(classes)] for _ in range(n)])
    ranked = np.argsort(-scores, axis=1, kind="stable")
    accuracies = zero_shot.compute_accuracies(ranked, truth)
    labels = list(range(classes))
    assert accuracies["top1"] == pytest.approx(sklearn.metrics.accuracy_score(truth, ranked[:, 0]))
    top5_hits = [truth[i] in ranked[i, :5].tolist() for i in range(n)]
    assert accuracies["top5"] == pytest.approx(sum(top5_hits) / n)
    recalls = sklearn.metrics.recall_score(truth, ranked[:, 0], labels=np.unique(truth), average=None)
    assert accuracies["mean_per_class"] == pytest.approx(np.mean(recalls))
    names = [f"c{i}" for i in labels]
    confusion = zero_shot.compute_confusion(ranked, truth, names, names)
    np.testing.assert_array_equal(confusion, sklearn.metrics.confusion_matrix(truth, ranked[:, 0], labels=labels))
    per_class = zero_shot.compute_per_class_accuracy(ranked, truth, names)
    assert list(per_class.values()) == pytest.approx(list(recalls))


def test_the_confidence_interval_equals_published_values():
    # Example of Newcombe (1998), Statistics in Medicine 17, table I: 81 of 263.
    assert zero_shot.compute_wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    low, high = zero_shot.compute_wilson_interval(0, 10)
    assert low == pytest.approx(0, abs=1e-12)
    assert high == pytest.approx(0.2775, abs=5e-5)


class ColourEncoder(Encoder):
    """A toy encoder: images by their mean colour, texts by the colours that they name."""

    weights_hash = "1" * 12
    preprocessing = {}  # noqa: RUF012 (an interface attribute)
    axes = ("red", "green", "blue")

    def __init__(self, modality):
        self.modality = modality
        self.space = anybind.Space("colour", 3)

    def encode(self, inputs):
        return anybind.normalize(np.array([self.embed_one(sample) for sample in inputs]))

    def embed_one(self, sample):
        if self.modality == "image":
            return sample.reshape(-1, 3).mean(axis=0)
        return [float(axis in sample) + 0.1 * ("shade" in sample) for axis in self.axes]


class ColourDataset(Dataset):
    name = "colours"

    def __init__(self, with_error=False):
        self.with_error = with_error

    @property
    def classes(self):
        return ["red", "green"]

    @property
    def items(self):
        def make_image(*colour):
            return np.full((2, 2, 3), colour, dtype=np.uint8)

        mislabelled = [Item("w", make_image(0, 9, 0), "red")] if self.with_error else []
        return [Item("r", make_image(9, 0, 0), "red"), Item("g", make_image(1, 9, 2), "green"), *mislabelled]


@pytest.fixture
def binder(monkeypatch):
    loaded = anybind.load(anybind.Binding("corner", {m: ConfiguredPart("none") for m in ("text", "image")}))
    encoders = {(modality, loaded.backend): ColourEncoder(modality) for modality in ("text", "image")}
    monkeypatch.setattr(loaded._loader, "encoders", encoders)
    return loaded


def test_the_result_has_settings_and_metrics(binder):
    result = ZeroShot().run(binder, ColourDataset(with_error=True), modality="image", seed=7)
    assert (result.n, result.gallery_size, result.seed, result.binding) == (3, 2, 7, "corner")
    assert result.metrics["top1"] == pytest.approx(2 / 3)
    assert result.intervals["top1"] == zero_shot.compute_wilson_interval(2, 3)
    assert result.chance == {"top1": 0.5, "top5": 1.0, "mean_per_class": 0.5}
    assert result.details["per_class"] == {"red": 0.5, "green": 1.0}
    assert result.details["confusion"] == [[1, 1], [0, 1]]
    assert set(result.encoders) == {"image", "text"}
    assert result.prompts == ("a photo of a {}",)
    assert {"top1", "top5", "n", "classes", "binding", "modality", "seed", "encoders"} <= result.to_dict().keys()


def test_candidate_labels_may_exceed_the_dataset_classes(binder):
    result = ZeroShot(candidate_labels=["blue", "green", "red", "blue"]).run(binder, ColourDataset(), modality="image")
    assert result.details["classes"] == ["blue", "green", "red"]
    assert result.metrics["top1"] == 1
    assert result.details["confusion"] == [[0, 0, 1], [0, 1, 0]]


def test_candidate_labels_all_are_those_of_the_complete_dataset(binder):
    class ColourSubset(ColourDataset):
        all_classes = ("green", "red", "blue")

    result = ZeroShot(candidate_labels="all").run(binder, ColourSubset(), modality="image")
    assert result.details["classes"] == ["green", "red", "blue"]
    assert (result.gallery_size, result.metrics["top1"]) == (3, 1)
    assert ZeroShot(candidate_labels="all").run(binder, ColourDataset(), modality="image").gallery_size == 2


def test_candidate_labels_without_a_dataset_class_are_an_error(binder):
    with pytest.raises(BadOption, match="missing: green"):
        ZeroShot(candidate_labels=["red", "blue"]).run(binder, ColourDataset(), modality="image")


def test_a_prompt_ensemble_is_the_mean_of_unit_vectors(binder):
    templates = ("a {}", "a {} shade")
    ensemble = prompts.embed_class_names(binder, "text", ["red", "blue"], templates)
    singles = [
        prompts.embed_class_names(binder, "text", ["red", "blue"], (template,)).vectors for template in templates
    ]
    np.testing.assert_allclose(ensemble.vectors, anybind.normalize(np.mean(singles, axis=0)), atol=1e-6)
    assert ensemble.ids == ("red", "blue")


@pytest.mark.parametrize(("templates", "message"), [(["a photo"], "needs {}"), ([], "at least one")])
def test_a_template_without_placeholder_is_an_error(templates, message):
    with pytest.raises(BadOption, match=message):
        ZeroShot(templates=templates)


class FaultyDataset(ColourDataset):
    def __init__(self, *items):
        super().__init__()
        self.faulty_items = items

    @property
    def items(self):
        return [*super().items, *self.faulty_items]


def test_duplicate_ids_and_unknown_labels_are_an_error(binder):
    image = np.full((2, 2, 3), 9, dtype=np.uint8)
    with pytest.raises(anybind.BadInput, match="expected unique sample ids"):
        ZeroShot().run(binder, FaultyDataset(Item("r", image, "green")), modality="image")
    with pytest.raises(anybind.BadInput, match="'blue' is not one of the dataset's classes"):
        ZeroShot().run(binder, FaultyDataset(Item("b", image, "blue")), modality="image")


def test_a_single_template_or_candidate_label_may_be_a_string():
    assert ZeroShot(templates="a {}", candidate_labels="red").candidate_labels == ["red"]
    assert ZeroShot(templates="a {}").templates == ("a {}",)
