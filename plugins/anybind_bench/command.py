"""`anybind bench`: list suites, run one, report what came out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from anybind import EmbeddingCache
from anybind.commandline import AsJson, Device, print_json, print_table, sub_app
from anybind.plugin import BadOption, parts, progress_bar, ranks
from anybind_bench.plan import DONE, TO_DO, Cell, Folders, Plan, chosen, find_named, make_plan, narrowed
from anybind_bench.report.command import report
from anybind_bench.run import Run, unfinished
from anybind_bench.store import Results
from anybind_bench.suite import SuiteSpec, find_suite
from anybind_bench.tables import answers, cell_line, json_fields, plan_rows, problems, suite_row

INTERRUPTED = 130


app = sub_app()
app.command("report")(report)


@app.callback()
def bench(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Run suites of questions, go on where a run stopped, and report the answers beside published ones."""
    if not ctx.invoked_subcommand:
        list_suites(as_json)


@app.command("list")
def list_suites(as_json: AsJson = False) -> None:
    """List suites: how many questions, of which bindings, and the folders of data that they want."""
    rows = [suite_row(part.spec) for part in parts(SuiteSpec)]
    if as_json:
        print_json({"suites": rows})
        return
    print_table(
        ("suite", "questions", "bindings", "folders below --data", "summary"),
        [
            (
                row["name"],
                str(row["questions"]),
                ", ".join(row["bindings"]),
                "\n".join(f"{path} ({', '.join(sets)})" for path, sets in row["data"].items()) or "none",
                row["summary"],
            )
            for row in rows
        ],
    )


@app.command()
def run(
    suite: Annotated[str, typer.Argument(help="A suite by name, or a TOML file.")],
    data: Annotated[Path | None, typer.Option(help="The folder of all data, one folder a data set.")] = None,
    binding: Annotated[list[str] | None, typer.Option(help="Ask this one, not the suite's own; repeatable.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Title, task or data set of a question; repeatable.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The folder of results; anybind-bench/SUITE by default.")
    ] = None,
    seed: Annotated[list[int] | None, typer.Option(min=0, help="In place of a question's seeds; repeatable.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="About this many samples, where data sets take it.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Where embeddings are kept; see `anybind cache`.")] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Keep no embeddings.")] = False,
    plan_only: Annotated[bool, typer.Option("--plan", help="Print the plan, and ask nothing.")] = False,
    device: Device = "cpu",
    as_json: AsJson = False,
) -> None:
    """Ask a suite's questions. What is finished is not asked again; what fails is told, and the rest goes on.

    Ends with 0 when all that applies is done, 1 when something failed or its data are missing, 2 when nothing could
    be asked or an answer could not be written, 130 when interrupted.
    """
    if cache is not None and no_cache:
        raise BadOption("--cache and --no-cache exclude each other")
    whole = find_suite(suite)
    numbers = chosen(whole, only or ())
    asked = narrowed(whole, numbers, limit=limit, seeds=seed or ())
    named = find_named(asked, binding or ())
    if data is not None and not data.is_dir():
        raise BadOption(f"there is no folder {data}; --data names the folder of all data")
    results = Results(output or Path("anybind-bench") / asked.name)
    results.check(asked)
    kept = None if no_cache else EmbeddingCache(cache)
    folders = Folders(data, (results.folder if kept is None else kept.folder) / "made", make=not plan_only)
    joined = not plan_only and ranks.start(device)
    try:
        if not plan_only:
            results.begin()
        plan = make_plan(asked, numbers, named, folders)
        asking = Run(plan, results, folders, device=device, cache=kept)
        asking.take_up()
        code = _plan_only(plan, results, as_json) if plan_only else _run(asking, as_json)
    finally:
        if joined:
            ranks.stop()
    raise typer.Exit(code)


def _plan_only(plan: Plan, results: Results, as_json: bool) -> int:
    if as_json:
        print_json(json_fields(plan, results))
    else:
        _print_plan(plan, results)
    return 0


def _run(asking: Run, as_json: bool) -> int:
    """Ask what is to be asked, and print what came of it; returns the exit code."""
    plan, results = asking.plan, asking.results
    first = ranks.rank() == 0
    if first and not as_json:
        _print_plan(plan, results)
    interrupted = False
    try:
        to_do = sum(cell.state == TO_DO for cell in plan.cells)
        with progress_bar(to_do if first else 0, plan.suite.name) as advance:
            asking.go(_teller(plan, advance))
    except KeyboardInterrupt:
        interrupted = True
    if first:
        if as_json:
            print_json(json_fields(plan, results, asking.embedded))
        else:
            print_table(("question", "binding", "metric", "value", "state"), answers(plan))
        for line in problems(plan):
            typer.echo(line, err=True)
        if interrupted:
            typer.echo("interrupted: what is done is kept, and the same command goes on from there", err=True)
    if interrupted:
        return INTERRUPTED
    return 1 if first and any(unfinished(plan)) else 0


def _print_plan(plan: Plan, results: Results) -> None:
    title = f"{plan.suite.name}: {plan.suite.summary}" if plan.suite.summary else plan.suite.name
    print_table(("question", "data", "bindings", "seeds", "state"), plan_rows(plan), title)
    done = sum(cell.state == DONE for cell in plan.cells)
    typer.echo(f"{done} of {len(plan.cells)} done; results: {results.folder}")


def _teller(plan: Plan, advance: Callable[..., None]) -> Callable[[Cell], None]:
    """Tells, on a terminal, of each cell as it is settled."""

    def settled(cell: Cell) -> None:
        if sys.stderr.isatty():
            typer.echo(cell_line(plan, cell), err=True)
        advance(1)

    return settled
