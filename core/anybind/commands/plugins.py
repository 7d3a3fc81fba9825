"""`anybind plugins`: list what is installed, start a plugin (`new`), check one (`check`)."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anybind.commandline import AsJson, print_json, print_table, sub_app
from anybind.errors import BadOption, NameClash
from anybind.registry import list_parts, registry
from anybind.scaffold import check_plugin_name, find_template, write_plugin

if TYPE_CHECKING:
    from anybind.testing import Report

app = sub_app()


@app.callback()
def list_plugins(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List installed plugins with their parts and problems; start one, or check one."""
    if ctx.invoked_subcommand:
        return
    found, clashes = registry().plugins, registry().clashes()
    brought = [part for kind in [*registry().kinds(), "kind"] for part in list_parts(kind)]
    if as_json:
        rows = [{"kind": p.kind, "plugin": p.plugin, "distribution": p.distribution, **asdict(p.spec)} for p in brought]
        print_json({"plugins": [asdict(plugin) for plugin in found], "parts": rows, "clashes": clashes})
    else:
        print_table(
            ("plugin", "distribution", "version", "status"),
            [(p.name, p.distribution, p.version, ": ".join(filter(None, (p.status, p.problem)))) for p in found],
        )
        print_table(
            ("kind", "name", "plugin", "summary"),
            [(part.kind, part.name, part.plugin, part.spec.summary) for part in brought],
        )
    if clashes:
        raise NameClash("; ".join(clashes))


@app.command("check")
def check(
    name: Annotated[str, typer.Argument(help="Plugin, or distribution for all its plugins.")],
    as_json: AsJson = False,
) -> None:
    """Run the conformance checks on every part of a plugin; exit with 1 where one fails."""
    from anybind.testing import check_part, list_plugin_parts  # heavy, and needed here only

    reports = [(part, check_part(part)) for part in list_plugin_parts(name)]
    failed = sum(len(report.failed) for _, report in reports)
    if as_json:
        rows = [{"kind": part.kind, "name": part.name, **report.to_dict()} for part, report in reports]
        print_json({"plugin": name, "failed": failed, "parts": rows})
    else:
        print_table(
            ("kind", "name", "passed", "failed", "status"),
            [
                (part.kind, part.name, str(len(report.with_status("passed"))), str(len(report.failed)), _status(report))
                for part, report in reports
            ],
        )
        for part, report in reports:
            for outcome in report.with_status("failed"):
                typer.echo(f"{part.kind} {part.name}: {outcome.check}: {outcome.message}\n  remedy: {outcome.remedy}")
    if failed:
        raise typer.Exit(1)


def _status(report: Report) -> str:
    if report.failed:
        return f"failed: {', '.join(report.failed)}"
    skipped = [outcome.message for outcome in report.with_status("skipped") if outcome.check == "check_example"]
    expected = [outcome.check for outcome in report.with_status("expected failure")]
    return f"skipped: {skipped[0]}" if skipped else f"ok, expected: {', '.join(expected)}" if expected else "ok"


@app.command("new")
def new(
    name: Annotated[
        str, typer.Argument(help="Name of the distribution and its folder: lower case, words joined by dashes.")
    ],
    kind: Annotated[str, typer.Option(help="Kind of its part, as `anybind plugins` lists them.")] = "encoder",
    predicts: Annotated[
        str, typer.Option(help="Target of a head: classification, anomaly or ranking. [default: classification]")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Write a small plugin to start from into ./NAME: a package, its metadata, and a test that runs the checks."""
    if predicts and kind != "head":
        raise BadOption(f"--predicts is for heads, got the kind {kind!r}")
    template = find_template(kind, predicts or "classification")
    module = check_plugin_name(name)
    written = write_plugin(Path(name), name, module, kind, template)
    if as_json:
        print_json({"name": name, "kind": kind, "module": module, "files": [str(path) for path in written]})
        return
    for path in written:
        typer.echo(path)
    typer.echo(f"next: pip install -e ./{name} && anybind plugins check {name}")
