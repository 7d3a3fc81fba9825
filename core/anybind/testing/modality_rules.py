"""What every modality is held to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from anybind.errors import BadOption
from anybind.modality import Modality
from anybind.spec import Spec
from anybind.testing.rules import (
    NotChecked,
    Rules,
    require,
    require_json_like,
    require_refusal,
    same,
    short,
)

MODALITY_RULES = Rules()
_rule = MODALITY_RULES.rule


@dataclass
class ModalityCase:
    """A modality, samples of it, samples that its check must refuse, and samples of others that it is made from."""

    modality: Modality
    samples: Sequence[Any]
    wrong: Sequence[Any] = ()
    sources: Mapping[str, Any] = field(default_factory=dict)
    spec: Spec | None = None


@_rule("name", "set `name` in the class to the name that it is registered by")
def _name(case: ModalityCase) -> None:
    name = getattr(case.modality, "name", None)
    require(isinstance(name, str) and name, f"name is {name!r}")
    require(case.spec is None or case.spec.name == name, f"it is registered as {case.spec and case.spec.name!r}")


@_rule("accepts its samples", "make `accepts` return True for every sample of the modality")
def _accepts(case: ModalityCase) -> None:
    for sample in case.samples:
        verdict = case.modality.accepts(sample)
        require(verdict is True, f"accepts gives {verdict!r} for a sample ({short(sample)})")


@_rule("accepts nothing else", "look at the type in `accepts`, return False for any other, and raise nothing")
def _accepts_nothing_else(case: ModalityCase) -> None:
    for other in (None, object(), 7, b"", [], {}):
        verdict = case.modality.accepts(other)
        require(verdict is False, f"accepts gives {verdict!r} for {other!r}")


@_rule("check passes good samples", "raise in `check` only what cannot be embedded")
def _passes(case: ModalityCase) -> None:
    for sample in case.samples:
        case.modality.check(sample)


@_rule("check refuses wrong samples", "raise anybind.BadInput in `check`, saying what is wrong: empty, not finite, ...")
def _refuses(case: ModalityCase) -> None:
    if not case.wrong:
        raise NotChecked("no wrong samples were given")
    for wrong in case.wrong:
        if case.modality.accepts(wrong):
            require_refusal(lambda wrong=wrong: case.modality.check(wrong), f"a wrong sample ({short(wrong)})")


@_rule("shows samples", "give an RGB picture, (height, width, 3) uint8, or a text from `show`")
def _shows(case: ModalityCase) -> None:
    for sample in case.samples:
        shown = case.modality.show(sample)
        if not isinstance(shown, str):
            picture = isinstance(shown, np.ndarray) and shown.dtype == np.uint8 and shown.ndim == 3
            require(picture and shown.shape[2] == 3 and shown.size, f"show gives {short(shown)}")


@_rule("augments by seed", "take all randomness from the seed and give a sample; or leave `augment` as it is inherited")
def _augments(case: ModalityCase) -> None:
    for sample in case.samples:
        try:
            changed = case.modality.augment(sample, seed=3)
        except BadOption as error:
            raise NotChecked("it has no augmentation") from error
        require(case.modality.accepts(changed), f"augment gives {short(changed)}, which is no sample of it")
        require(same(changed, case.modality.augment(sample, seed=3)), "augment gives two samples for one seed")


@_rule(
    "derivation is JSON-like", "give from `derivation` a mapping of all but the seed that shapes what `derive` makes"
)
def _derivation(case: ModalityCase) -> None:
    for source in case.spec.consumes if case.spec else case.sources:
        require_json_like(dict(case.modality.derivation(source)), f"derivation({source!r})")


@_rule("derives by seed", "make `derive` give a sample, the same for the same seed")
def _derives(case: ModalityCase) -> None:
    if not case.sources:
        raise NotChecked("no samples of other modalities were given")
    for source, sample in case.sources.items():
        made = case.modality.derive(sample, source, seed=3)
        require(case.modality.accepts(made), f"derive makes {short(made)} from {source}, which is no sample of it")
        case.modality.check(made)
        again = case.modality.derive(sample, source, seed=3)
        require(same(made, again), f"derive makes two samples from one of {source} for one seed")
