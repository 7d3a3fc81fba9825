"""The conformance suites: one function for each kind of part, which raises `NotConforming` with what is broken."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from anybind.adapter import Adapter
from anybind.binder import Binder
from anybind.dataset import Dataset
from anybind.encoder import Encoder
from anybind.errors import BadOption, UnknownName, nearest
from anybind.head import Head
from anybind.modality import Modality
from anybind.reader import Reader
from anybind.representation import Representation
from anybind.spec import Spec
from anybind.task import Task
from anybind.testing import tower_rules  # noqa: F401 (adds its rules to those of encoders)
from anybind.testing.adapter_rules import ADAPTER_RULES, AdapterCase
from anybind.testing.dataset_rules import DATASET_RULES, DatasetCase
from anybind.testing.encoder_rules import ENCODER_RULES, EncoderCase
from anybind.testing.head_rules import HEAD_RULES, HeadCase
from anybind.testing.modality_rules import MODALITY_RULES, ModalityCase
from anybind.testing.reader_rules import READER_RULES, ReaderCase
from anybind.testing.representation_rules import REPRESENTATION_RULES, RepresentationCase
from anybind.testing.rules import Report
from anybind.testing.spec_rules import SPEC_RULES, SpecCase
from anybind.testing.stand_in import stand_in_binder
from anybind.testing.task_rules import TASK_RULES, TaskCase

SUITES = {
    "spec": SPEC_RULES,
    "modality": MODALITY_RULES,
    "reader": READER_RULES,
    "representation": REPRESENTATION_RULES,
    "encoder": ENCODER_RULES,
    "adapter": ADAPTER_RULES,
    "dataset": DATASET_RULES,
    "head": HEAD_RULES,
    "task": TASK_RULES,
}
"""The rules of each kind of part, and those of specs."""


def rule_names(kind: str) -> list[str]:
    """Names of the rules that parts of a kind, or specs (`spec`), are held to, in order.

    Raises:
        UnknownName: there are no rules for it.
    """
    if kind not in SUITES:
        raise UnknownName(f"there are no rules for {kind!r}{nearest(kind, SUITES)}")
    return [rule.name for rule in SUITES[kind].listed]


def check_spec(spec: Spec, *, kind: str = "", only: str | None = None) -> Report:
    """Hold a spec to the contract: name, summary, licences, target.

    Args:
        spec: the spec.
        kind: of which kind of part it is; some rules are for some kinds only.
        only: one rule by name (see `rule_names`), for tests parametrised by rules. So in all suites.

    Returns:
        the outcome of every rule. So do all suites.

    Raises:
        NotConforming: rules are broken; the message names each, what was seen, and how to mend it. So do all suites.
    """
    return SPEC_RULES.judge(f"spec {spec.name!r}", SpecCase(spec, kind), only).require()


def check_modality(
    modality: Modality,
    samples: Sequence[Any],
    *,
    wrong: Sequence[Any] = (),
    sources: Mapping[str, Any] | None = None,
    spec: Spec | None = None,
    only: str | None = None,
) -> Report:
    """Hold a modality to the contract: what it accepts, checks, shows, augments and derives.

    Args:
        modality: the modality.
        samples: samples of it, one at least.
        wrong: samples that `check` must refuse, such as an empty one.
        sources: a sample of each other modality that it can be derived from.
        spec: as it is registered.
    """
    _some("samples", samples)
    case = ModalityCase(modality, samples, wrong, sources or {}, spec)
    return MODALITY_RULES.judge(_title("modality", modality), case, only).require()


def check_reader(
    reader: Reader,
    files: Sequence[Path] = (),
    *,
    samples: Sequence[Any] = (),
    suffix: str = "",
    spec: Spec | None = None,
    only: str | None = None,
) -> Report:
    """Hold a reader to the contract: it knows its files, leaves others alone, and survives cut and damaged ones.

    Args:
        reader: the reader.
        files: files of its format, small ones: each is read some forty times.
        samples: where the reader writes, samples to make files of.
        suffix: ending of those files; the spec's first by default.
        spec: as it is registered; with it what is read is held to the modality that it names.
    """
    with tempfile.TemporaryDirectory() as folder:
        made = []
        for number, sample in enumerate(samples):
            made.append(Path(folder, f"sample{number}{suffix or (spec.suffixes[0] if spec else '')}"))
            reader.write(sample, made[-1])
        listed = [*map(Path, files), *made]
        _some("files, or samples to write", listed)
        return READER_RULES.judge(_title("reader", reader), ReaderCase(reader, listed, spec), only).require()


def check_representation(
    representation: Representation, samples: Sequence[Any], *, wrong: Sequence[Any] = (), only: str | None = None
) -> Report:
    """Hold a representation to the contract: float32, (channels, height, width), finite, deterministic.

    Args:
        representation: the representation.
        samples: samples that it takes, one at least.
        wrong: samples that it must refuse.
    """
    _some("samples", samples)
    case = RepresentationCase(representation, samples, wrong)
    return REPRESENTATION_RULES.judge(_title("representation", representation), case, only).require()


def check_encoder(
    encoder: Encoder,
    samples: Sequence[Any],
    *,
    wrong: Sequence[Any] = (),
    spec: Spec | None = None,
    only: str | None = None,
) -> Report:
    """Hold an encoder to the contract: unit norm, determinism, batch invariance, identity, weight files.

    Args:
        encoder: the encoder.
        samples: two or more samples of its modality that differ.
        wrong: samples that it, or its modality, must refuse; `None` is always tried.
        spec: as it is registered, where that should agree with what the encoder gives.
    """
    _some("samples", samples)
    case = EncoderCase(encoder, samples, wrong, spec)
    return ENCODER_RULES.judge(_title("encoder", encoder), case, only).require()


def check_adapter(adapter: Adapter, *, spec: Spec | None = None, only: str | None = None) -> Report:
    """Hold an adapter to the contract, with random vectors of its source space."""
    return ADAPTER_RULES.judge(_title("adapter", adapter), AdapterCase(adapter, spec), only).require()


def check_dataset(make: Callable[[Path], Dataset], folder: Path, *, only: str | None = None) -> Report:
    """Hold a data set to the contract: ids, labels, the same each time.

    Args:
        make: makes the data set of a folder: its class, or a function that adds options.
        folder: a folder laid out as the data set wants it; a few small files will do.
    """
    return DATASET_RULES.judge(f"dataset of {folder}", DatasetCase(make, Path(folder)), only).require()


def check_task(
    task: Task, dataset: Dataset, *, modality: str, binder: Binder | None = None, only: str | None = None
) -> Report:
    """Hold a task to the contract: what its result says, determinism, samples that cannot be used.

    Args:
        task: the task.
        dataset: a small data set that it can be asked about.
        modality: what its samples are embedded as.
        binder: the binding asked; one that means nothing by default (`stand_in_binder`).
    """
    case = TaskCase(task, binder or stand_in_binder(), dataset, modality)
    return TASK_RULES.judge(_title("task", task), case, only).require()


def check_head(head: Head, *, binder: Binder | None = None, only: str | None = None) -> Report:
    """Hold a head to the contract, on made-up films: scores, fitting, saving, what it refuses.

    Args:
        head: a head that knows nothing yet.
        binder: embeds its words, if it has any; one that means nothing by default (`stand_in_binder`).
    """
    case = HeadCase(head, binder or stand_in_binder())
    return HEAD_RULES.judge(_title("head", head), case, only).require()


def _title(kind: str, part: object) -> str:
    return f"{kind} {type(part).__name__}"


def _some(what: str, given: Sequence[Any]) -> None:
    if not len(given):
        raise BadOption(f"there is nothing to check with: give {what}")
