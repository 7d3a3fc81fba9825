"""`anybind plugins`: list installed plugins, create one (`new`), check one (`check`)."""

from __future__ import annotations

from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anybind.commandline import AsJson, print_json, print_table, print_text, require_matches, sub_app
from anybind.errors import BadOption, NameClash
from anybind.registry import list_parts, registry
from anybind.scaffold import check_plugin_name, find_template, write_plugin

if TYPE_CHECKING:
    from anybind.testing import Report

app = sub_app()


@app.callback()
def list_plugins(
    ctx: typer.Context,
    pattern: Annotated[
        str,
        typer.Option(
            "--filter", metavar="PATTERN", help="Only matching plugins, kinds and parts; --filter is optional."
        ),
    ] = "*",
    as_json: AsJson = False,
) -> None:
    """List installed plugins with their parts and problems: all, or `anybind plugins openclip`, `... 'open*'`."""
    if ctx.invoked_subcommand:
        return
    plugins, clashes = registry().plugins, registry().list_clashes()
    parts = [part for kind in [*registry().kinds(), "kind"] for part in list_parts(kind)]
    names = {"check", "new", *registry().kinds(), *(each.name for each in [*plugins, *parts])}
    parts = [p for p in parts if any(fnmatchcase(name, pattern) for name in (p.plugin, p.kind, p.name))]
    owners = {part.plugin for part in parts}
    plugins = [p for p in plugins if p.name in owners or fnmatchcase(p.name, pattern)]
    require_matches(plugins, pattern, names, "plugin, kind or part")
    if as_json:
        rows = [{"kind": p.kind, "plugin": p.plugin, "distribution": p.distribution, **asdict(p.spec)} for p in parts]
        print_json({"plugins": [asdict(plugin) for plugin in plugins], "parts": rows, "clashes": clashes})
    else:
        print_table(
            ("plugin", "distribution", "version", "status"),
            [(p.name, p.distribution, p.version, ": ".join(filter(None, (p.status, p.problem)))) for p in plugins],
        )
        print_table(
            ("kind", "name", "plugin", "summary"),
            [(part.kind, part.name, part.plugin, part.spec.summary) for part in parts],
        )
    if clashes:
        raise NameClash("; ".join(clashes))


@app.command("check")
def check(
    name: Annotated[str, typer.Argument(help="Plugin, or distribution with all its plugins.")],
    as_json: AsJson = False,
) -> None:
    """Run the conformance checks on every part of a plugin; exit with 1 if one fails."""
    from anybind.testing import check_part, list_plugin_parts  # a heavy import

    reports = [(part, check_part(part)) for part in list_plugin_parts(name)]
    failed = sum(len(report.failed) for _, report in reports)
    if as_json:
        rows = [{"kind": part.kind, "name": part.name, **report.to_dict()} for part, report in reports]
        print_json({"plugin": name, "failed": failed, "parts": rows})
    else:
        print_table(
            ("kind", "name", "passed", "failed", "status"),
            [(part.kind, part.name, *_format_report(report)) for part, report in reports],
        )
        for part, report in reports:
            for outcome in report.with_status("failed"):
                print_text(f"{part.kind} {part.name}: {outcome.check}: {outcome.message}")
                print_text(f"  remedy: {outcome.remedy}")
    if failed:
        raise typer.Exit(1)


def _format_report(report: Report) -> tuple[str, str, str]:
    """Return the numbers of passed and failed checks, and the status."""
    passed, failed, status = len(report.with_status("passed")), len(report.failed), "ok"
    skipped = [outcome.message for outcome in report.with_status("skipped") if outcome.check == "check_example"]
    if failed:
        status = f"failed: {', '.join(report.failed)}"
    elif skipped:
        status = f"skipped: {skipped[0]}"
    elif expected := [outcome.check for outcome in report.with_status("expected failure")]:
        status = f"ok, expected: {', '.join(expected)}"
    return str(passed), str(failed), status


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Name of the distribution and its folder: lower case, with dashes.")],
    kind: Annotated[str, typer.Option(help="Kind of its part, such as encoder, reader, head or task.")] = "encoder",
    predicts: Annotated[
        str, typer.Option(help="What a head predicts: classification, anomaly or ranking. [default: classification]")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Create a small plugin in ./NAME: a package, its metadata, and a test that runs the conformance checks."""
    if predicts and kind != "head":
        raise BadOption(f"--predicts is for heads, got the kind {kind!r}")
    template = find_template(kind, predicts or "classification")
    module = check_plugin_name(name)
    written = write_plugin(Path(name), name, module, kind, template)
    if as_json:
        print_json({"name": name, "kind": kind, "module": module, "files": [str(path) for path in written]})
        return
    for path in written:
        print_text(str(path))
    print_text(f"next: pip install -e ./{name} && anybind plugins check {name}")
