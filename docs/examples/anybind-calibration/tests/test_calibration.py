"""Metrics beside what they are by definition, and the tasks on answers whose certainty is known."""

import anybind
import numpy as np
import pytest
from anybind.dataset import Item
from anybind.errors import BadOption
from anybind.plugin import HeadInput
from anybind.testing import stand_in_binder

from anybind_calibration.calibration import Calibration
from anybind_calibration.examples import Texts
from anybind_calibration.metrics import (
    auroc,
    best_scale,
    brier,
    expected_calibration_error,
    false_positives,
    risk_by_coverage,
    softmax,
)
from anybind_calibration.residual import Residual
from anybind_calibration.unknown import OutOfDistribution


def test_answers_that_are_right_as_often_as_they_are_certain_have_no_error():
    certainty = np.repeat([0.25, 0.75], 4)
    right = np.array([1, 0, 0, 0, 1, 1, 1, 0], bool)
    assert expected_calibration_error(certainty, right, 10) == pytest.approx(0)
    assert expected_calibration_error(certainty, ~right, 10) == pytest.approx(0.5)


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_the_calibration_error_is_the_weighted_gap_of_each_part(bins):
    random = np.random.default_rng(bins)
    certainty, right = random.random(200), random.random(200) < 0.6
    gaps = 0.0
    for low in range(bins):
        inside = (certainty >= low / bins) & (certainty < (low + 1) / bins)
        if inside.any():
            gaps += inside.mean() * abs(certainty[inside].mean() - right[inside].mean())
    assert expected_calibration_error(certainty, right, bins) == pytest.approx(gaps)


def test_auroc_counts_pairs_and_halves_of_ties():
    random = np.random.default_rng(0)
    known, unknown = random.integers(0, 9, 40) / 9, random.integers(0, 7, 30) / 9
    pairs = [(one > other) + 0.5 * (one == other) for one in known for other in unknown]
    assert auroc(known, unknown) == pytest.approx(np.mean(pairs))
    assert auroc(unknown, known) == pytest.approx(1 - np.mean(pairs))


def test_false_positives_are_those_above_the_bar_that_nineteen_of_twenty_known_pass():
    known = np.arange(100) / 100
    assert false_positives(known, np.array([0.0, 0.04, 0.05, 0.5])) == 0.5
    assert false_positives(known, known - 1) == 0


def test_risk_grows_with_coverage_when_wrong_answers_are_the_least_certain():
    right = np.array([True, True, True, False])
    assert risk_by_coverage(np.array([0.9, 0.8, 0.7, 0.6]), right).tolist() == [0, 0, 0, 0.25]
    # All of one certainty: no order among them, so every coverage has the risk of the whole.
    assert risk_by_coverage(np.full(4, 0.5), right).tolist() == [0.25] * 4


def test_brier_is_0_for_the_truth_and_2_for_its_opposite():
    assert brier(np.eye(2), np.array([0, 1])) == 0
    assert brier(np.eye(2), np.array([1, 0])) == 2


def test_the_best_scale_is_the_one_that_answers_were_drawn_with():
    random = np.random.default_rng(0)
    similarity = random.uniform(-0.2, 0.4, (20_000, 4))
    truth = (softmax(similarity, 12.0).cumsum(axis=1) > random.random((20_000, 1))).argmax(axis=1)
    assert best_scale(similarity, truth) == pytest.approx(12.0, rel=0.05)


class Parted(Texts):
    """The texts, and the same again to learn from."""

    def with_split(self, name):
        assert name == "train"
        return self


def test_a_fitted_scale_makes_the_truth_likelier():
    binder = stand_in_binder()
    before = Calibration().run(binder, Parted(), modality="text")
    after = Calibration(fit_on="train").run(binder, Parted(), modality="text")
    assert after.metrics["nll"] < before.metrics["nll"]
    assert after.metrics["accuracy"] == before.metrics["accuracy"]
    assert after.details["scale"] < before.details["scale"] == 100


def test_samples_that_are_what_is_asked_for_are_told_from_those_that_are_not():
    class Named(Texts):
        items = tuple(Item(f"{name}/{n}", f"a {name}", name) for name in Texts().classes for n in range(3))

    task = OutOfDistribution(known="cat, dog", score="similarity", templates="a {}")
    result = task.run(stand_in_binder(), Named(), modality="text")
    assert result.metrics == {"auroc": 1.0, "fpr95": 0.0, "accuracy": 1.0}
    assert result.details["unknown"] == ["horse", "duck"]
    assert result.details["counts"] == {"known": 6, "unknown": 6}


@pytest.mark.parametrize("score", ["softmax", "similarity", "energy"])
def test_nonsense_is_recognised_by_chance_only(score):
    aurocs = [
        OutOfDistribution(score=score).run(stand_in_binder(), Texts(), modality="text", seed=seed).metrics["auroc"]
        for seed in range(6)
    ]
    assert 0.2 < np.mean(aurocs) < 0.8


def test_options_that_make_no_sense_are_refused():
    for options in ({"scale": 0}, {"bins": 0}, {"scale": 2, "fit_on": "train"}, {"templates": "cat"}):
        with pytest.raises(BadOption):
            Calibration(**options)
    with pytest.raises(BadOption, match="score must be one of"):
        OutOfDistribution(score="magic")
    with pytest.raises(BadOption, match="has no class 'hors'; did you mean 'horse'"):
        OutOfDistribution(known="cat,hors").run(stand_in_binder(), Texts(), modality="text")


def test_the_head_gives_nothing_to_what_lies_in_the_normal_span():
    random = np.random.default_rng(0)
    space = anybind.Space("s", 8)
    flat = np.pad(random.standard_normal((30, 3)), ((0, 0), (0, 5)))

    def windows(vectors):
        ids = tuple(map(str, range(len(vectors))))
        made = anybind.Embeddings(anybind.unit(vectors), space, "event", ids, "e")
        return HeadInput({"event": made}, {"events": np.ones(len(vectors))})

    head = Residual(share=0.999).fit(windows(flat), np.zeros(30, int))
    inside, outside = head.score(windows(flat)), head.score(windows(np.eye(8)[5:]))
    assert inside.max() < 0.1
    np.testing.assert_allclose(outside, 1, atol=1e-4)
