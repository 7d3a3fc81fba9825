"""Running conformance checks on installed parts with their examples, on specs, and on other objects."""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from anybind.binding import load_binding
from anybind.errors import BadOption, MissingExtra, PluginError, UnknownName, suggest_names
from anybind.registry import Part, create_part, list_parts, list_plugins, registry
from anybind.spec import BindingSpec, DatasetSpec, EncoderSpec, ModalitySpec, ReaderSpec, RepresentationSpec, Spec
from anybind.testing import kinds, specs
from anybind.testing.assertions import Skip
from anybind.testing.checks import Case, Check, Checks, Outcome, Report, run_check, temporary_folder
from anybind.testing.example import Example, find_example

if TYPE_CHECKING:
    import pytest

ExampleFactory = Callable[[Part[Spec], Path], Example | None]
"""Returns the example of a part; called with an empty folder for its files."""
SAMPLE_SPECS = (EncoderSpec, RepresentationSpec, ReaderSpec)
EXAMPLE_REMEDY = "return an example for the part: see `anybind_examples` in the guide to conformance checks"


class PartUnderTest:
    """An installed part with its example and case, which are created when a check needs them."""

    def __init__(self, part: Part[Spec], make_example: ExampleFactory = find_example) -> None:
        self.part, self.make_example = part, make_example
        self.title = f"{part.kind} {part.name!r}"
        self.folder = temporary_folder(self)
        self.checks = (*specs.CHECKS, Check("check_example", EXAMPLE_REMEDY, check_example), *_load_checks(part.kind))

    @functools.cached_property
    def example(self) -> Example:
        """The example of its plugin, with the samples of its modality's example if it has none."""
        example, spec = self.make_example(self.part, self.folder) or Example(), self.part.spec
        if not isinstance(spec, SAMPLE_SPECS) or example.cannot or len(example.samples) or len(example.files):
            return example
        for modality in list_parts(ModalitySpec, spec.modality):
            folder = self.folder / "samples"
            folder.mkdir(exist_ok=True)
            modality_example = self.make_example(modality, folder)
            if modality_example is not None:
                wrong = () if isinstance(spec, RepresentationSpec) else modality_example.wrong
                samples = {"samples": modality_example.samples, "wrong": example.wrong or wrong}
                return replace(example, **samples, cannot=modality_example.cannot)
        return example

    @functools.cached_property
    def case(self) -> Case[object]:
        """The part, created from its example."""
        if self.example.cannot:
            raise Skip(self.example.cannot)
        names = [check.name for check in self.checks]
        for name in self.example.expected_failures:
            assert name in names, f"unknown check {name!r} in expected_failures{suggest_names(name, names)}"
        try:
            _require_example(self.part.kind, self.example)
        except AssertionError as error:
            raise AssertionError(f"{error}{_describe_missing_modality(self.part.spec)}") from None
        try:
            return Case(_create_part(self.part, self.example), self.example, self.part.spec)
        except MissingExtra as error:
            raise Skip(str(error)) from error

    @functools.cached_property
    def creation(self) -> Outcome:
        """The outcome of `check_example`: whether the part can be created."""
        return run_check(self.checks[len(specs.CHECKS)], Case(self))

    def run(self, check: Check) -> Outcome | None:
        """Run one check; None if the part lacks the capability or cannot be created."""
        if check.run is check_example:
            return self.creation
        possible = self.creation.status == "passed"
        if check in specs.CHECKS:
            return run_if_applicable(check, Case(self.part, self.example if possible else Example(), self.part.spec))
        return run_if_applicable(check, self.case) if possible else None

    def run_all(self) -> Report:
        """Run all checks."""
        outcomes = [self.run(check) for check in self.checks]
        return Report(self.title, tuple(outcome for outcome in outcomes if outcome is not None))

    def run_in_pytest(self, check: Check) -> None:
        """Run one check as a test: a skipped check skips, an expected failure xfails."""
        import pytest

        outcome = self.run(check)
        if outcome is None:
            pytest.skip("the part lacks the capability" if self.creation.status == "passed" else "see check_example")
        elif outcome.status == "skipped":
            pytest.skip(outcome.message)
        elif outcome.status == "expected failure":
            pytest.xfail(outcome.message)
        Report(self.title, (outcome,)).raise_for_failures()


def run_if_applicable(check: Check, case: Case[object]) -> Outcome | None:
    """Run one check; None if the part lacks the capability that is checked."""
    return run_check(check, case) if check.applies(case) else None


def check_example(case: Case[PartUnderTest]) -> None:
    """Create the part from its example."""
    assert case.part.case


def list_plugin_parts(name: str) -> list[Part[Spec]]:
    """Return the parts of an installed plugin, or of all plugins of a distribution.

    Raises:
        UnknownName: no plugin or distribution of that name is loaded; the message has the reason.
    """
    loaded = [plugin for plugin in list_plugins() if name in (plugin.name, plugin.distribution)]
    if not any(plugin.status in ("ok", "incomplete") for plugin in loaded):
        names = {each for plugin in list_plugins() for each in (plugin.name, plugin.distribution)} - {name}
        raise UnknownName(f"there is no plugin {name!r}{suggest_names(name, names)}{registry().describe_not_loaded()}")
    parts = [part for kind in [*registry().kinds(), "kind"] for part in list_parts(kind)]
    return [part for part in parts if name in (part.plugin, part.distribution)]


def check_part(part: Part[Spec], make_example: ExampleFactory = find_example) -> Report:
    """Run all checks on an installed part with the example of its plugin; raise nothing.

    Args:
        part: the part.
        make_example: returns the example of a part; called with an empty folder for its files.
    """
    return PartUnderTest(part, make_example).run_all()


