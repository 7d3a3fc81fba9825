"""Checks of every spec: its name, summary, licences and target."""

from __future__ import annotations

import importlib.resources
import re

from anybind.errors import MissingExtra
from anybind.part import Part, takes_option
from anybind.spec import AdapterSpec, BindingSpec, EncoderSpec, ReaderSpec, RepresentationSpec, Spec
from anybind.testing.assertions import Skip
from anybind.testing.checks import Case, Checks

CHECKS = Checks()
SPDX = re.compile(r"\(*[A-Za-z0-9][A-Za-z0-9.+-]*\)*( (AND|OR|WITH) \(*[A-Za-z0-9][A-Za-z0-9.+-]*\)*)*")
NO_LICENCES = ("", "none", "todo", "unknown", "tbd", "noassertion", "n-a")
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
WEIGHTED = (EncoderSpec, AdapterSpec, RepresentationSpec, BindingSpec)
READS_SAMPLES = (EncoderSpec, RepresentationSpec, ReaderSpec)


@CHECKS.add("use letters, digits, dashes and dots in the name, for the command line")
def check_name(case: Case[Part[Spec]]) -> None:
    assert PLAIN_NAME.fullmatch(case.part.name), f"the name is {case.part.name!r}"


@CHECKS.add("describe the part in one line of at most 120 characters; `anybind plugins` shows it")
def check_summary(case: Case[Part[Spec]]) -> None:
    summary = case.part.spec.summary
    assert summary.strip() and "\n" not in summary and len(summary) <= 120, f"the summary is {summary!r}"


@CHECKS.add("set the SPDX licence of the part's code, such as 'Apache-2.0' or 'LicenseRef-Mine'")
def check_code_licence(case: Case[Part[Spec]]) -> None:
    licence = case.part.spec.licence
    assert SPDX.fullmatch(licence) and licence.lower() not in NO_LICENCES, f"the licence is {licence!r}"


@CHECKS.add(
    "set `weights_licence` to the SPDX licence of the weights, or to its owner as text",
    applies=lambda case: isinstance(case.part.spec, WEIGHTED),
)
def check_weights_licence(case: Case[Part[Spec]]) -> None:
    spec = case.part.spec
    assert isinstance(spec, WEIGHTED)
    required = isinstance(spec, EncoderSpec)
    unclear = spec.weights_licence.lower() in NO_LICENCES and (required or spec.weights_licence)
    assert not unclear, f"the licence of the weights is {spec.weights_licence!r}"


@CHECKS.add(
    "set `modality` to the modality of the samples, and a reader's `suffixes` to the endings of its files",
    applies=lambda case: isinstance(case.part.spec, READS_SAMPLES),
)
def check_modality(case: Case[Part[Spec]]) -> None:
    spec = case.part.spec
    assert isinstance(spec, READS_SAMPLES)
    if not spec.modality:
        depends = not isinstance(spec, ReaderSpec) and takes_option(case.part.load(), "modality")
        assert depends, "the modality is empty"
    assert not isinstance(spec, ReaderSpec) or spec.suffixes, "the suffixes are empty"


@CHECKS.add("set `target` to 'package.module:attribute' of the part's class or factory, or to a file of the package")
def check_target(case: Case[Part[Spec]]) -> None:
    spec = case.part.spec
    module, _, attribute = spec.target.partition(":")
    if attribute.endswith(spec.resources):
        assert importlib.resources.files(module).joinpath(attribute).is_file(), f"{spec.target} does not exist"
        return
    try:
        assert callable(case.part.load()), f"{spec.target} is not callable"
    except MissingExtra as error:
        raise Skip(str(error)) from error
