"""Checking what installed plugins bring, part by part, on the examples that they offer."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from anybind.errors import AnybindError, BadInput, MissingExtra, UnknownName, nearest
from anybind.reader import Reader
from anybind.registry import Part, create, parts, plugins, registry
from anybind.testing import checks
from anybind.testing.adapter_rules import AdapterCase
from anybind.testing.dataset_rules import DatasetCase
from anybind.testing.encoder_rules import EncoderCase
from anybind.testing.examples import Example, example_of
from anybind.testing.head_rules import HeadCase
from anybind.testing.modality_rules import ModalityCase
from anybind.testing.reader_rules import ReaderCase
from anybind.testing.representation_rules import RepresentationCase
from anybind.testing.rules import NotChecked, NotConforming, Outcome, Report, told
from anybind.testing.spec_rules import SPEC_RULES, SpecCase
from anybind.testing.stand_in import stand_in_binder
from anybind.testing.task_rules import TaskCase

Offer = Callable[[Part, Path], Example | None]
"""Gives the example of a part, which may be written into an empty folder."""
ON_TRYING = "offer an example that it works on: see `anybind_examples` in the guide to the conformance kit"
SAMPLES = "samples, nor does that of its modality"
TAKES_SAMPLES = ("encoder", "representation", "reader")


def parts_of(name: str) -> list[Part]:
    """The parts that an installed plugin, or all plugins of a distribution, bring.

    Raises:
        UnknownName: no plugin or distribution of that name was loaded; the message says why, where it was not.
    """
    found = [part for kind in registry().kinds() for part in parts(kind) if name in (part.plugin, part.distribution)]
    loaded = [plugin for plugin in plugins() if plugin.status == "ok" and name in (plugin.name, plugin.distribution)]
    if not loaded:
        known = {each for plugin in plugins() for each in (plugin.name, plugin.distribution)}
        raise UnknownName(f"there is no plugin {name!r}{nearest(name, known)}{registry().not_loaded()}")
    return found


def check_part(part: Part, offer: Offer = example_of) -> Report:
    """Hold an installed part to the contract: its spec, and what it does with the example that its plugin offers.

    Raises:
        NotConforming: it breaks rules, or there is nothing to try it on. Kinds of part that have no suite (losses,
            bindings, suites, commands) are held to the rules of specs only.
    """
    report = examine_part(part, offer).require()
    untried = [outcome for outcome in report.of_status("not checked") if outcome.rule == "tried"]
    if untried and part.kind in checks.SUITES:
        raise NotConforming(f"{report.part} was not tried: {untried[0].seen}")
    return report


def examine_part(part: Part, offer: Offer = example_of) -> Report:
    """As `check_part`, but every outcome is in the report and nothing is raised.

    An outcome `tried` says why the part could not be tried on anything, if so.
    """
    title = f"{part.kind} {part.name!r}"
    report = SPEC_RULES.judge(title, SpecCase(part.spec, part.kind))
    if part.kind not in checks.SUITES:
        return report + Report(
            title, (Outcome("tried", "not checked", f"there are no rules for a {part.kind} at work"),)
        )
    try:
        with tempfile.TemporaryDirectory() as folder:
            tried = _try(part, offer, Path(folder))
    except (NotChecked, MissingExtra) as error:
        return report + Report(title, (Outcome("tried", "not checked", str(error)),))
    except Exception as error:
        return report + Report(title, (Outcome("tried", "broken", f"raised {told(error)}", ON_TRYING),))
    return report + tried


def _try(part: Part, offer: Offer, folder: Path) -> Report:
    offered = offer(part, folder)
    example = _with_samples(part, offered or Example(), offer, folder)
    if example.cannot:
        raise NotChecked(example.cannot)
    try:
        case = CASES[part.kind](part, example, folder)
    except AnybindError as error:
        if offered is None and not isinstance(error, MissingExtra):
            raise NotChecked(f"its plugin offers no example, and without one: {told(error)}") from error
        raise
    return checks.SUITES[part.kind].judge(f"{part.kind} {part.name!r}", case)


def _with_samples(part: Part, example: Example, offer: Offer, folder: Path) -> Example:
    """The example, with the samples of its modality's where it brings none of its own."""
    if part.kind not in TAKES_SAMPLES or example.cannot or len(example.samples) or len(example.files):
        return example
    for name in (part.spec.gives,) if part.kind == "reader" else part.spec.consumes:
        for modality in parts("modality", name):
            (folder / "samples").mkdir(exist_ok=True)
            of_modality = offer(modality, folder / "samples")
            if of_modality is not None and len(of_modality.samples):
                wrong = () if part.kind == "representation" else of_modality.wrong
                return replace(example, samples=of_modality.samples, wrong=example.wrong or wrong)
    return example


def _needs(what: str, given: Any) -> None:
    if given is None or not len(given):
        raise NotChecked(f"its plugin offers no example with {what}")


def _modality_case(part: Part, example: Example, folder: Path) -> ModalityCase:
    _needs("samples", example.samples)
    return ModalityCase(part.load()(**example.options), example.samples, example.wrong, example.sources, part.spec)


def _reader_case(part: Part, example: Example, folder: Path) -> ReaderCase:
    reader, files = part.load()(**example.options), list(example.files)
    if not files:
        written = [_write(reader, sample, folder, str(n), part) for n, sample in enumerate(example.samples)]
        files = [path for path in written if path is not None]
    _needs("files, or samples to write,", files)
    return ReaderCase(reader, files, part.spec)


def _write(reader: Reader, sample: Any, folder: Path, name: str, part: Part) -> Path | None:
    """A file of the sample, with the first of the reader's endings that it writes; None where it only reads."""
    for suffix in part.spec.suffixes:
        path = folder / f"{name}{suffix}"
        try:
            reader.write(sample, path)
        except BadInput:
            continue
        return path
    return None


def _representation_case(part: Part, example: Example, folder: Path) -> RepresentationCase:
    _needs(SAMPLES, example.samples)
    return RepresentationCase(_made(part, example), example.samples, example.wrong)


def _encoder_case(part: Part, example: Example, folder: Path) -> EncoderCase:
    _needs(SAMPLES, example.samples)
    return EncoderCase(_made(part, example), example.samples, example.wrong, part.spec)


def _adapter_case(part: Part, example: Example, folder: Path) -> AdapterCase:
    return AdapterCase(_made(part, example), part.spec)


def _dataset_case(part: Part, example: Example, folder: Path) -> DatasetCase:
    _needs("a folder", example.folder and [example.folder])
    options = {"modalities": None, **example.options}
    return DatasetCase(lambda place: create("dataset", part.name, place, **options), Path(example.folder or folder))


def _head_case(part: Part, example: Example, folder: Path) -> HeadCase:
    return HeadCase(_made(part, example), example.binder or stand_in_binder())


def _task_case(part: Part, example: Example, folder: Path) -> TaskCase:
    if example.dataset is None:
        raise NotChecked("its plugin offers no example with a data set")
    return TaskCase(_made(part, example), example.binder or stand_in_binder(), example.dataset, example.modality)


def _made(part: Part, example: Example) -> Any:
    return create(part.kind, part.name, **example.options)


CASES: dict[str, Callable[[Part, Example, Path], Any]] = {
    "modality": _modality_case,
    "reader": _reader_case,
    "representation": _representation_case,
    "encoder": _encoder_case,
    "adapter": _adapter_case,
    "dataset": _dataset_case,
    "head": _head_case,
    "task": _task_case,
}
"""What the rules of each kind look at, made from a part's example."""
