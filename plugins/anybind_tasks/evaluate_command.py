"""`anybind evaluate`: ask a task of a binding on a folder of data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from anybind import Dataset, Result, Task, create, find_part, load, read_names
from anybind.commandline import (
    AsJson,
    BindingName,
    Device,
    Seed,
    SkipBad,
    Skipped,
    named_values,
    print_json,
    print_table,
)


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
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Ask a task of a binding on a folder of data, and print the metrics."""
    find_part("task", task)  # unknown names are told before any file is looked for
    sources = find_part("modality", modality).spec.consumes
    about = _given(classes=None if classes is None else read_names(classes), names=classnames, limit=limit)
    asked_of: Dataset = create(
        "dataset", dataset, data, modalities=(modality, *sources), **about, **named_values(data_option)
    )
    question: Task = create(
        "task", task, **_given(templates=template, among=_asked(among, asked_of)), **named_values(option)
    )
    binder = load(binding, device=device)
    binder.encoder(modality)  # an unknown modality is told before the text tower is loaded
    skipped = Skipped()
    result = question.run(binder, asked_of, modality=modality, seed=seed, on_bad=skipped.note if skip_bad else None)
    if as_json:
        print_json({**result.to_dict(), "skipped": skipped})
    else:
        print_table(
            ("metric", "value", "95 % interval"),
            _rows(result),
            f"{task}: {modality} of {asked_of.name} by {binder.name}",
        )
    skipped.report()


def _given(**options: Any) -> dict[str, Any]:
    """Those options that were given: a task or data set need not know the others."""
    return {name: value for name, value in options.items() if value is not None and value != []}


def _asked(among: str | None, dataset: Dataset) -> list[str] | None:
    if among is None:
        return None
    return list(dataset.all_classes) if among == "all" else [dataset.class_named(name) for name in read_names(among)]


def _rows(result: Result) -> list[tuple[str, str, str]]:
    """Metrics with their intervals, which stand in details as `NAME_interval` or under the name in `intervals`."""
    known = result.details.get("intervals", {})
    rows = []
    for name, value in result.metrics.items():
        ends = result.details.get(f"{name}_interval") or known.get(name)
        rows.append((name, f"{value:.4f}", f"{ends[0]:.4f} to {ends[1]:.4f}" if ends else ""))
    rows.append(("samples", str(result.n), ""))
    # There are no candidates where nothing is asked for, as with scores of films.
    return [*rows, ("asked among", str(result.gallery_size), "")] if result.gallery_size else rows
