"""Encoders that are broken on purpose: the kit fails each by the rules that it breaks, and by no other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anybind import BadInput, Space, unit
from anybind.errors import BadOption, UnknownName
from anybind.spec import Spec
from anybind.testing import NotConforming, check_encoder, rule_names
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
    ("encoder", "rules"),
    [
        (Good, []),
        (NotUnit, ["unit norm"]),
        (Doubles, ["dtype float32"]),
        (Random, ["deterministic"]),
        (BatchDependent, ["batch invariant"]),
        (WrongSpace, ["right space and dim"]),
        (Holes, ["finite"]),
        (NotJson, ["preprocessing is JSON-like"]),
        (NoPreprocessing, ["preprocessing is JSON-like"]),
        (TakesAll, ["refuses wrong samples"]),
        (FixedIdentity, ["identity follows the weights"]),
        (Deaf, ["tells samples apart", "weights round trip"]),
        (StaysInTraining, ["leaves the module's mode"]),
        (WeightsElsewhere, ["weights round trip"]),
        (TakesAnyFile, ["refuses other weight files"]),
        (Crashes, ["embeds its samples"]),
    ],
)
def test_an_encoder_fails_by_the_rule_that_it_breaks(encoder, rules, broken_rules):
    assert broken_rules(check_encoder, encoder(), SAMPLES, wrong=[WRONG]) == rules


def test_a_failure_says_what_was_seen_and_how_to_mend_it():
    with pytest.raises(NotConforming) as caught:
        check_encoder(NotUnit(), SAMPLES)
    assert str(caught.value).splitlines() == [
        f"encoder NotUnit breaks 1 of {len(rule_names('encoder'))} rules:",
        "  unit norm: norms are 1.5, 1.5, 1.5, not 1",
        "    mend: end encode with `anybind.unit(vectors)`",
    ]


def test_one_rule_can_be_checked_by_itself(broken_rules):
    assert check_encoder(NotUnit(), SAMPLES, only="deterministic").broken == []
    assert broken_rules(check_encoder, NotUnit(), SAMPLES, only="unit norm") == ["unit norm"]
    with pytest.raises(UnknownName, match="did you mean 'unit norm'"):
        check_encoder(Good(), SAMPLES, only="unit nrom")


def test_an_encoder_that_its_spec_does_not_describe_fails(broken_rules):
    spec = Spec(name="n", summary="s", target="m:a", consumes=("numbers",), gives="elsewhere")
    assert broken_rules(check_encoder, Good(), SAMPLES, spec=spec) == ["modality and space"]


def test_nothing_to_check_with_is_said():
    with pytest.raises(BadOption, match="give samples"):
        check_encoder(Good(), [])
