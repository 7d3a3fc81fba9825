"""Checks of modalities."""

from __future__ import annotations

import numpy as np

from anybind.errors import BadOption
from anybind.modality import Modality
from anybind.spec import ModalitySpec
from anybind.testing.assertions import (
    Skip,
    assert_json,
    assert_refused,
    assert_spec,
    assert_texts,
    describe_sample,
    is_equal,
)
from anybind.testing.checks import Case, Checks
from anybind.windowing import WHOLE, WindowOptions

CHECKS = Checks(needs=("samples",))


@CHECKS.add("set `name` in the class to the registered name")
def check_name(case: Case[Modality]) -> None:
    assert_texts(case.part, "name")
    assert_spec(case.spec, name=case.part.name)


@CHECKS.add("make `accepts` return True for every sample of the modality")
def check_accepts_its_samples(case: Case[Modality]) -> None:
    for sample in case.example.samples:
        verdict = case.part.accepts(sample)
        assert verdict is True, f"accepts returns {verdict!r} for a sample ({describe_sample(sample)})"


@CHECKS.add("return False from `accepts` for any other type, and raise nothing")
def check_accepts_no_other_types(case: Case[Modality]) -> None:
    for other in (None, object(), 7, b"", [], {}):
        verdict = case.part.accepts(other)
        assert verdict is False, f"accepts returns {verdict!r} for {other!r}"


@CHECKS.add("raise in `check` only for samples that cannot be embedded")
def check_passes_valid_samples(case: Case[Modality]) -> None:
    for sample in case.example.samples:
        case.part.check(sample)


@CHECKS.add(
    "raise BadInput in `check` with the reason: empty, not finite, ...",
    applies=lambda case: len(case.example.wrong) > 0,
)
def check_refuses_wrong_samples(case: Case[Modality]) -> None:
    for wrong in case.example.wrong:
        if case.part.accepts(wrong):
            assert_refused(lambda wrong=wrong: case.part.check(wrong), f"a wrong sample ({describe_sample(wrong)})")


@CHECKS.add("return an RGB image, (height, width, 3) uint8, or a string from `show`")
def check_shows_samples(case: Case[Modality]) -> None:
    for sample in case.example.samples:
        rendering = case.part.show(sample)
        if not isinstance(rendering, str):
            image = isinstance(rendering, np.ndarray) and rendering.dtype == np.uint8 and rendering.ndim == 3
            assert image and rendering.shape[2] == 3 and rendering.size, f"show returns {describe_sample(rendering)}"


@CHECKS.add("return one unchanged window from `split` for the window `whole`; or inherit `split`")
def check_split(case: Case[Modality]) -> None:
    for sample in case.example.samples:
        windows = list(case.part.split(sample, WindowOptions(window=WHOLE)))
        assert len(windows) == 1, f"split returns {len(windows)} windows, expected the whole sample"
        assert windows[0].is_whole and is_equal(windows[0].sample, sample), "split changes the whole sample"


@CHECKS.add("take all randomness from the seed and return a sample; or inherit `augment`")
def check_augmentation(case: Case[Modality]) -> None:
    for sample in case.example.samples:
        try:
            changed = case.part.augment(sample, seed=3)
        except BadOption as error:
            raise Skip("it has no augmentation") from error
        assert case.part.accepts(changed), f"augment returns {describe_sample(changed)}, expected a sample"
        assert is_equal(changed, case.part.augment(sample, seed=3)), "augment returns two samples for one seed"


@CHECKS.add("return from `derivation` all settings but the seed that shape the result of `derive`")
def check_derivation_settings(case: Case[Modality]) -> None:
    sources = case.spec.derived_from if isinstance(case.spec, ModalitySpec) else case.example.sources
    for source in sources:
        assert_json(dict(case.part.derivation(source)), f"derivation({source!r})")


@CHECKS.add(
    "make `derive` return a sample, the same for the same seed", applies=lambda case: bool(case.example.sources)
)
def check_derive(case: Case[Modality]) -> None:
    for source, sample in case.example.sources.items():
        derived = case.part.derive(sample, source, seed=3)
        assert case.part.accepts(derived), f"derive returns {describe_sample(derived)} for {source}, expected a sample"
        case.part.check(derived)
        again = case.part.derive(sample, source, seed=3)
        assert is_equal(derived, again), f"derive returns two samples of one sample of {source} and one seed"
