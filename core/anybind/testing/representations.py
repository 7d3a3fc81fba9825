"""Checks of representations."""

from __future__ import annotations

import copy

import numpy as np

from anybind.representation import Representation
from anybind.tables import hash_settings
from anybind.testing.assertions import (
    BATCH_TOLERANCE,
    SAME_TOLERANCE,
    assert_close,
    assert_finite,
    assert_json,
    assert_refused,
    describe_sample,
    is_equal,
)
from anybind.testing.checks import Case, Checks, computed_once

CHECKS = Checks(needs=("samples",))


@CHECKS.add("return from `settings` a mapping of strings, numbers, lists and tables: all that shapes the output")
def check_settings(case: Case[Representation]) -> None:
    settings = dict(case.part.settings)
    assert_json(settings, "settings")
    again = hash_settings(dict(case.part.settings))
    assert hash_settings(settings) == again, "settings change from one access to the next"


@CHECKS.add("accept every sample that the modality accepts, and return a NumPy array")
def check_accepts_its_samples(case: Case[Representation]) -> list[np.ndarray]:
    arrays = [case.part(sample) for sample in case.example.samples]
    for each in arrays:
        assert isinstance(each, np.ndarray), f"it returns a {type(each).__name__}, not a NumPy array"
    return arrays


get_arrays = computed_once(check_accepts_its_samples, "array")


@CHECKS.add("return three dimensions, (channels, height, width), none of them 0")
def check_shape(case: Case[Representation]) -> None:
    for each in get_arrays(case):
        assert each.ndim == 3 and each.size, f"it returns shape {each.shape}"


@CHECKS.add("end with `.astype(np.float32)`")
def check_dtype(case: Case[Representation]) -> None:
    for each in get_arrays(case):
        assert each.dtype == np.float32, f"it returns {each.dtype}"


@CHECKS.add("fix divisions by zero: a sample may have one entry, or all at one time")
def check_finite(case: Case[Representation]) -> None:
    assert_finite(get_arrays(case), "the arrays of samples")


@CHECKS.add("use no randomness")
def check_deterministic(case: Case[Representation]) -> list[np.ndarray]:
    for sample, each in zip(case.example.samples, get_arrays(case), strict=True):
        assert_close(case.part(sample), each, SAME_TOLERANCE, "the same sample, twice")
    return get_arrays(case)


get_deterministic_arrays = computed_once(check_deterministic, "deterministic array")


@CHECKS.add("copy a sample before changing it in place")
def check_leaves_samples_unchanged(case: Case[Representation]) -> None:
    for sample in case.example.samples:
        before = copy.deepcopy(sample)
        case.part(sample)
        assert is_equal(before, sample), f"the sample ({describe_sample(sample)}) was changed"


@CHECKS.add("make `batch` stack the results of the calls; or inherit it")
def check_batch(case: Case[Representation]) -> None:
    pairs = list(zip(case.example.samples, get_deterministic_arrays(case), strict=True))
    shapes = [(getattr(sample, "shape", 0), each.shape) for sample, each in pairs]
    alike = [pair for pair, shape in zip(pairs, shapes, strict=True) if shape == shapes[0]]
    batch, stacked = case.part.batch([sample for sample, _ in alike]), np.stack([each for _, each in alike])
    valid = isinstance(batch, np.ndarray) and batch.dtype == stacked.dtype
    assert valid, "batch returns another type than the call"
    assert_close(batch, stacked, BATCH_TOLERANCE, "in a batch and one by one", relative=True)


@CHECKS.add("raise BadInput for an empty batch")
def check_refuses_an_empty_batch(case: Case[Representation]) -> None:
    assert_refused(lambda: case.part.batch([]), "an empty batch")


@CHECKS.add("raise BadInput with the reason", applies=lambda case: len(case.example.wrong) > 0)
def check_refuses_wrong_samples(case: Case[Representation]) -> None:
    for wrong in case.example.wrong:
        assert_refused(lambda wrong=wrong: case.part(wrong), f"a wrong sample ({describe_sample(wrong)})")
