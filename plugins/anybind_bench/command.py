"""`anybind bench`: list benchmark suites, run one, report its results."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import AsJson, Device, StoreFlag, open_store, print_json, print_table, sub_app
from anybind.plugin import list_parts, progress_bar, ranks
from anybind_bench.cell import Cell, State
from anybind_bench.output import cell_line, json_fields, plan_rows, problems, result_rows, suite_row
from anybind_bench.run import joined_ranks, plan_suite
from anybind_bench.suite import SuiteSpec
from anybind_bench.suite_run import SuiteRun

INTERRUPTED = 130
"""Exit code of a command that SIGINT has ended, as shells have it."""

app = sub_app()


@app.callback()
def bench(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Run benchmark suites, resume interrupted runs, and report results beside published ones."""
    if not ctx.invoked_subcommand:
        list_suites(as_json)


@app.command("list")
def list_suites(as_json: AsJson = False) -> None:
    """List benchmark suites: number of evaluations, bindings, and the folders of data that they need."""
    rows = [suite_row(part.spec) for part in list_parts(SuiteSpec)]
    if as_json:
        print_json({"suites": rows})
        return
    print_table(
        ("suite", "evaluations", "bindings", "folders below --data", "summary"),
        [
            (
                row["name"],
                str(row["evaluations"]),
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
    data: Annotated[Path | None, typer.Option(help="The folder of all data, one folder a dataset.")] = None,
    binding: Annotated[
        list[str] | None, typer.Option(help="Evaluate this binding, not those of the suite; repeatable.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Title, task or dataset of the evaluations to run; repeatable.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Results folder. [default: anybind-bench/SUITE]")
    ] = None,
    seed: Annotated[list[int] | None, typer.Option(min=0, help="In place of the suite's seeds; repeatable.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Number of samples, for datasets with this option.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print the plan, and evaluate nothing.")] = False,
    device: Device = "cpu",
    store: StoreFlag = True,
    as_json: AsJson = False,
) -> None:
    """Run a benchmark suite. Finished cells are not evaluated again; one that fails stops no other.

    Exit code: 0 when all that applies is done, 1 when something failed or its data are missing, 2 when nothing could
    be evaluated or a result could not be written, 130 when interrupted.
    """
    with contextlib.nullcontext() if plan else joined_ranks(device):
        planned = plan_suite(
            suite,
            bindings=binding or (),
            data=data,
            output=output,
            store=open_store(store),
            only=only or (),
            limit=limit,
            seeds=seed or (),
            device=device,
            dry=plan,
        )
        first = ranks.get_rank() == 0
        if first and not as_json:
            _print_plan(planned)
        if plan and as_json:
            print_json(json_fields(planned))
        code = 0 if plan else _execute(planned, first, as_json)
    raise typer.Exit(code)


def _execute(planned: SuiteRun, first: bool, as_json: bool) -> int:
    """Execute a run and print its results; returns the exit code."""
    interrupted = False
    try:
        with progress_bar(len(planned.to_do) if first else 0, planned.suite.name) as advance:

            def report_cell(cell: Cell) -> None:
                if sys.stderr.isatty():
                    typer.echo(cell_line(cell), err=True)
                advance(1)

            planned.execute(report_cell)
    except KeyboardInterrupt:
        interrupted = True
    if first:
        if as_json:
            print_json({**json_fields(planned), "embedded": planned.embedded})
        else:
            print_table(("evaluation", "binding", "metric", "value", "state"), result_rows(planned))
        for line in problems(planned):
            typer.echo(line, err=True)
        if interrupted:
            typer.echo("interrupted: finished cells are saved, and the same command resumes from there", err=True)
    if interrupted:
        return INTERRUPTED
    return 1 if first and not planned.complete else 0


def _print_plan(planned: SuiteRun) -> None:
    suite = planned.suite
    title = f"{suite.name}: {suite.summary}" if suite.summary else suite.name
    print_table(("evaluation", "data", "bindings", "seeds", "state"), plan_rows(planned), title)
    done = sum(cell.state is State.DONE for cell in planned.cells)
    typer.echo(f"{done} of {len(planned.cells)} done; results: {planned.store.folder}")


@app.command()
def report(
    results: Annotated[list[Path], typer.Argument(help="Results folders; those of one suite are merged.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A .html page, .md or .csv to write.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the table of each suite, ours beside published values, or write it as a page or a file."""
    from anybind_bench.report import fields_of, merged_sections, show, write_report

    if output is not None:
        write_report(results, output)
    if as_json:
        print_json({"suites": fields_of(merged_sections(results)), "report": output and str(output)})
    elif output is None:
        show(merged_sections(results))
    else:
        typer.echo(f"report: {output}")
