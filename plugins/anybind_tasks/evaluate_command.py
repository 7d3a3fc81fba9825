"""`anybind evaluate`: ask a task of a binding on a folder of data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from anybind import Result, Task, create, find_part, load
from anybind.commandline import AsJson, BindingName, Device, Seed, SkipBad, Skipped, print_json, print_table
from anybind_tasks.class_names import class_name, read_names
from anybind_tasks.folder_dataset import FolderDataset


def evaluate(
    task: Annotated[str, typer.Argument(help="A task by name, such as zero-shot.")],
    data: Annotated[Path, typer.Option(help="A folder with one folder a class.")],
    modality: Annotated[str, typer.Option(help="What samples are embedded as; pictures become recordings as event.")],
    binding: BindingName = "mini",
    limit: Annotated[int | None, typer.Option(help="About this many samples, spread evenly over classes.")] = None,
    classes: Annotated[str | None, typer.Option(help="Keep only these folders: a,b or a file of names.")] = None,
    among: Annotated[str | None, typer.Option(help="Class names asked for: a,b, a file, or all (folders).")] = None,
    classnames: Annotated[Path | None, typer.Option(help="JSON file of class names by folder.")] = None,
    template: Annotated[list[str] | None, typer.Option(help="Sentence with {} for the name; repeatable.")] = None,
    seed: Seed = 0,
    device: Device = "cpu",
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Ask a task of a binding on a folder of data, and print the metrics."""
    find_part("task", task)  # unknown names are told before any file is looked for
    sources = find_part("modality", modality).spec.consumes
    dataset = FolderDataset(
        data,
        modalities=(modality, *sources),
        classes=None if classes is None else read_names(classes),
        names=classnames,
        limit=limit,
    )
    options: dict[str, Any] = {}
    if template:
        options["templates"] = template
    if among:
        options["among"] = _asked(among, dataset)
    question: Task = create("task", task, **options)
    binder = load(binding, device=device)
    binder.encoder(modality)  # an unknown modality is told before the text tower is loaded
    skipped = Skipped()
    result = question.run(binder, dataset, modality=modality, seed=seed, on_bad=skipped.note if skip_bad else None)
    if as_json:
        print_json({**result.to_dict(), "skipped": skipped})
    else:
        print_table(("metric", "value"), _rows(result), f"{task}: {modality} of {dataset.name} by {binder.name}")
    skipped.report()


def _asked(among: str, dataset: FolderDataset) -> list[str]:
    if among == "all":
        return dataset.all_classes
    return [dataset.class_of.get(name, class_name(name)) for name in read_names(among)]


def _rows(result: Result) -> list[tuple[str, str]]:
    rows = [(name, f"{value:.4f}") for name, value in result.metrics.items()]
    return [*rows, ("samples", str(result.n)), ("asked among", str(result.gallery_size))]