def checks_for(subject: object, example: Example | None = None) -> tuple[Check, ...]:
    """Return the checks of a kind by its name (`spec`: those of every spec), or those that apply to an object.

    Raises:
        UnknownName: there is no such kind.
        BadOption: the object is of no kind.
    """
    if isinstance(subject, str):
        return tuple(specs.CHECKS if subject == "spec" else _load_checks(subject))
    case = Case(subject, example or Example())
    return tuple(check for check in _load_checks(_find_kind(subject)) if check.applies(case))


def check(
    subject: object, example: Example | None = None, *, kind: str = "", spec: Spec | None = None, only: str = ""
) -> Report:
    """Run the conformance checks that apply to a part, a spec or an object.

    Args:
        subject: an installed part, checked on its plugin's example; a spec; or an object of any kind: for a dataset, a
            function that creates it from a folder.
        example: the data to check an object on.
        kind: kind of an object. [default: by its class]
        spec: registered spec of an object.
        only: name of the one check to run. [default: all]

    Returns:
        the outcomes, without failures.

    Raises:
        ConformanceError: checks failed; the message has the name, the finding and the remedy of each.
        UnknownName: no check or kind of that name.
        BadOption: the object is of no kind, or the example lacks a required field.
    """
    if isinstance(subject, Part):
        under_test = PartUnderTest(subject)
        title, checks, run = under_test.title, under_test.checks, under_test.run
    elif isinstance(subject, Spec):
        case = Case(Part(subject, "", "its distribution"), spec=subject)
        title, checks = f"{subject.kind} {subject.name!r}", specs.CHECKS
        run = functools.partial(run_if_applicable, case=case)
    else:
        kind, case = kind or _find_kind(subject), Case(subject, example or Example(), spec)
        title, checks = f"{kind} {type(subject).__name__}", _load_checks(kind)
        run = functools.partial(run_if_applicable, case=case)
        try:
            _require_example(kind, case.example)
        except AssertionError as error:
            raise BadOption(str(error)) from None
    names = [each.name for each in checks]
    if only and only not in names:
        raise UnknownName(f"there is no check {only!r}{suggest_names(only, names)}")
    outcomes = [run(each) for each in checks if only in ("", each.name)]
    return Report(title, tuple(outcome for outcome in outcomes if outcome is not None)).raise_for_failures()


def parametrize_with_checks(plugin: str) -> pytest.MarkDecorator:
    """Parametrize a test over the parts of a plugin or distribution and their checks; it calls its argument `check`.

        @parametrize_with_checks("my-plugin")
        def test_conformance(check):
            check()

    Raises:
        UnknownName: as `list_plugin_parts`.
    """
    import pytest

    pairs = [(trial, check) for trial in map(PartUnderTest, list_plugin_parts(plugin)) for check in trial.checks]
    return pytest.mark.parametrize(
        "check",
        [functools.partial(trial.run_in_pytest, check) for trial, check in pairs],
        ids=[f"{trial.part.kind}-{trial.part.name}-{check.name}" for trial, check in pairs],
    )


def _load_checks(kind: str) -> Checks:
    """Import the checks of a kind; empty if it declares none."""
    if kind == "kind":
        return kinds.CHECKS
    kinds_by_name = registry().kinds()
    if kind not in kinds_by_name:
        raise UnknownName(f"there is no kind of part {kind!r}{suggest_names(kind, kinds_by_name)}")
    checks = kinds.import_attribute(kinds_by_name[kind].checks) if kinds_by_name[kind].checks else Checks()
    if not isinstance(checks, Checks):
        raise PluginError(
            f"the checks of the kind {kind!r}: expected anybind.testing.Checks, got a {type(checks).__name__}"
        )
    return checks


def _find_kind(subject: object) -> str:
    owner = subject if isinstance(subject, type) else type(subject)
    for name, spec in sorted(registry().kinds().items(), key=lambda item: item[0] == "command"):  # any callable is one
        base = kinds.import_attribute(spec.target)
        if isinstance(base, type) and issubclass(owner, base):
            return name
    raise BadOption(f"a {type(subject).__name__} is of no kind of part; name its kind")


def _require_example(kind: str, example: Example) -> None:
    needs = _load_checks(kind).needs
    values = [getattr(example, name) for name in needs]
    complete = any(len(value) > 0 if isinstance(value, (list, tuple)) else value is not None for value in values)
    assert complete or not needs, f"it needs an example with {' or '.join(needs)}"


def _describe_missing_modality(spec: Spec) -> str:
    """Return why there is no example of a spec's modality, as the end of a message; empty if it is installed."""
    names = [part.name for part in list_parts(ModalitySpec)]
    if not isinstance(spec, SAMPLE_SPECS) or spec.modality in names:
        return ""
    return f": no modality {spec.modality!r} is installed{suggest_names(spec.modality, names)}"


def _create_part(part: Part[Spec], example: Example) -> object:
    """Create the object that the checks of the part's kind inspect."""
    spec, options = part.spec, dict(example.options)
    if isinstance(spec, BindingSpec):
        if not spec.target.endswith(".toml") and "argument" not in options:
            raise Skip("its name takes an argument, NAME:ARGUMENT, and its example has no option `argument`")
        return load_binding(cast("Part[BindingSpec]", part), str(options.get("argument", "")))
    module, _, attribute = spec.target.partition(":")
    if attribute.endswith(spec.resources):
        return importlib.resources.files(module).joinpath(attribute)
    if isinstance(spec, DatasetSpec):
        return lambda folder: create_part(spec.kind, spec.name, folder, **{"modalities": None, **options})
    if spec.kind == "kind":
        return part
    return part.load() if spec.kind == "command" else create_part(spec.kind, spec.name, **options)
