"""Zero-shot metrics against plain counting, and the task on a binding small enough to follow by hand."""

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
    found = zero_shot.accuracies(ranked, truth)
    labels = list(range(classes))
    assert found["top1"] == pytest.approx(sklearn.metrics.accuracy_score(truth, ranked[:, 0]))
    in_five = [truth[i] in ranked[i, :5].tolist() for i in range(n)]
    assert found["top5"] == pytest.approx(sum(in_five) / n)
    recalls = sklearn.metrics.recall_score(truth, ranked[:, 0], labels=np.unique(truth), average=None)
    assert found["mean_per_class"] == pytest.approx(np.mean(recalls))
    names = [f"c{i}" for i in labels]
    confusion = zero_shot.confusion(ranked, truth, names, names)
    np.testing.assert_array_equal(confusion, sklearn.metrics.confusion_matrix(truth, ranked[:, 0], labels=labels))
    per_class = zero_shot.per_class_accuracy(ranked, truth, names)
    assert list(per_class.values()) == pytest.approx(list(recalls))


def test_the_interval_is_wilsons():
    # Example of Newcombe (1998), Statistics in Medicine 17, table I: 81 of 263.
    assert zero_shot.wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    low, high = zero_shot.wilson_interval(0, 10)
    assert low == pytest.approx(0, abs=1e-12)
    assert high == pytest.approx(0.2775, abs=5e-5)


class Corner(Encoder):
    """Embeds colours and colour words alike: pictures by their mean colour, words by their name."""

    weights_hash = "1" * 12
    preprocessing = {}  # noqa: RUF012 (an interface attribute)
    axes = ("red", "green", "blue")

    def __init__(self, modality):
        self.modality = modality
        self.space = anybind.Space("colour", 3)

    def encode(self, inputs):
        return anybind.normalize(np.array([self.one(sample) for sample in inputs]))

    def one(self, sample):
        if self.modality == "image":
            return sample.reshape(-1, 3).mean(axis=0)
        return [float(axis in sample) + 0.1 * ("shade" in sample) for axis in self.axes]


class Colours(Dataset):
    name = "colours"

    def __init__(self, mistake=False):
        self.mistake = mistake

    @property
    def classes(self):
        return ["red", "green"]

    @property
    def items(self):
        def picture(*colour):
            return np.full((2, 2, 3), colour, dtype=np.uint8)

        wrong = [Item("w", picture(0, 9, 0), "red")] if self.mistake else []
        return [Item("r", picture(9, 0, 0), "red"), Item("g", picture(1, 9, 2), "green"), *wrong]


@pytest.fixture
def binder(monkeypatch):
    loaded = anybind.load(anybind.Binding("corner", {m: ConfiguredPart("none") for m in ("text", "image")}))
    monkeypatch.setattr(loaded, "_encoders", {m: Corner(m) for m in ("text", "image")})
    return loaded


def test_the_result_records_question_and_answer(binder):
    result = ZeroShot().run(binder, Colours(mistake=True), modality="image", seed=7)
    assert (result.n, result.gallery_size, result.seed, result.binding) == (3, 2, 7, "corner")
    assert result.metrics["top1"] == pytest.approx(2 / 3)
    assert result.intervals["top1"] == zero_shot.wilson_interval(2, 3)
    assert result.chance == {"top1": 0.5, "top5": 1.0, "mean_per_class": 0.5}
    assert result.details["per_class"] == {"red": 0.5, "green": 1.0}
    assert result.details["confusion"] == [[1, 1], [0, 1]]
    assert set(result.encoders) == {"image", "text"}
    assert result.prompts == ("a photo of a {}",)
    assert {"top1", "top5", "n", "classes", "binding", "modality", "seed", "encoders"} <= result.to_dict().keys()


def test_more_classes_may_be_asked_for_than_the_data_has(binder):
    result = ZeroShot(among=["blue", "green", "red", "blue"]).run(binder, Colours(), modality="image")
    assert result.details["classes"] == ["blue", "green", "red"]
    assert result.metrics["top1"] == 1
    assert result.details["confusion"] == [[0, 0, 1], [0, 1, 0]]


def test_all_classes_of_data_of_which_a_part_was_kept_may_be_asked_for(binder):
    class Kept(Colours):
        all_classes = ("green", "red", "blue")

    result = ZeroShot(among="all").run(binder, Kept(), modality="image")
    assert result.details["classes"] == ["green", "red", "blue"]
    assert (result.gallery_size, result.metrics["top1"]) == (3, 1)
    assert ZeroShot(among="all").run(binder, Colours(), modality="image").gallery_size == 2


def test_classes_of_the_data_that_are_not_asked_for_are_an_error(binder):
    with pytest.raises(BadOption, match="missing: green"):
        ZeroShot(among=["red", "blue"]).run(binder, Colours(), modality="image")


def test_an_ensemble_is_the_mean_of_unit_vectors_over_templates(binder):
    templates = ("a {}", "a {} shade")
    ensemble = prompts.embed_class_names(binder, "text", ["red", "blue"], templates)
    singles = [
        prompts.embed_class_names(binder, "text", ["red", "blue"], (template,)).vectors for template in templates
    ]
    np.testing.assert_allclose(ensemble.vectors, anybind.normalize(np.mean(singles, axis=0)), atol=1e-6)
    assert ensemble.ids == ("red", "blue")


@pytest.mark.parametrize(("templates", "message"), [(["a photo"], "needs {}"), ([], "at least one")])
def test_a_template_without_a_place_for_the_name_is_refused(templates, message):
    with pytest.raises(BadOption, match=message):
        ZeroShot(templates=templates)


class Odd(Colours):
    def __init__(self, *items):
        super().__init__()
        self.odd = items

    @property
    def items(self):
        return [*super().items, *self.odd]


def test_samples_that_no_result_could_tell_apart_are_refused(binder):
    picture = np.full((2, 2, 3), 9, dtype=np.uint8)
    with pytest.raises(anybind.BadInput, match="two samples of one id"):
        ZeroShot().run(binder, Odd(Item("r", picture, "green")), modality="image")
    with pytest.raises(anybind.BadInput, match="labelled 'blue', which is none of its classes"):
        ZeroShot().run(binder, Odd(Item("b", picture, "blue")), modality="image")


def test_a_single_template_or_class_may_be_given_as_a_text():
    assert ZeroShot(templates="a {}", among="red").among == ["red"]
    assert ZeroShot(templates="a {}").templates == ("a {}",)
