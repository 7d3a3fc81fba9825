"""`anybind datasets`: list the datasets; `check` compares a folder with the published dataset."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from anybind.commandline import (
    AsJson,
    DatasetOptions,
    parse_options,
    print_json,
    print_table,
    print_text,
    require_matches,
    sub_app,
)
from anybind.completeness import SplitContents
from anybind.dataset import Dataset
from anybind.errors import AnybindError, PluginError
from anybind.files import portable_name
from anybind.registry import Part, check_options, find_part, list_parts
from anybind.spec import DatasetSpec

MAX_PROBLEMS = 5
"""Number of problems of a kind that `check` lists; the others are counted."""
OWN_FOLDER = "your own folder"

app = sub_app()


@app.callback()
def list_datasets(
    ctx: typer.Context,
    pattern: Annotated[
        str, typer.Option("--filter", metavar="PATTERN", help="Only datasets that match; --filter is optional.")
    ] = "*",
    as_json: AsJson = False,
) -> None:
    """List datasets with licence, size and where each is published: all, or `anybind datasets 'ucf*'`."""
    if ctx.invoked_subcommand:
        return
    rows = [describe_dataset(part) for part in list_parts(DatasetSpec, pattern)]
    require_matches(rows, pattern, ["check", *(part.name for part in list_parts(DatasetSpec))], "dataset")
    if as_json:
        print_json({"datasets": rows})
        return
    cells = [(row["name"], ", ".join(row["modalities"]), row["licence"], row["size"]) for row in rows]
    print_table(("name", "modalities", "licence", "size"), cells)
    for row in rows:
        if row["published"] not in ("", OWN_FOLDER):
            print_text(f"{row['name']}: {row['published']}")
    for row in rows:
        if row["problem"]:
            print_text(f"{row['name']} cannot be used: {row['problem']}", err=True)


def describe_dataset(part: Part[DatasetSpec]) -> dict[str, Any]:
    """Return a registered dataset's properties, JSON-like; `problem` says why it cannot be loaded, if so."""
    row = {
        "name": part.name,
        "summary": part.spec.summary,
        "modalities": [part.spec.modality] if part.spec.modality else [],
        "licence": "",
        "size": "",
        "published": "",
        "splits": {},
        "plugin": part.plugin,
        "problem": "",
    }
    try:
        target = part.load()
    except AnybindError as error:  # a broken one, or one whose extra is not installed, is still listed
        return {**row, "problem": " ".join(str(error).split())}
    if not (isinstance(target, type) and issubclass(target, Dataset)):  # a function: its spec is all there is
        return {**row, "published": OWN_FOLDER, "size": "as you have it"}
    return {
        **row,
        "modalities": list(target.sample_modalities) or row["modalities"],
        "licence": target.licence,
        "size": target.size or ("" if target.published else "as you have it"),
        "published": target.published or OWN_FOLDER,
        "splits": {split: count for split, count in target.splits.items() if split != "all" or count is not None},
    }


@app.command("check")
def check(
    name: Annotated[str, typer.Argument(help="Dataset by name: see `anybind datasets`.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the dataset.")],
    dataset_options: DatasetOptions = None,
    as_json: AsJson = False,
) -> None:
    """Count the samples of a dataset's folder and list what is missing; exit with 1 if it is incomplete."""
    options = parse_options(dataset_options)
    part = find_part(DatasetSpec, name)
    target = part.load()
    check_options(f"dataset {name!r}", target, folder, **options)
    if not (isinstance(target, type) and issubclass(target, Dataset)):
        raise PluginError(f"the dataset {name!r} cannot be checked: expected a subclass of Dataset, got a function")
    with part.explain_missing_extra():
        splits = target.check(folder, **options)
    complete = all(each.complete for each in splits)
    if as_json:
        properties = ("n_missing", "empty_classes", "complete")
        rows = [{**asdict(split), **{key: getattr(split, key) for key in properties}} for split in splits]
        fields = {"dataset": name, "folder": os.fspath(folder), "published": target.published}
        print_json({**fields, "complete": complete, "splits": rows})
    else:
        _print_splits(f"{name} in {portable_name(folder)}", splits)
        if target.splits.get("all", 0) is None:
            print_text("no published numbers to compare with: samples are only counted")
        if not complete and target.published:
            print_text(f"it is published at {target.published}")
    if not complete:
        raise typer.Exit(1)


def _print_splits(title: str, splits: Iterable[SplitContents]) -> None:
    rows = []
    for split in splits:
        published = "unknown" if split.published is None else str(split.published)
        counts = sorted(split.classes.values()) or [split.n_found]
        classes = f"{len(split.classes) - len(split.empty_classes)} of {len(split.classes)}" if split.classes else ""
        per_class = f"{counts[0]} to {counts[-1]}" if split.classes else ""
        rows.append((split.name, str(split.n_found), published, classes, per_class, "yes" if split.complete else "no"))
    print_table(("split", "found", "published", "classes", "per class", "complete"), rows, title)
    for split in splits:
        lines = [f"{split.n_missing} of {split.published} samples are missing"] if split.n_missing else []
        lines += _shorten(split.missing)
        lines += [f"empty classes: {', '.join(_shorten(split.empty_classes))}"] if split.empty_classes else []
        lines += _shorten(f"{id} is empty" for id in split.empty_files)
        for line in lines:
            print_text(f"{split.name}: {line}")


def _shorten(lines: Iterable[str]) -> list[str]:
    """Return the first few lines and the number of the others."""
    lines = list(lines)
    n_more = len(lines) - MAX_PROBLEMS
    return lines if n_more <= 0 else [*lines[:MAX_PROBLEMS], f"and {n_more} more"]
