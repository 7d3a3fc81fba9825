"""`anybind bench`: list, run and report benchmark suites."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import (
    AsJson,
    Backend,
    BatchSize,
    Device,
    Precision,
    Processes,
    StoreFlag,
    Workers,
    open_store,
    print_json,
    print_table,
    print_text,
    sub_app,
)
from anybind.plugin import list_parts, loops, ranks
from anybind_bench.cell import Cell, State
from anybind_bench.output import (
    format_cell,
    get_run_fields,
    list_plan_rows,
    list_problems,
    list_result_rows,
    summarize_suite,
)
from anybind_bench.run import join_ranks, plan_suite
from anybind_bench.suite import SuiteSpec
from anybind_bench.suite_run import SuiteRun

INTERRUPTED = 130
"""Exit code after SIGINT, as in shells."""

app = sub_app()


@app.callback()
def bench(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Run benchmark suites, resume interrupted runs and report results beside published values."""
    if not ctx.invoked_subcommand:
        list_suites(as_json)


@app.command("list")
def list_suites(as_json: AsJson = False) -> None:
    """List benchmark suites with their bindings and required data folders."""
    rows = [summarize_suite(part.spec) for part in list_parts(SuiteSpec)]
    if as_json:
        print_json({"suites": rows})
        return
    print_table(
        ("suite", "evaluations", "summary, bindings, folders below --data (datasets)"),
        [
            cells
            for row in rows
            for cells in (
                (row["name"], str(row["evaluations"]), row["summary"]),
                ("", "", f"bindings: {', '.join(row['bindings'])}"),
                ("", "", f"data: {_format_folders(row['data'])}"),
            )
        ],
    )


@app.command()
def run(
    suite: Annotated[str, typer.Argument(help="Suite: name or TOML file.")],
    data: Annotated[Path | None, typer.Option(help="Folder of all data, one subfolder a dataset.")] = None,
    binding: Annotated[
        list[str] | None, typer.Option(help="Binding to evaluate; repeatable. [default: the suite's bindings]")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Run only evaluations of this title, task or dataset; repeatable. [default: all]"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Results folder. [default: anybind-bench/SUITE]")
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option(min=0, help="Seed of all randomness; repeatable. [default: the suite's seeds]")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Number of samples, for datasets with this option. [default: all]")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print the plan without evaluating it.")] = False,
    batch_size: BatchSize = 32,
    workers: Workers = None,
    processes: Processes = False,
    device: Device = "cpu",
    backend: Backend = "auto",
    precision: Precision = "fp32",
    store: StoreFlag = True,
    as_json: AsJson = False,
) -> None:
    """Run a benchmark suite or resume an interrupted run; a failed cell does not stop the others.

    Exit codes: 0 if all applicable cells are done, 1 if a cell failed or its data are missing, 2 for invalid arguments
    or unwritable results, 130 if interrupted.
    """
    with contextlib.nullcontext() if plan else join_ranks(device):
        suite_run = plan_suite(
            suite,
            bindings=binding or (),
            data=data,
            output=output,
            store=open_store(store),
            only=only or (),
            limit=limit,
            seeds=seed or (),
            device=device,
            backend=backend,
            precision=precision,
            batch_size=batch_size,
            workers=workers,
            processes=processes,
            dry=plan,
        )
        is_first_rank = ranks.get_rank() == 0
        if is_first_rank and not as_json:
            _print_plan(suite_run)
        if plan and as_json:
            print_json(get_run_fields(suite_run))
        code = 0 if plan else _execute_run(suite_run, is_first_rank, as_json)
    raise typer.Exit(code)


def _execute_run(suite_run: SuiteRun, is_first_rank: bool, as_json: bool) -> int:
    """Execute a run and print its results; return the exit code."""
    interrupted = False
    try:
        with loops.progress_bar(len(suite_run.pending) if is_first_rank else 0, suite_run.suite.name) as advance:

            def report_cell(cell: Cell) -> None:
                if sys.stderr.isatty():
                    print_text(format_cell(cell), err=True)
                advance(1)

            suite_run.execute(report_cell)
    except KeyboardInterrupt:
        interrupted = True
    if is_first_rank:
        if as_json:
            print_json({**get_run_fields(suite_run), "embedded": suite_run.embedded})
        else:
            print_table(("evaluation", "metric", "value", "state"), list_result_rows(suite_run))
        for line in list_problems(suite_run):
            print_text(line, err=True)
        if interrupted:
            print_text("interrupted: finished cells are saved; repeat the command to resume", err=True)
    if interrupted:
        return INTERRUPTED
    return 1 if is_first_rank and not suite_run.complete else 0


