"""Running a suite: `run_suite`, and `plan_suite`, which it begins with."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from anybind import AnybindError, Binding, EmbeddingStore, find_binding
from anybind.plugin import BadOption, ranks
from anybind_bench.prepare import Folders
from anybind_bench.results import ResultsStore, SuiteResults
from anybind_bench.suite import Suite, find_suite
from anybind_bench.suite_run import OnCell, SuiteRun


def run_suite(
    suite: str | os.PathLike[str] | Suite,
    *,
    bindings: Sequence[str | Binding] = (),
    data: str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    store: EmbeddingStore | None = None,
    only: Sequence[str] = (),
    limit: int | None = None,
    seeds: Sequence[int] = (),
    device: str = "cpu",
    on_cell: OnCell | None = None,
) -> SuiteResults:
    """Run a benchmark suite, and resume it where an earlier run into the same folder was interrupted.

    Each result is written as soon as it is computed. Finished cells are not evaluated again; a cell that fails stops no
    other. Several processes may run into one folder, and share the embedding under `torchrun`.

    Args:
        suite: a registered suite by name, the path of a TOML file, or a `Suite`.
        bindings: names, paths of TOML files, or bindings. [default: those of the suite]
        data: the folder of all data, one folder a dataset; not needed where all datasets generate their samples.
        output: the results folder. [default: `anybind-bench/SUITE`]
        store: where embeddings are looked up and stored, so that no sample is embedded twice. [default: nowhere]
        only: titles, tasks or datasets of the evaluations to run. [default: all]
        limit: number of samples, for datasets that have this option.
        seeds: in place of the evaluations' own.
        device: torch device, e.g. cpu, cuda:1.
        on_cell: called with each cell as it is finished.

    Returns:
        the cells of this run, with their states and results.

    Raises:
        UnknownName: no such suite or binding; the message offers the nearest names.
        BadOption: an invalid suite or argument.
        BadInput: the results folder is of another suite or version, or cannot be written.
    """
    with joined_ranks(device):
        run = plan_suite(
            suite,
            bindings=bindings,
            data=data,
            output=output,
            store=store,
            only=only,
            limit=limit,
            seeds=seeds,
            device=device,
        )
        run.execute(on_cell)
    return run.results


def plan_suite(
    suite: str | os.PathLike[str] | Suite,
    *,
    bindings: Sequence[str | Binding] = (),
    data: str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    store: EmbeddingStore | None = None,
    only: Sequence[str] = (),
    limit: int | None = None,
    seeds: Sequence[int] = (),
    device: str = "cpu",
    dry: bool = False,
) -> SuiteRun:
    """Plan a run of a suite: prepare tasks and datasets and find the finished cells, without loading an encoder.

    Args:
        suite, bindings, data, output, store, only, limit, seeds, device: see `run_suite`.
        dry: write nothing: the plan is not meant to be executed.

    Raises:
        UnknownName, BadOption, BadInput: see `run_suite`.
    """
    whole = suite if isinstance(suite, Suite) else find_suite(suite)
    chosen = whole.select(only)
    narrowed = whole.narrow(chosen, limit, seeds)
    titles = {evaluation.title for evaluation in chosen}
    found = find_bindings(narrowed, bindings)
    folder = None if data is None else Path(data)
    if folder is not None and not folder.is_dir():
        raise BadOption(f"there is no folder {folder}; --data names the folder of all data")
    results_store = ResultsStore(Path(output or Path("anybind-bench") / narrowed.name))
    results_store.check(narrowed)
    if not dry:
        results_store.create()
    folders = Folders(folder, (results_store.folder if store is None else store.folder) / "made", make=not dry)
    evaluations = [evaluation for evaluation in narrowed.evaluations if evaluation.title in titles]
    return SuiteRun(narrowed, evaluations, found, results_store, folders, device=device, embedding_store=store)


def find_bindings(suite: Suite, given: Sequence[str | Binding]) -> dict[str, Binding | AnybindError]:
    """Find the given bindings, or the suite's own, by the name that results show.

    Of the suite's own, one that cannot be found stops no other: its error stands in its place.

    Raises:
        UnknownName, BadInput, BadOption: a given binding cannot be found, two have one name, or there are none.
    """
    found: dict[str, Binding | AnybindError] = {}
    for each in given or suite.bindings:
        try:
            binding = each if isinstance(each, Binding) else find_binding(each)
            name = binding.name
        except AnybindError as error:
            if given:
                raise
            binding, name = error, str(each)
        if name in found:
            raise BadOption(f"two of the bindings are called {name!r}; results could not tell them apart")
        found[name] = binding
    if not found:
        raise BadOption(f"suite {suite.name!r} names no bindings; give some by --binding")
    return found


@contextmanager
def joined_ranks(device: str) -> Iterator[None]:
    """Join the other processes of `torchrun`, if there are any, while the block runs."""
    joined = ranks.join(device)
    try:
        yield
    finally:
        if joined:
            ranks.leave()
