"""`anybind datasets`: list the data sets, and `check` how much of one a folder holds."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from anybind.commandline import AsJson, parse_options, print_json, print_table, sub_app
from anybind.completeness import SplitContents
from anybind.dataset import Dataset
from anybind.errors import AnybindError, PluginError
from anybind.files import portable_name
from anybind.registry import Part, check_options, find_part, list_parts
from anybind.spec import DatasetSpec

SHOWN = 5
"""How many of the things that are missing are told by name."""


app = sub_app()


@app.callback()
def list_datasets(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List the data sets with their licences and where they are published; check a copy of one."""
    if ctx.invoked_subcommand:
        return
    told = [about(part) for part in list_parts(DatasetSpec)]
    if as_json:
        print_json({"datasets": told})
        return
    columns = ("name", "modalities", "licence", "size", "published")
    rows = [(row["name"], ", ".join(row["modalities"]), *(row[name] for name in columns[2:])) for row in told]
    print_table(columns, rows)
    for row in told:
        if row["problem"]:
            typer.echo(f"{row['name']} cannot be used: {row['problem']}", err=True)


def about(part: Part[DatasetSpec]) -> dict[str, Any]:
    """What is known of a registered data set, JSON-like; `problem` says why one that cannot be used is unknown."""
    told = {
        "name": part.name,
        "summary": part.spec.summary,
        "modalities": [part.spec.modality] if part.spec.modality else [],
        "licence": "",
        "size": "",
        "published": "",
        "parts": {},
        "plugin": part.plugin,
        "problem": "",
    }
    try:
        made = part.load()
    except AnybindError as error:  # a broken one, or one whose extra is not installed, is still listed
        return {**told, "problem": " ".join(str(error).split())}
    if not (isinstance(made, type) and issubclass(made, Dataset)):  # a function: only its specification is known
        return {**told, "published": "your own folder", "size": "as you have it"}
    return {
        **told,
        "modalities": list(made.sample_modalities) or told["modalities"],
        "licence": made.licence,
        "size": made.size or ("" if made.published else "as you have it"),
        "published": made.published or "your own folder",
        "parts": {split: count for split, count in made.splits.items() if split != "all" or count is not None},
    }


@app.command("check")
def check(
    name: Annotated[str, typer.Argument(help="A data set, as `anybind datasets` lists it.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder that is to hold it.")],
    data_option: Annotated[
        list[str] | None, typer.Option("--data-option", help="An option of the data set, as split=test; repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Count what a folder holds of a data set, and say what is missing; ends with 1 where it is not complete."""
    options = parse_options(data_option)
    part = find_part(DatasetSpec, name)
    made = part.load()
    check_options(f"dataset {name!r}", made, folder, **options)
    if not (isinstance(made, type) and issubclass(made, Dataset)):
        raise PluginError(f"the data set {name!r} is no class made from anybind.Dataset, so it cannot be checked")
    with part.explain_missing_extra():
        held = made.check(folder, **options)
    complete = all(each.complete for each in held)
    if as_json:
        rows = [
            {
                **asdict(each),
                "n_missing": each.n_missing,
                "empty_classes": each.empty_classes,
                "complete": each.complete,
            }
            for each in held
        ]
        fields = {"dataset": name, "folder": os.fspath(folder), "published": made.published}
        print_json({**fields, "complete": complete, "parts": rows})
    else:
        _print_parts(f"{name} in {portable_name(folder)}", held)
        if made.splits.get("all", 0) is None:
            typer.echo("there are no published numbers to compare with: what is there is counted")
        if not complete and made.published:
            typer.echo(f"it is published at {made.published}")
    if not complete:
        raise typer.Exit(1)


def _print_parts(title: str, held: Iterable[SplitContents]) -> None:
    rows = []
    for part in held:
        published = "not known" if part.published is None else str(part.published)
        counts = sorted(part.classes.values()) or [part.n_found]
        classes = f"{len(part.classes) - len(part.empty_classes)} of {len(part.classes)}" if part.classes else ""
        each = f"{counts[0]} to {counts[-1]}" if part.classes else ""
        rows.append((part.name, str(part.n_found), published, classes, each, "yes" if part.complete else "no"))
    print_table(("part", "found", "published", "classes", "in each", "complete"), rows, title)
    for part in held:
        lines = [f"{part.n_missing} of {part.published} samples are missing"] if part.n_missing else []
        lines += _first(part.missing)
        lines += [f"nothing of these classes: {', '.join(_first(part.empty_classes))}"] if part.empty_classes else []
        lines += _first(f"{id} is empty" for id in part.empty_files)
        for line in lines:
            typer.echo(f"{part.name}: {line}")


def _first(lines: Iterable[str]) -> list[str]:
    """The first few lines, and how many more there are."""
    lines = list(lines)
    more = len(lines) - SHOWN
    return lines if more <= 0 else [*lines[:SHOWN], f"and {more} more"]
