"""`SuiteRun`: the plan of a run of a suite, executed cell by cell."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace

from anybind import AnybindError, AnybindWarning, Binding, Result
from anybind.plugin import BadOption, Dataset, errors, ranks, tables
from anybind_bench.cell import Cell, EncodersKey, Key, State
from anybind_bench.encoders import BindingEncoders, LoadBinder
from anybind_bench.prepare import DataFolders, prepare_evaluation
from anybind_bench.results import ResultsStore, SuiteResults, format_json
from anybind_bench.suite import Evaluation, Suite

POLL_INTERVAL_S = 0.1
"""Interval of polling cells that other processes have locked."""
KEEPALIVE_INTERVAL_S = 60.0
"""Interval of messages from waiting rank 0 to the others; broadcasts time out after some minutes."""

OnCell = Callable[[Cell], None]


class SuiteRun:
    """The cells of a run, finished ones with their results; made by `plan_suite`.

    Cells of one binding are evaluated together, so that only one binding's encoders are in memory. Under `torchrun`
    every rank evaluates every cell and shares the embedding; only rank 0 selects cells and writes results.

    Attributes:
        suite: suite with all its evaluations, including those outside this run.
        prepared: evaluations of this run, by title.
        bindings: bindings by name, or the error of an unknown binding.
        embedded: numbers of embeddings: `computed`, and `cached` (from the embedding store).
    """

    def __init__(
        self,
        suite: Suite,
        evaluations: Iterable[Evaluation],
        bindings: dict[str, Binding | AnybindError],
        store: ResultsStore,
        folders: DataFolders,
        load_binder: LoadBinder,
    ) -> None:
        self.suite, self.bindings, self.store, self.folders = suite, bindings, store, folders
        self.embedded: Counter[str] = Counter(computed=0, cached=0)
        self._last_message = time.monotonic()
        loaded: dict[str, Dataset] = {}
        self.prepared = {each.title: prepare_evaluation(each, folders, loaded) for each in evaluations}
        clamps = {prepared.evaluation.clamp: None for prepared in self.prepared.values()}  # in order
        self._encoders = {
            (name, clamp): BindingEncoders(_clamp(binding, clamp), store.encoders, load_binder)
            for name, binding in bindings.items()
            for clamp in clamps
            if isinstance(binding, Binding)
        }
        self._cells: dict[Key, Cell] = {}
        for prepared in self.prepared.values():
            for name, binding in bindings.items():
                for seed in prepared.evaluation.seeds:
                    cell = prepared.make_cell(name, binding, seed)
                    self._cells[cell.key] = self._load_finished(cell) if cell.state is State.TO_DO else cell

    @property
    def cells(self) -> tuple[Cell, ...]:
        return tuple(self._cells.values())

    @property
    def pending(self) -> list[Cell]:
        return [cell for cell in self._cells.values() if cell.state is State.TO_DO]

    @property
    def complete(self) -> bool:
        """Whether all cells that apply are done."""
        return all(cell.state in (State.DONE, State.NOT_APPLICABLE) for cell in self._cells.values())

    @property
    def results(self) -> SuiteResults:
        return SuiteResults(self.store.folder, self.suite, self.cells)

    def execute(self, on_cell: OnCell | None = None) -> None:
        """Evaluate all pending cells.

        Args:
            on_cell: called with each cell after it is written.

        Raises:
            BadInput: a result cannot be written, as on a full disk.
        """
        if ranks.get_rank() > 0:
            self._run_worker()
            return
        try:
            while self.pending:
                finished = [self._run_binding(key, on_cell) for key in self._encoders]
                if not any(finished):
                    self._wait_for_lock()  # other processes hold the locks until they finish the cells or end
            self.store.write(self.suite, list(self.bindings), self._cells.values())
        except Exception:
            self._broadcast(None)
            raise
        self._broadcast(None)

    def _run_worker(self) -> None:
        """Evaluate the cells that rank 0 broadcasts, until the end of the run."""
        while (message := ranks.broadcast(None)) is not None:
            if message:
                (title, binding, seed), identity = message
                cell = replace(self._cells[title, binding, seed], identity=identity)
                self._release_encoders(*(key for key in self._encoders if key != cell.encoders_key))
                self._evaluate_cell(cell)
        self._release_encoders(*self._encoders)

    def _run_binding(self, key: EncodersKey, on_cell: OnCell | None) -> bool:
        """Evaluate the pending, unlocked cells of a binding and clamp; return whether any was finished."""
        finished = False
        for cell in [cell for cell in self.pending if cell.encoders_key == key]:
            cell = self._finish_cell(cell)
            self._cells[cell.key] = cell
            if self._encoders[key].identities_changed:  # cells resumed by cached identities are invalid
                self._encoders[key].identities_changed = False
                for other in list(self._cells.values()):
                    if other.encoders_key == key and other.identity is not None and other is not cell:
                        reset = replace(other, state=State.TO_DO, identity=None, error=None, result=None)
                        self._cells[other.key] = reset
            if cell.state is not State.TO_DO:
                self.store.write(self.suite, list(self.bindings), self._cells.values())
                finished = True
                if on_cell:
                    on_cell(cell)
        self._release_encoders(key)
        return finished

    def _finish_cell(self, cell: Cell) -> Cell:
        """Evaluate a cell, or load it if another process has finished it; a locked cell stays pending."""
        resumed = self._load_finished(cell)
        if resumed.state is not State.TO_DO:
            return resumed
        if resumed.identity is not None:
            with self.store.lock(resumed.identity) as free:
                if not free:
                    return resumed
        try:
            settings = self._collect_settings(cell, load=True)
        except (Exception, SystemExit) as error:
            failed = replace(cell, state=State.FAILED, error=self.folders.format_error(error), identity=None)
            self.store.log(f"{failed}: failed: {failed.error}")
            return failed
        cell = replace(cell, identity=tables.hash_settings(settings))
        with self.store.lock(str(cell.identity)) as locked:
            if not locked:
                return cell
            resumed = self._load_finished(cell, load=True)
            if resumed.state is not State.TO_DO:
                return resumed
            started = time.perf_counter()
            self._broadcast([cell.key, cell.identity])
            cell = self._evaluate_cell(cell)
            seconds = time.perf_counter() - started
            encoders, declared = self._encoders[cell.encoders_key], self.prepared[cell.title].list_modalities
            # Encoders used without the task having declared their modalities.
            used = set(cell.result.encoders if cell.result else ()) & set(encoders.binding.encoders)
            others = encoders.identify(sorted(used - set(declared(encoders.binding))))
            self.store.save(cell, settings, others, seconds)
        if cell.state is State.DONE:  # a failed cell may resume from its checkpoints
            shutil.rmtree(self.store.work / str(cell.identity), ignore_errors=True)
        self.store.log(f"{cell}: {cell.state} in {seconds:.1f} s{f': {cell.error}' if cell.error else ''}")
        return cell

    def _collect_settings(self, cell: Cell, *, load: bool) -> dict[str, object]:
        """Collect the settings hashed by the cell's identity.

        Raises:
            KeyError: without `load`, an encoder without a cached identity.
            AnybindError: an encoder cannot be loaded.
        """
        encoders, prepared = self._encoders[cell.encoders_key], self.prepared[cell.title]
        modalities = sorted(prepared.list_modalities(encoders.binding))
        identities = encoders.identify(modalities) if load else {each: encoders.identities[each] for each in modalities}
        return cell.collect_settings(prepared.split_hash, identities)

    def _load_finished(self, cell: Cell, *, load: bool = False) -> Cell:
        """Load the finished cell with the same identity and encoders; the given cell if there is none.

        Args:
            cell: cell, with its identity if `load` is set.
            load: load encoders without cached identities.
        """
        encoders = self._encoders[cell.encoders_key]
        if self.prepared[cell.title].dataset is None:
            return cell
        with contextlib.suppress(Exception):  # reported by the evaluation of the cell
            if not load:
                cell = replace(cell, identity=tables.hash_settings(self._collect_settings(cell, load=False)))
            finished, others = self.store.load(cell) or (cell, {})
            if load and not others.items() <= encoders.identities.items():
                encoders.identify([each for each in others if each in encoders.binding.encoders])
            return finished if others.items() <= encoders.identities.items() else cell
        return cell

    def _evaluate_cell(self, cell: Cell) -> Cell:
        """Evaluate a cell on all ranks; it fails if any rank fails."""
        prepared = self.prepared[cell.title]
        assert prepared.task is not None
        assert prepared.dataset is not None
        try:
            binder = self._encoders[cell.encoders_key].binder
            prepared.task.work = self.store.work / str(cell.identity)
            result = prepared.task.run(binder, prepared.dataset, modality=cell.evaluation.modality, seed=cell.seed)
            if not isinstance(result, Result):
                raise errors.PluginError(
                    f"task {cell.evaluation.task!r}: expected an anybind.Result, got {type(result).__name__}"
                )
            # Round trip through JSON, so that results do not depend on which process evaluated the cell.
            row = json.loads(format_json(asdict(result)))
            cell = replace(cell, state=State.DONE, result=tables.parse_table(Result, row, "result", errors.PluginError))
        except (Exception, SystemExit) as error:
            message = self.folders.format_error(error)
            not_applicable = isinstance(error, errors.UnknownName) and message.startswith(
                f"binding {cell.binding!r} has no encoder for"
            )
            cell = replace(cell, state=State.NOT_APPLICABLE if not_applicable else State.FAILED, error=message)
        states = ranks.gather([cell.state, cell.error])
        state, error = next((each for each in states if each[0] != State.DONE), (State.DONE, None))
        return replace(cell, state=State(state), error=error, result=cell.result if state == State.DONE else None)

    def _release_encoders(self, *keys: EncodersKey) -> None:
        for key in keys:
            computed, cached = self._encoders[key].release()
            self.embedded.update(computed=computed, cached=cached)

    def _wait_for_lock(self) -> None:
        time.sleep(POLL_INTERVAL_S)
        if time.monotonic() - self._last_message > KEEPALIVE_INTERVAL_S:
            self._broadcast([])

    def _broadcast(self, message: list[object] | None) -> None:
        """Broadcast the key and identity of the next cell, an empty list to wait, or None at the end."""
        ranks.broadcast(message)
        self._last_message = time.monotonic()


def _clamp(binding: Binding, clamp: float | None) -> Binding:
    """Return a binding with clamped event counts, or unchanged with a warning if it takes no other clamp."""
    if clamp is None or "event" not in binding.encoders:
        return binding
    if "weights" in binding.encoders["event"].options:  # trained on frames of their own clamp
        return binding
    try:
        return binding.with_clamp("event", clamp)
    except BadOption as error:
        warnings.warn(f"{error}: evaluated without", AnybindWarning, stacklevel=4)
        return binding
