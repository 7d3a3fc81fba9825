"""`anybind evaluate`: evaluate a task on a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from anybind.commandline import (
    AsJson,
    Backend,
    BatchSize,
    BindingName,
    Classes,
    DatasetOptions,
    Device,
    End,
    Filters,
    Precision,
    Processes,
    Prompts,
    Region,
    Seed,
    SkipInvalid,
    SkippedFiles,
    Start,
    StoreFlag,
    Stride,
    Workers,
    open_store,
    parse_options,
    parse_windows,
    print_json,
    print_table,
    print_text,
)
from anybind.dataset import Dataset, load_dataset
from anybind.evaluation import evaluate as run_evaluation
from anybind.evaluation import task_sources
from anybind.loaded import load
from anybind.registry import create_part, find_part
from anybind.result import Result
from anybind.spec import ModalitySpec, TaskSpec
from anybind.tables import parse_names
from anybind.task import Task

UndividedWindow = Annotated[
    str,
    typer.Option(
        "--window",
        help="Evaluate windows of recordings: 100ms, 5000ev (events), auto (length by content) or whole (one window)."
        " [default: undivided recordings; with --start, --end, --stride, --roi or --filter as `classify`]",
    ),
]


def evaluate(
    task: Annotated[str, typer.Argument(help="Task by name, such as zero-shot.")],
    data: Annotated[Path, typer.Option(help="Folder of the dataset; with --dataset folder, one subfolder per class.")],
    modality: Annotated[
        str, typer.Option(help="Modality to embed samples as; as event, events are simulated from images.")
    ],
    binding: BindingName = "mini",
    dataset: Annotated[str, typer.Option(help="Dataset by name: see `anybind datasets`.")] = "folder",
    limit: Annotated[int | None, typer.Option(help="Number of samples, spread over classes. [default: all]")] = None,
    classes: Classes = None,
    candidate_labels: Annotated[
        str | None,
        typer.Option(help="Class names to choose among: a,b, a file, or all. [default: those of the samples]"),
    ] = None,
    class_names: Annotated[Path | None, typer.Option(help="JSON file with class names by folder name.")] = None,
    templates: Prompts = None,
    task_options: Annotated[
        list[str] | None, typer.Option("--task-option", help="NAME=VALUE for the task; repeatable.")
    ] = None,
    dataset_options: DatasetOptions = None,
    seed: Seed = 0,
    batch_size: BatchSize = 32,
    workers: Workers = None,
    processes: Processes = False,
    device: Device = "cpu",
    backend: Backend = "auto",
    precision: Precision = "fp32",
    store: StoreFlag = True,
    skip_invalid: SkipInvalid = False,
    as_json: AsJson = False,
    start: Start = "",
    end: End = "",
    window: UndividedWindow = "",
    stride: Stride = "",
    roi: Region = "",
    filters: Filters = "",
    page: Annotated[
        str | None, typer.Option(help="Write an HTML page with the confusion matrix and windows; with --window.")
    ] = None,
) -> None:
    """Evaluate a task on a dataset and print its metrics with 95 % confidence intervals.

    With --window (or a time range or region) zero-shot is evaluated on windows, with intervals by recording.
    """
    find_part(TaskSpec, task)  # unknown names are reported before a missing folder
    find_part(ModalitySpec, modality)
    windows = parse_windows(start, end, window, stride, roi, filters)
    options = {
        **_drop_unset(templates=templates, windows=None if windows.is_default else windows, page=page),
        **parse_options(task_options, *([] if candidate_labels is None else ["candidate_labels"])),
    }
    configured: Task = create_part(TaskSpec, task, **options)
    selection = _drop_unset(classes=None if classes is None else parse_names(classes), names=class_names, limit=limit)
    further = parse_options(dataset_options, load_dataset, "modalities", *selection)
    samples = load_dataset(dataset, data, modalities=task_sources(configured, modality), **selection, **further)
    if candidate_labels is not None:
        labels = _resolve_labels(candidate_labels, samples)
        configured = create_part(TaskSpec, task, candidate_labels=labels, **options)
    binder, skipped = load(
        binding, device=device, backend=backend, store=open_store(store), precision=precision, batch_size=batch_size,
        workers=workers, processes=processes,
    ), SkippedFiles()  # fmt: skip
    on_bad = skipped.record if skip_invalid else None
    result = run_evaluation(configured, samples, modality=modality, binding=binder, seed=seed, on_bad=on_bad)
    if as_json:
        print_json({**result.to_dict(), "skipped": skipped})
    else:
        _print_result(result, page)
    skipped.report()


def _print_result(result: Result, page: str | None) -> None:
    columns = ("metric", "value", "95 % interval", *(("chance",) if result.chance else ()))
    title = f"{result.task}: {result.modality} of {result.dataset} by {result.binding}"
    print_table(columns, _format_metrics(result), title)
    if "window_options" in result.details:
        print_table(*_format_confusion(result.details))
    if page is not None:
        print_text(f"page: {page}")


def _drop_unset(**options: object) -> dict[str, object]:
    """Return the options that were given: a task or dataset need not take the others."""
    return {name: value for name, value in options.items() if value is not None and value != []}


def _resolve_labels(text: str, dataset: Dataset) -> list[str]:
    if text == "all":
        return list(dataset.all_classes)
    return [dataset.resolve_class_name(name) for name in parse_names(text)]


def _format_metrics(result: Result) -> list[tuple[str, ...]]:
    """Return a row a metric: its value, its interval and, if any metric has one, its chance level."""
    rows = []
    for name, value in result.metrics.items():
        ends, chance = result.intervals.get(name), result.chance.get(name)
        interval = f"{ends[0]:.4f} to {ends[1]:.4f}" if ends else ""
        rows.append((name, f"{value:.4f}", interval, "" if chance is None else f"{chance:.4f}"))
    rows.append(("samples", str(result.n), "", ""))
    if result.gallery_size:  # 0 where samples are scored and not compared, as in video anomaly detection
        rows.append(("candidates", str(result.gallery_size), "", ""))
    return [row if result.chance else row[:3] for row in rows]


def _format_confusion(details: Mapping[str, Any]) -> tuple[list[str], list[list[str]], str]:
    """Return columns, rows and title of the confusion matrix of windows: labels by answers."""
    rows = zip(details["rows"], details["confusion"], strict=True)
    columns = ["label", *details["classes"], "no answer"]
    return columns, [[label, *(str(count or "") for count in counts)] for label, counts in rows], "windows by answer"
