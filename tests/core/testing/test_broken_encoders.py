"""Encoders that are broken on purpose: each fails the right checks and no other."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from anybind import BadInput, Space, normalize
from anybind.encoder import Encoder
from anybind.errors import BadOption, UnknownName
from anybind.spec import EncoderSpec
from anybind.testing import ConformanceError, Example, check, checks_for
from anybind.torch_encoder import TorchEncoder

SAMPLES = [np.random.default_rng(n).standard_normal(6).astype(np.float32) for n in range(4)]
WRONG = np.full(6, np.nan, np.float32)


class Good(TorchEncoder):
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


def encode_after(change):
    """Encode as the good one does, and change its vectors, (n, 3)."""
    return {"encode": lambda self, inputs: change(Good.encode(self, inputs))}


def encode_changed(change):
    """Encode other inputs than those given, as the good one does."""
    return {"encode": lambda self, inputs: Good.encode(self, change(inputs))}


def drop_positive(vectors):
    return np.where(vectors[:, :1] > 0, np.nan, vectors).astype(np.float32)


def load_any_file(self, path):
    from safetensors.torch import load_file

    self.module.load_state_dict(load_file(path))
    return self


def compute_elsewhere(self, batch):
    """Use weights beside the module, which no file holds."""
    torch.manual_seed(1)
    return torch.nn.Linear(6, 3)(batch)


def end_training(self, inputs):
    vectors = Good.encode(self, inputs)
    self.module.eval()
    return vectors


def count_samples(self, sample):
    self.count = getattr(self, "count", 0) + 1
    return Good.preprocess(self, sample) + self.count


def change_sample(self, sample):
    prepared = Good.preprocess(self, sample)
    sample += 1
    return prepared


BROKEN = {
    "Good": ({}, []),
    "NotUnit": (encode_after(lambda vectors: 1.5 * vectors), ["check_unit_norm"]),
    "Doubles": (encode_after(lambda vectors: vectors.astype(np.float64)), ["check_dtype"]),
    "Random": (
        encode_after(lambda vectors: normalize(vectors + np.random.standard_normal(vectors.shape))),
        ["check_deterministic"],
    ),
    "Counts": ({"preprocess": count_samples}, ["check_deterministic"]),
    "BatchDependent": (
        encode_changed(lambda inputs: [each - torch.stack(list(inputs)).mean(0) / 2 for each in inputs]),
        ["check_batch_invariance"],
    ),
    "WrongSpace": ({"space": property(lambda self: Space("test", 5), lambda self, _: None)}, ["check_dimension"]),
    "Holes": (encode_after(drop_positive), ["check_finite"]),
    "NotJson": ({"preprocessing": {"mean": np.zeros(3)}}, ["check_preprocessing"]),
    "NoPreprocessing": ({"preprocessing": {}}, ["check_preprocessing"]),
    "TakesAll": (
        {"preprocess": lambda self, sample: torch.ones(6) * (sample[0] if isinstance(sample, np.ndarray) else 1)}
        | encode_changed(lambda inputs: [torch.nan_to_num(each) for each in inputs]),
        ["check_refuses_wrong_samples"],
    ),
    "NoHash": ({"weights_hash": "version 1"}, ["check_identity", "check_identity_follows_weights"]),
    "FixedIdentity": ({"weights_hash": "0123456789ab"}, ["check_identity_follows_weights"]),
    "Deaf": (
        {"encode": lambda self, inputs: normalize(np.ones((len(inputs), 3)))},
        ["check_distinguishes_samples", "check_weights_round_trip"],
    ),
    "StaysInTraining": ({"encode": end_training}, ["check_training_mode"]),
    "WeightsElsewhere": ({"features": compute_elsewhere}, ["check_weights_round_trip"]),
    "TakesAnyFile": ({"load_weights": load_any_file}, ["check_refuses_other_weight_files"]),
    "Crashes": ({"encode": lambda self, inputs: 1 / 0}, ["check_embeds_its_samples"]),
    "Exits": ({"encode": lambda self, inputs: sys.exit(3)}, ["check_embeds_its_samples"]),
    "Scribbles": ({"preprocess": change_sample}, ["check_deterministic", "check_leaves_samples_unchanged"]),
}
"""By name: what differs from the good one, and the checks that then fail."""


def make_broken(name):
    return type(name, (Good,), BROKEN[name][0])()


@pytest.mark.parametrize("name", BROKEN)
def test_an_encoder_fails_the_checks_of_what_it_breaks(name, failed_checks):
    assert failed_checks(make_broken(name), Example(samples=SAMPLES, wrong=[WRONG])) == BROKEN[name][1]


def test_a_failure_has_the_finding_and_the_remedy():
    with pytest.raises(ConformanceError) as caught:
        check(make_broken("NotUnit"), Example(samples=SAMPLES))
    assert str(caught.value).splitlines() == [
        f"encoder NotUnit fails 1 of {len(checks_for('encoder'))} checks:",
        "  check_unit_norm: norms are 1.5, 1.5, 1.5, not 1",
        "    remedy: end encode with `anybind.normalize(vectors)`",
    ]


def test_one_check_can_be_run_by_itself(failed_checks):
    example = Example(samples=SAMPLES)
    assert check(make_broken("NotUnit"), example, only="check_deterministic").failed == []
    assert failed_checks(make_broken("NotUnit"), example, only="check_unit_norm") == ["check_unit_norm"]
    with pytest.raises(UnknownName, match="did you mean 'check_unit_norm'"):
        check(Good(), example, only="check_unit_nrom")


def test_an_encoder_fails_if_its_spec_disagrees(failed_checks):
    spec = EncoderSpec(name="n", summary="s", target="m:a", modality="numbers", space="elsewhere")
    assert failed_checks(Good(), Example(samples=SAMPLES), spec=spec) == ["check_modality_and_space"]


def test_an_example_without_samples_raises():
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


def test_an_expected_failure_passes_and_must_fail(failed_checks):
    expected = {"check_unit_norm": "norms carry the confidence"}
    report = check(make_broken("NotUnit"), Example(samples=SAMPLES, expected_failures=expected))
    (outcome,) = report.with_status("expected failure")
    assert (outcome.check, outcome.message) == (
        "check_unit_norm",
        "norms carry the confidence (norms are 1.5, 1.5, 1.5, not 1)",
    )
    assert failed_checks(Good(), Example(samples=SAMPLES, expected_failures=expected)) == ["check_unit_norm"]
