"""The plan of a run: the questions with their tasks and data at hand, the bindings, and a cell for each answer."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from anybind import AnybindError, Binding, find_binding
from anybind.plugin import (
    BadInput,
    BadOption,
    Dataset,
    DatasetSpec,
    Task,
    create,
    errors,
    find_part,
    modalities,
)
from anybind_bench.made import is_made, make_dataset
from anybind_bench.suite import Question, Suite

TO_DO, DONE, FAILED, MISSING, NOT_APPLICABLE = "to do", "done", "failed", "missing", "not-applicable"


@dataclass(frozen=True)
class Ready:
    """A question with its task and its data, or why they are not at hand.

    Attributes:
        state: `missing` or `failed` where one of them is not there.
        dataset: None also where it makes its data, has not yet, and may not now.
        there: whether the folder of its data is there; None where it makes them itself.
    """

    question: Question
    task: Task | None = None
    dataset: Dataset | None = None
    split_hash: str = ""
    there: bool | None = None
    state: str = ""
    error: str = ""


@dataclass(frozen=True)
class Named:
    """A binding by the name that results show, or why there is none."""

    name: str
    binding: Binding | None = None
    error: str = ""


@dataclass
class Cell:
    """One question asked of one binding with one seed, and what has become of it.

    Attributes:
        number: of the question, in the suite.
        identity: what its result is known by, as soon as that can be told.
    """

    number: int
    binding: str
    seed: int
    identity: str | None = None
    state: str = TO_DO
    error: str | None = None
    main_metric: str | None = None
    result: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Folders:
    """Where things are.

    Attributes:
        data: the folder of all data, if one is given.
        made: for data sets that make their data.
        make: whether they may; else only what was made before is looked at.
    """

    data: Path | None
    made: Path
    make: bool = True


@dataclass(frozen=True)
class Plan:
    """What is to be asked, in order: question, binding, seed.

    Attributes:
        suite: with all its questions, also those that are not asked this time.
        questions: those that are asked, by their number in the suite.
    """

    suite: Suite
    questions: Mapping[int, Ready]
    bindings: tuple[Named, ...]
    cells: tuple[Cell, ...] = field(default=())


def narrowed(suite: Suite, numbers: Sequence[int], *, limit: int | None, seeds: Sequence[int]) -> Suite:
    """The suite, some of its questions with fewer samples, where a data set takes a limit, and with other seeds, where
    some are given.
    """
    questions = list(suite.questions)
    for number in numbers:
        question = questions[number]
        if limit is not None and _takes_limit(question.dataset):
            question = replace(question, dataset_options={**question.dataset_options, "limit": limit})
        questions[number] = replace(question, seeds=tuple(dict.fromkeys(seeds)) or question.seeds)
    return replace(suite, questions=tuple(questions))


def _takes_limit(dataset: str) -> bool:
    try:
        target = find_part(DatasetSpec, dataset).load()
    except AnybindError:  # what cannot be loaded is told of when it is to be used
        return False
    return isinstance(target, type) and issubclass(target, Dataset) and target.takes_limit


def chosen(suite: Suite, only: Sequence[str]) -> list[int]:
    """Numbers of the questions that `--only` names by title, task or data set; all without it.

    Raises:
        BadOption: none is called so; the message offers the nearest.
    """
    known = {each for question in suite.questions for each in (question.title, question.task, question.dataset)}
    found: set[int] = set()
    for name in only:
        asked = [
            number
            for number, question in enumerate(suite.questions)
            if name.lower() in (question.title.lower(), question.task.lower(), question.dataset.lower())
        ]
        if not asked:
            raise BadOption(
                f"suite {suite.name!r} has no question, task or data set called {name!r}{errors.nearest(name, known)}"
            )
        found.update(asked)
    return sorted(found) if only else list(range(len(suite.questions)))


def find_named(suite: Suite, given: Sequence[str]) -> tuple[Named, ...]:
    """The bindings given, or the suite's own, of which one that cannot be had does not stop the others.

    Raises:
        UnknownName, BadInput, BadOption: one that was given cannot be had, two have one name, or there are none.
    """
    named: list[Named] = []
    for name in given or suite.bindings:
        try:
            binding = find_binding(name)
            named.append(Named(binding.name, binding))
        except AnybindError as error:
            if given:
                raise
            named.append(Named(name, error=one_line(error)))
    for each in named:
        if sum(other.name == each.name for other in named) > 1:
            raise BadOption(f"two of the bindings are called {each.name!r}; results could not tell them apart")
    if not named:
        raise BadOption(f"suite {suite.name!r} names no bindings; give some by --binding")
    return tuple(named)


def make_plan(suite: Suite, numbers: Sequence[int], bindings: Sequence[Named], folders: Folders) -> Plan:
    """Look at the data, and lay out the cells; loads no tower."""
    held: dict[str, Dataset] = {}
    questions = {number: _ready(suite.questions[number], folders, held) for number in numbers}
    cells = [
        _cell(number, questions[number], named, seed)
        for number in numbers
        for named in bindings
        for seed in suite.questions[number].seeds
    ]
    return Plan(suite, questions, tuple(bindings), tuple(cells))


def _cell(number: int, ready: Ready, named: Named, seed: int) -> Cell:
    main_metric = getattr(ready.task, "main_metric", None)
    cell = Cell(number, named.name, seed, main_metric=main_metric)
    lacking = _lacking(ready, named.binding)
    if lacking:
        cell.state, cell.error = NOT_APPLICABLE, f"{named.name} has no encoder for {' and '.join(lacking)}"
    elif ready.state:
        cell.state, cell.error = ready.state, ready.error
    elif named.binding is None:
        cell.state, cell.error = FAILED, named.error
    return cell


def _lacking(ready: Ready, binding: Binding | None) -> list[str]:
    """The modalities that the question needs and the binding does not embed."""
    if binding is None:
        return []
    modality = ready.question.modality
    needed = (modality,) if ready.task is None else ready.task.modalities(modality)
    return [of for of in needed if of not in binding.encoders]


def _ready(question: Question, folders: Folders, held: dict[str, Dataset]) -> Ready:
    """A question with its task and data; what goes wrong is noted there, and the others are asked all the same.

    `held` keeps data sets for further questions about the same data.
    """
    place = None if question.made or folders.data is None else folders.data / question.path
    there = None if question.made else place is not None and place.exists()
    ready = Ready(question, there=there)
    task: Task | None = None
    try:
        task = create("task", question.task, **question.options)
        if not isinstance(task, Task):
            raise BadOption(f"the task {question.task!r} is no anybind.Task")
        ready = replace(ready, task=task)
        kinds = _with_sources(task, question.modality)
        find_part(DatasetSpec, question.dataset)  # an unknown name is told before a folder is asked for
        if there is False:
            return replace(ready, state=MISSING, error=_where(question, folders.data))
        options = question.dataset_options
        if question.made and not (folders.make or is_made(folders.made, question.dataset, kinds, options)):
            return ready
        about = repr((question.dataset, question.path, question.made, dict(options), kinds))
        if about not in held:
            held[about] = _dataset(question, place, folders, kinds)
        return replace(ready, dataset=held[about], split_hash=held[about].split_hash)
    except BadInput as error:
        state = FAILED if question.made or task is None else MISSING
        return replace(ready, state=state, error=one_line(error, folders))
    except (Exception, SystemExit) as error:
        return replace(ready, state=FAILED, error=one_line(error, folders))


def _dataset(question: Question, place: Path | None, folders: Folders, kinds: tuple[str, ...]) -> Dataset:
    if place is not None:
        return create("dataset", question.dataset, place, modalities=kinds, **question.dataset_options)
    return make_dataset(folders.made, question.dataset, kinds, question.dataset_options)


def _with_sources(task: Task, modality: str) -> tuple[str, ...]:
    """The modalities that a task reads, and those that they are derived from."""
    asked = task.modalities(modality)
    sources = [source for each in asked for source in modalities.sources_of(each)[1:]]
    return tuple(dict.fromkeys([*asked, *sources]))


def _where(question: Question, data: Path | None) -> str:
    """What is missing, and where it can be had where the data set knows."""
    published = ""
    with contextlib.suppress(AnybindError):  # a package that it needs may be missing, too
        published = getattr(find_part(DatasetSpec, question.dataset).load(), "published", "")
    source = f"; {question.dataset} is published at {published}" if published else ""
    if data is None:
        return f"needs the folder {question.path} of {question.dataset}; give the folder of all data by --data{source}"
    return f"there is no {question.path} in the folder of all data{source}"


def one_line(error: BaseException, folders: Folders | None = None) -> str:
    """An error as results keep it: one line, without the folders of this machine."""
    expected = isinstance(error, AnybindError)
    told = str(error) if expected else f"internal: {type(error).__name__}: {error}"
    for folder in (folders.data, folders.made) if folders else ():
        if folder is not None:
            told = told.replace(f"{folder}/", "")
    return " ".join(told.split())[:500]
