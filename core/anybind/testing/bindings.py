"""Checks of bindings: no encoder is loaded."""

from __future__ import annotations

from anybind.binding import Binding
from anybind.registry import find_part
from anybind.spec import AdapterSpec, BindingSpec, EncoderSpec
from anybind.testing.checks import Case, Checks

CHECKS = Checks()


@CHECKS.add("use registered encoders and adapters, each encoder under its modality")
def check_parts_are_registered(case: Case[Binding]) -> None:
    for modality, use in case.part.encoders.items():
        modality_of_encoder = find_part(EncoderSpec, use.name).spec.modality
        assert modality_of_encoder == modality, f"the encoder {use.name!r} of {modality} embeds {modality_of_encoder}"
    for use in case.part.adapters:
        find_part(AdapterSpec, use.name)


@CHECKS.add("list in the spec's `modalities` those of its encoders", applies=lambda case: case.spec is not None)
def check_modalities(case: Case[Binding]) -> None:
    assert isinstance(case.spec, BindingSpec)
    listed, embedded = sorted(case.spec.modalities), sorted(case.part.encoders)
    assert listed == embedded, f"spec.modalities are {listed}, those of the encoders {embedded}"
