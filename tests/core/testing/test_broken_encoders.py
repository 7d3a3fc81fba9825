"""Encoders that are broken on purpose: each fails the checks of what it breaks, and no other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anybind import BadInput, Space, unit
from anybind.encoder import Encoder
from anybind.errors import BadOption, UnknownName
from anybind.spec import EncoderSpec
from anybind.testing import Example, NotConforming, check, checks_for
from anybind.tower import Tower

SAMPLES = [np.random.default_rng(n).standard_normal(6).astype(np.float32) for n in range(4)]
WRONG = np.full(6, np.nan, np.float32)


class Good(Tower):
    """Six numbers to three, by a linear layer."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(
            torch.nn.Linear(6, 3),
            modality="numbers",
            space=Space("test", 3),
            preprocessing={"scale": 2.0},
            logit_scale=9.0,
        )

    def preprocess(self, sample):
        if not isinstance(sample, np.ndarray) or not np.isfinite(sample).all():
            raise BadInput("not six finite numbers")
        return torch.from_numpy(2.0 * sample)


class NotUnit(Good):
    def encode(self, inputs):
        return 1.5 * super().encode(inputs)


class Doubles(Good):
    def encode(self, inputs):
        return super().encode(inputs).astype(np.float64)


class Random(Good):
    def encode(self, inputs):
        return unit(super().encode(inputs) + np.random.standard_normal((len(inputs), 3)))


class BatchDependent(Good):
    def encode(self, inputs):
        return super().encode([each - torch.stack(list(inputs)).mean(0) / 2 for each in inputs])


class WrongSpace(Good):
    def __init__(self):
        super().__init__()
        self.space = Space("test", 5)


class Holes(Good):
    def encode(self, inputs):
        vectors = super().encode(inputs)
        vectors[[bool(each.sum() > 0) for each in inputs]] = np.nan
        return vectors


class NotJson(Good):
    def __init__(self):
        super().__init__()
        self._preprocessing = {"mean": np.zeros(3)}


class NoPreprocessing(Good):
    def __init__(self):
        super().__init__()
        self._preprocessing = {}


class TakesAll(Good):
    def preprocess(self, sample):
        return torch.from_numpy(2.0 * sample) if isinstance(sample, np.ndarray) else torch.ones(6)

    def encode(self, inputs):
        return super().encode([torch.nan_to_num(each) for each in inputs])


class FixedIdentity(Good):
    weights_hash = "0123456789ab"


class Deaf(Good):
    def encode(self, inputs):
        return unit(np.ones((len(inputs), 3)))


class WeightsElsewhere(Good):
    """Weights beside the module, which no file holds."""

    def features(self, batch):
        torch.manual_seed(1)
        return torch.nn.Linear(6, 3)(batch)


class StaysInTraining(Good):
    def encode(self, inputs):
        vectors = super().encode(inputs)
        self.module.eval()
        return vectors


class TakesAnyFile(Good):
    def load_weights(self, path):
        from safetensors.torch import load_file

        self.module.load_state_dict(load_file(path))
        return self


class Crashes(Good):
    def encode(self, inputs):
        raise ZeroDivisionError("by nothing")


@pytest.mark.parametrize(
    ("encoder", "failures"),
    [
        (Good, []),
        (NotUnit, ["check_unit_norm"]),
        (Doubles, ["check_dtype"]),
        (Random, ["check_deterministic"]),
        (BatchDependent, ["check_batch_invariance"]),
        (WrongSpace, ["check_dimension"]),
        (Holes, ["check_finite"]),
        (NotJson, ["check_preprocessing"]),
        (NoPreprocessing, ["check_preprocessing"]),
        (TakesAll, ["check_refuses_wrong_samples"]),
        (FixedIdentity, ["check_identity_follows_weights"]),
        (Deaf, ["check_distinguishes_samples", "check_weights_round_trip"]),
        (StaysInTraining, ["check_training_mode"]),
        (WeightsElsewhere, ["check_weights_round_trip"]),
        (TakesAnyFile, ["check_refuses_other_weight_files"]),
        (Crashes, ["check_embeds_its_samples"]),
    ],
)
def test_an_encoder_fails_the_checks_of_what_it_breaks(encoder, failures, failed_checks):
    assert failed_checks(encoder(), Example(samples=SAMPLES, wrong=[WRONG])) == failures


def test_a_failure_gives_what_was_found_and_the_remedy():
    with pytest.raises(NotConforming) as caught:
        check(NotUnit(), Example(samples=SAMPLES))
    assert str(caught.value).splitlines() == [
        f"encoder NotUnit fails 1 of {len(checks_for('encoder'))} checks:",
        "  check_unit_norm: norms are 1.5, 1.5, 1.5, not 1",
        "    remedy: end encode with `anybind.unit(vectors)`",
    ]


def test_one_check_can_be_run_by_itself(failed_checks):
    example = Example(samples=SAMPLES)
    assert check(NotUnit(), example, only="check_deterministic").failed == []
    assert failed_checks(NotUnit(), example, only="check_unit_norm") == ["check_unit_norm"]
    with pytest.raises(UnknownName, match="did you mean 'check_unit_norm'"):
        check(Good(), example, only="check_unit_nrom")


def test_an_encoder_fails_where_its_spec_does_not_describe_it(failed_checks):
    spec = EncoderSpec(name="n", summary="s", target="m:a", modality="numbers", space="elsewhere")
    assert failed_checks(Good(), Example(samples=SAMPLES), spec=spec) == ["check_modality_and_space"]


def test_an_example_without_samples_is_refused():
    with pytest.raises(BadOption, match="an example with samples"):
        check(Good(), Example())


def test_checks_are_chosen_by_capability():
    class Plain(Encoder):
        weights_hash, preprocessing = "0123456789ab", {}

        def encode(self, inputs): ...

    of_towers = {each.name for each in checks_for(Good())} - {each.name for each in checks_for(Plain())}
    assert of_towers == {
        "check_device",
        "check_training_mode",
        "check_identity_follows_weights",
        "check_weights_round_trip",
        "check_refuses_other_weight_files",
    }


def test_an_expected_failure_is_no_failure_and_must_fail(failed_checks):
    expected = {"check_unit_norm": "norms carry the confidence"}
    report = check(NotUnit(), Example(samples=SAMPLES, expected_failures=expected))
    (outcome,) = report.with_status("expected failure")
    assert (outcome.check, outcome.message) == (
        "check_unit_norm",
        "norms carry the confidence (norms are 1.5, 1.5, 1.5, not 1)",
    )
    assert failed_checks(Good(), Example(samples=SAMPLES, expected_failures=expected)) == ["check_unit_norm"]
