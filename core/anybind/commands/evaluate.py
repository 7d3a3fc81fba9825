"""`anybind evaluate`: ask a task of a binding on a folder of data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import (
    AsJson,
    BindingName,
    Device,
    Seed,
    SkipBad,
    SkippedFiles,
    StoreFlag,
    open_store,
    parse_options,
    print_json,
    print_table,
)
from anybind.dataset import Dataset, load_dataset
from anybind.evaluation import evaluate as run_evaluation
from anybind.evaluation import task_sources
from anybind.registry import create_part, find_part
from anybind.result import Result
from anybind.spec import ModalitySpec, TaskSpec
from anybind.tables import parse_names
from anybind.task import Task


def evaluate(
    task: Annotated[str, typer.Argument(help="A task by name, such as zero-shot.")],
    data: Annotated[Path, typer.Option(help="The folder of the data; one folder a class unless --dataset says more.")],
    modality: Annotated[str, typer.Option(help="What samples are embedded as; pictures become recordings as event.")],
    binding: BindingName = "mini",
    dataset: Annotated[str, typer.Option(help="The data set's kind, by name.")] = "folder",
    limit: Annotated[int | None, typer.Option(help="This many samples, spread evenly over classes.")] = None,
    classes: Annotated[str | None, typer.Option(help="Keep only these folders: a,b or a file of names.")] = None,
    among: Annotated[str | None, typer.Option(help="Class names asked for: a,b, a file, or all (folders).")] = None,
    classnames: Annotated[Path | None, typer.Option(help="JSON file of class names by folder.")] = None,
    template: Annotated[list[str] | None, typer.Option(help="Sentence with {} for the name; repeatable.")] = None,
    option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for the task; repeatable.")] = None,
    data_option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for the data set; repeatable.")] = None,
    seed: Seed = 0,
    device: Device = "cpu",
    store: StoreFlag = True,
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Ask a task of a binding on a folder of data, and print the metrics."""
    find_part(TaskSpec, task)  # unknown names are reported before any file is looked for
    find_part(ModalitySpec, modality)
    options = {**_given(templates=template), **parse_options(option)}
    question: Task = create_part(TaskSpec, task, **options)
    about = _given(classes=None if classes is None else parse_names(classes), names=classnames, limit=limit)
    asked_of = load_dataset(
        dataset, data, modalities=task_sources(question, modality), **about, **parse_options(data_option)
    )
    if among is not None:
        question = create_part(TaskSpec, task, among=_asked(among, asked_of), **options)
    skipped = SkippedFiles()
    on_bad = skipped.note if skip_bad else None
    result = run_evaluation(
        question,
        asked_of,
        modality=modality,
        binding=binding,
        seed=seed,
        device=device,
        store=open_store(store),
        on_bad=on_bad,
    )
    if as_json:
        print_json({**result.to_dict(), "skipped": skipped})
    else:
        with_chance = ("chance",) if result.chance else ()
        print_table(
            ("metric", "value", "95 % interval", *with_chance),
            _rows(result),
            f"{task}: {modality} of {asked_of.name} by {result.binding}",
        )
    skipped.report()


def _given(**options: object) -> dict[str, object]:
    """Those options that were given: a task or data set need not know the others."""
    return {name: value for name, value in options.items() if value is not None and value != []}


def _asked(among: str, dataset: Dataset) -> list[str]:
    return (
        list(dataset.all_classes)
        if among == "all"
        else [dataset.resolve_class_name(name) for name in parse_names(among)]
    )


def _rows(result: Result) -> list[tuple[str, ...]]:
    """Metrics with their intervals and, where it is known, what guessing gives."""
    rows: list[tuple[str, ...]] = []
    for name, value in result.metrics.items():
        ends = result.intervals.get(name)
        rows.append((name, f"{value:.4f}", f"{ends[0]:.4f} to {ends[1]:.4f}" if ends else ""))
        if result.chance:
            rows[-1] += (f"{result.chance[name]:.4f}" if name in result.chance else "",)
    empty = ("", "") if result.chance else ("",)
    rows.append(("samples", str(result.n), *empty))
    # There are no candidates where nothing is compared, as with scores of videos.
    return [*rows, ("asked among", str(result.gallery_size), *empty)] if result.gallery_size else rows
