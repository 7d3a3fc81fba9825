"""What every spec is held to: that it says what a part is, whose, and under which licence."""

from __future__ import annotations

import importlib.resources
import re
from dataclasses import dataclass

from anybind.errors import MissingExtra
from anybind.registry import Part
from anybind.spec import Spec
from anybind.testing.rules import NotChecked, Rules, require

SPEC_RULES = Rules()
_rule = SPEC_RULES.rule
SPDX = re.compile(r"\(*[A-Za-z0-9][A-Za-z0-9.+-]*\)*( (AND|OR|WITH) \(*[A-Za-z0-9][A-Za-z0-9.+-]*\)*)*")
NO_LICENCES = ("", "none", "todo", "unknown", "tbd", "noassertion", "n-a")
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass
class SpecCase:
    """A spec, and of what kind of part; with no kind, what is asked of some kinds only is not checked."""

    spec: Spec
    kind: str = ""

    def of_kind(self, *kinds: str) -> None:
        if self.kind not in kinds:
            raise NotChecked(f"asked of each {' and '.join(kinds)} only")


@_rule("name", "use letters, digits, dashes and dots: the name is typed on the command line")
def _name(case: SpecCase) -> None:
    require(PLAIN_NAME.fullmatch(case.spec.name), f"the name is {case.spec.name!r}")


@_rule("summary", "say in one short line what the part is; `anybind plugins` shows it")
def _summary(case: SpecCase) -> None:
    summary = case.spec.summary
    require(summary.strip() and "\n" not in summary and len(summary) <= 120, f"the summary is {summary!r}")


@_rule("licence of the code", "name the SPDX licence of the part's code, such as 'Apache-2.0' or 'LicenseRef-Mine'")
def _licence(case: SpecCase) -> None:
    licence = case.spec.licence
    require(SPDX.fullmatch(licence) and licence.lower() not in NO_LICENCES, f"the licence is {licence!r}")


@_rule("licence of the weights", "say in `weights_licence` the SPDX licence of the weights, or whose it is, in words")
def _weights_licence(case: SpecCase) -> None:
    licence = case.spec.weights_licence
    require(not licence or licence.lower() not in NO_LICENCES, f"the licence of the weights is {licence!r}")
    if case.kind == "encoder":
        require(licence, "the licence of the weights is not told")


@_rule(
    "says what goes in",
    "set `consumes` to the modalities (of an adapter: the spaces) that it takes, where one is fixed",
)
def _consumes(case: SpecCase) -> None:
    case.of_kind("encoder", "representation")
    require(case.spec.consumes, "consumes is empty")


@_rule(
    "says what comes out", "set `gives` to the modality of what it reads, and `suffixes` to the endings of its files"
)
def _gives(case: SpecCase) -> None:
    case.of_kind("reader")
    require(case.spec.gives, "gives is empty")
    require(case.spec.suffixes, "suffixes are empty")


@_rule("target", "give as target 'package.module:attribute' of what the part is made by, or a TOML file in the package")
def _target(case: SpecCase) -> None:
    module, _, attribute = case.spec.target.partition(":")
    if attribute.endswith(".toml"):
        require(importlib.resources.files(module).joinpath(attribute).is_file(), f"{case.spec.target} is not there")
        return
    part = Part(case.kind or "part", case.spec, "", "its distribution")
    try:
        require(callable(part.load()), f"{case.spec.target} cannot be called")
    except MissingExtra as error:
        raise NotChecked(str(error)) from error
