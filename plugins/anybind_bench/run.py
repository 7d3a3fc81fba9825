"""Running a suite: `plan_suite` and `run_suite`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from anybind import AnybindError, Binding, EmbeddingStore, find_binding, load
from anybind.plugin import BadOption, ranks
from anybind_bench.prepare import DataFolders
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
    backend: str = "auto",
    precision: str = "fp32",
    batch_size: int = 32,
    workers: int | None = None,
    processes: bool = False,
    on_cell: OnCell | None = None,
) -> SuiteResults:
    """Run a benchmark suite, or resume an interrupted run in the same results folder.

    Each result is written as soon as it is computed. Finished cells are not evaluated again; a failed cell does not
    stop the others. Several processes may run into one folder, and share the embedding under `torchrun`.

    Args:
        suite: name of a registered suite, path of a TOML file, or a `Suite`.
        bindings: names, paths of TOML files, or bindings. [default: the suite's]
        data: folder of all data, one subfolder a dataset; not needed for generated datasets.
        output: results folder. [default: `anybind-bench/SUITE`]
        store: embedding store, so that no sample is embedded twice. [default: none]
        only: titles, tasks or datasets of the evaluations to run. [default: all]
        limit: number of samples, for datasets with this option.
        seeds: seeds. [default: each evaluation's]
        device, backend, precision, batch_size, workers, processes: as for `anybind.load`.
        on_cell: called with each finished cell.

    Returns:
        the cells of this run, with their states and results.

    Raises:
        UnknownName: no such suite or binding; the message suggests similar names.
        BadOption: an invalid suite or argument.
        BadInput: the results folder belongs to another suite or version, or cannot be written.
    """
    with join_ranks(device):
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
            backend=backend,
            precision=precision,
            batch_size=batch_size,
            workers=workers,
            processes=processes,
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
    backend: str = "auto",
    precision: str = "fp32",
    batch_size: int = 32,
    workers: int | None = None,
    processes: bool = False,
    dry: bool = False,
) -> SuiteRun:
    """Plan a run of a suite: prepare tasks and datasets and load finished cells, without loading an encoder.

    Args:
        suite, bindings, data, output, store, only, limit, seeds, device, backend, precision, batch_size, workers,
            processes: see `run_suite`.
        dry: write nothing; the plan must not be executed.

    Raises:
        UnknownName, BadOption, BadInput: see `run_suite`.
    """
    full_suite = suite if isinstance(suite, Suite) else find_suite(suite)
    selected = full_suite.select(only)
    narrowed = full_suite.restrict(selected, limit, seeds)
    titles = {evaluation.title for evaluation in selected}
    found_bindings = find_bindings(narrowed, bindings)
    folder = None if data is None else Path(data)
    if folder is not None and not folder.is_dir():
        raise BadOption(f"missing data folder {folder}; set --data to the folder of all data")
    results_store = ResultsStore(Path(output or Path("anybind-bench") / narrowed.name))
    results_store.check(narrowed)
    if not dry:
        results_store.create()
    folders = DataFolders(folder, (results_store.folder if store is None else store.folder) / "made", generate=not dry)
    evaluations = [evaluation for evaluation in narrowed.evaluations if evaluation.title in titles]
    load_binder = partial(
        load, device=device, backend=backend, store=store, precision=precision, batch_size=batch_size, workers=workers,
        processes=processes,
    )  # fmt: skip
    return SuiteRun(narrowed, evaluations, found_bindings, results_store, folders, load_binder)


def find_bindings(suite: Suite, names: Sequence[str | Binding]) -> dict[str, Binding | AnybindError]:
    """Find bindings by name, or the suite's own bindings.

    An unknown binding of the suite does not stop the others: its error takes its place.

    Args:
        suite: the suite.
        names: bindings, or their names. [default: the suite's]

    Returns:
        bindings or errors by the name shown in results.

    Raises:
        UnknownName, BadInput, BadOption: an unknown binding in `names`, two bindings with one name, or no bindings.
    """
    bindings: dict[str, Binding | AnybindError] = {}
    for each in names or suite.bindings:
        try:
            binding = each if isinstance(each, Binding) else find_binding(each)
            name = binding.name
        except AnybindError as error:
            if names:
                raise
            binding, name = error, str(each)
        if name in bindings:
            raise BadOption(f"two bindings have the name {name!r}; results need distinct names")
        bindings[name] = binding
    if not bindings:
        raise BadOption(f"suite {suite.name!r} has no bindings; set --binding")
    return bindings


@contextmanager
def join_ranks(device: str) -> Iterator[None]:
    """Join the other processes of `torchrun`, if any, within a `with` block."""
    joined = ranks.join(device)
    try:
        yield
    finally:
        if joined:
            ranks.leave()