def _format_folders(datasets: Mapping[str, Sequence[str]]) -> str:
    """Format required folders with the names of their datasets."""
    return ", ".join(f"{path} ({', '.join(names)})" for path, names in datasets.items()) or "none"


def _print_plan(suite_run: SuiteRun) -> None:
    suite = suite_run.suite
    title = f"{suite.name}: {suite.summary}" if suite.summary else suite.name
    print_table(("evaluation", "data", "seeds", "state"), list_plan_rows(suite_run), title)
    print_text(f"bindings: {', '.join(suite_run.bindings)}")
    done = sum(cell.state is State.DONE for cell in suite_run.cells)
    print_text(f"{done} of {len(suite_run.cells)} done; results: {suite_run.store.folder}")


@app.command()
def report(
    results: Annotated[
        list[Path],
        typer.Argument(help="Results folders; folders of one suite are merged. With --leaderboard, submissions too."),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Report file: .html, .md or .csv. [default: the terminal]")
    ] = None,
    leaderboard: Annotated[
        bool,
        typer.Option(
            "--leaderboard", help="Write one page of bindings by tasks of all suites, to --output or leaderboard.html."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Report the results of suites beside published values: print tables or write a file."""
    if leaderboard:
        _report_leaderboard(results, output or Path("leaderboard.html"), as_json)
        return
    from anybind_bench.report import build_tables, print_report, to_json_fields, write_report

    if output is not None:
        write_report(results, output)
    if as_json:
        print_json({"suites": to_json_fields(build_tables(results)), "report": output and str(output)})
    elif output is None:
        print_report(build_tables(results))
    else:
        print_text(f"report: {output}")


def _report_leaderboard(results: list[Path], output: Path, as_json: bool) -> None:
    from anybind_bench.report import write_leaderboard

    board = write_leaderboard(results, output)
    if as_json:
        print_json({"leaderboard": str(output), **board.to_json_fields()})
    else:
        print_text(f"leaderboard: {output} ({len(board.rows)} bindings, {len(board.tasks)} tasks)")


@app.command()
def submit(
    results: Annotated[Path, typer.Argument(help="Results folder of one suite.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of all submissions: SUITE/BINDING.json.")],
    command: Annotated[str, typer.Option("--command", help="Command that produced the results.")],
    licence: Annotated[
        str, typer.Option(help="Licence of the weights. [default: as the installed binding declares it]")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Write results as files for a leaderboard, one a binding, to be sent as a pull request."""
    from anybind_bench.submissions import write_submissions

    paths = write_submissions(results, output, command=command, licence=licence)
    _print_paths(paths, as_json)


@app.command("check-results")
def check_results(
    folder: Annotated[Path, typer.Argument(help="Folder of submissions: SUITE/BINDING.json.")], as_json: AsJson = False
) -> None:
    """Validate submitted results: one line a problem; exit code 1 if there is one."""
    from anybind_bench.submissions import check_submissions

    valid, problems = check_submissions(folder)
    if as_json:
        print_json({"valid": [str(each.path) for each in valid], "problems": problems})
    else:
        for problem in problems:
            print_text(problem, err=True)
        print_text(f"{len(valid)} valid, {len(problems)} problems")
    raise typer.Exit(1 if problems else 0)


@app.command("export-mteb")
def export_mteb(
    results: Annotated[list[Path], typer.Argument(help="Results folders.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of an MTEB result cache; other results in it stay.")
    ],
    as_json: AsJson = False,
) -> None:
    """Write results as MTEB's JSON files, which mteb.ResultCache(FOLDER).load_results() reads; needs the extra mteb."""
    from anybind_bench.mteb import write_mteb_results

    _print_paths(write_mteb_results(results, output), as_json)


def _print_paths(paths: list[Path], as_json: bool) -> None:
    if as_json:
        print_json({"written": [str(path) for path in paths]})
    else:
        for path in paths:
            print_text(str(path))
