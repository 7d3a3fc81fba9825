"""`SuiteRun`: the plan of a run of a suite, executed cell by cell."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace

from anybind import AnybindError, Binding, EmbeddingStore, Result
from anybind.plugin import Dataset, errors, ranks, tables
from anybind_bench.cell import Cell, Key, State
from anybind_bench.encoders import BindingEncoders
from anybind_bench.prepare import Folders, prepare
from anybind_bench.results import ResultsStore, SuiteResults, json_text
from anybind_bench.suite import Evaluation, Suite

WAIT_S = 0.1
"""Interval of looking whether another process has unlocked a cell."""
KEEPALIVE_S = 60.0
"""Interval of messages from rank 0 to the others while it waits: they give up after some minutes of silence."""

OnCell = Callable[[Cell], None]


class SuiteRun:
    """The cells of a run, finished ones with their results. `plan_suite` makes one.

    Cells of one binding are evaluated together, so that only one binding's encoders are in memory. Under `torchrun`
    every rank evaluates every cell and shares the embedding; rank 0 alone decides which, and writes.

    Attributes:
        suite: with all its evaluations, also those that are not part of this run.
        prepared: the evaluations of this run, by title.
        bindings: by name; an error where there is none.
        embedded: numbers of items: `computed`, and `cached` for those that came from the embedding store.
    """

    def __init__(
        self,
        suite: Suite,
        evaluations: Iterable[Evaluation],
        bindings: dict[str, Binding | AnybindError],
        store: ResultsStore,
        folders: Folders,
        *,
        device: str = "cpu",
        embedding_store: EmbeddingStore | None = None,
    ) -> None:
        self.suite, self.bindings, self.store, self.folders = suite, bindings, store, folders
        self.embedded: Counter[str] = Counter(computed=0, cached=0)
        self._last_message = time.monotonic()
        loaded: dict[str, Dataset] = {}
        self.prepared = {each.title: prepare(each, folders, loaded) for each in evaluations}
        self._encoders = {
            name: BindingEncoders(binding, store.encoders, device, embedding_store)
            for name, binding in bindings.items()
            if isinstance(binding, Binding)
        }
        self._cells: dict[Key, Cell] = {}
        for prepared in self.prepared.values():
            for name, binding in bindings.items():
                for seed in prepared.evaluation.seeds:
                    cell = prepared.cell(name, binding, seed)
                    self._cells[cell.key] = self._resume(cell) if cell.state is State.TO_DO else cell

    @property
    def cells(self) -> tuple[Cell, ...]:
        return tuple(self._cells.values())

    @property
    def to_do(self) -> list[Cell]:
        return [cell for cell in self._cells.values() if cell.state is State.TO_DO]

    @property
    def complete(self) -> bool:
        """Whether all cells that apply are done."""
        return all(cell.state in (State.DONE, State.NOT_APPLICABLE) for cell in self._cells.values())

    @property
    def results(self) -> SuiteResults:
        return SuiteResults(self.store.folder, self.suite, self.cells)

    def execute(self, on_cell: OnCell | None = None) -> None:
        """Evaluate all cells that are to do.

        Args:
            on_cell: called with each cell, once it is written.

        Raises:
            BadInput: a result cannot be written, as on a full disk.
        """
        if ranks.get_rank() > 0:
            self._follow()
            return
        try:
            while self.to_do:
                finished = [self._run_binding(name, on_cell) for name in self._encoders]
                if not any(finished):
                    self._wait()  # another process has locked these: it finishes them, or ends
            self.store.write(self.suite, list(self.bindings), self._cells.values())
        except Exception:
            self._broadcast(None)
            raise
        self._broadcast(None)

    def _follow(self) -> None:
        """Evaluate what rank 0 decides, until it is done."""
        while (message := ranks.broadcast(None)) is not None:
            if message:
                (title, binding, seed), identity = message
                self._release(*(name for name in self._encoders if name != binding))
                self._evaluate(replace(self._cells[title, binding, seed], identity=identity))
        self._release(*self._encoders)

    def _run_binding(self, name: str, on_cell: OnCell | None) -> bool:
        """Evaluate the cells of a binding that are to do and not locked; whether there was one."""
        finished = False
        for cell in [cell for cell in self.to_do if cell.binding == name]:
            cell = self._finish(cell)
            self._cells[cell.key] = cell
            if self._encoders[name].changed:  # then no other cell that was resumed by the remembered one holds
                self._encoders[name].changed = False
                for key, other in self._cells.items():
                    if other.binding == name and other.identity is not None and other is not cell:
                        self._cells[key] = replace(other, state=State.TO_DO, identity=None, error=None, result=None)
            if cell.state is not State.TO_DO:
                self.store.write(self.suite, list(self.bindings), self._cells.values())
                finished = True
                if on_cell:
                    on_cell(cell)
        self._release(name)
        return finished

    def _finish(self, cell: Cell) -> Cell:
        """Evaluate a cell, or load it where another process has finished it; one that is locked stays to do."""
        resumed = self._resume(cell)
        if resumed.state is not State.TO_DO:
            return resumed
        if resumed.identity is not None:
            with self.store.lock(resumed.identity) as free:
                if not free:
                    return resumed
        try:
            settings = self._settings(cell, load=True)
        except (Exception, SystemExit) as error:
            failed = replace(cell, state=State.FAILED, error=self.folders.shorten(error), identity=None)
            self.store.log(f"{failed}: failed: {failed.error}")
            return failed
        cell = replace(cell, identity=tables.hash_settings(settings))
        with self.store.lock(str(cell.identity)) as locked:
            if not locked:
                return cell
            resumed = self._resume(cell, load=True)
            if resumed.state is not State.TO_DO:
                return resumed
            started = time.perf_counter()
            self._broadcast([cell.key, cell.identity])
            cell = self._evaluate(cell)
            seconds = time.perf_counter() - started
            encoders, declared = self._encoders[cell.binding], self.prepared[cell.title].modalities
            # Those that took part without the task having declared their modalities.
            used = set(cell.result.encoders if cell.result else ()) & set(encoders.binding.encoders)
            others = encoders.identify(sorted(used - set(declared(encoders.binding))))
            self.store.save(cell, settings, others, seconds)
        if cell.state is State.DONE:  # a failed one may resume from its checkpoints
            shutil.rmtree(self.store.work / str(cell.identity), ignore_errors=True)
        self.store.log(f"{cell}: {cell.state} in {seconds:.1f} s{f': {cell.error}' if cell.error else ''}")
        return cell

    def _settings(self, cell: Cell, *, load: bool) -> dict[str, object]:
        """What the cell's identity is the hash of.

        Raises:
            KeyError: without `load`, an encoder that is not remembered.
            AnybindError: an encoder cannot be loaded.
        """
        encoders, prepared = self._encoders[cell.binding], self.prepared[cell.title]
        modalities = sorted(prepared.modalities(encoders.binding))
        known = encoders.identify(modalities) if load else {each: encoders.known[each] for each in modalities}
        return cell.settings(prepared.split_hash, known)

    def _resume(self, cell: Cell, *, load: bool = False) -> Cell:
        """The finished cell of the same identity, if the store has one whose encoders are the same.

        Args:
            cell: with its identity, if `load`.
            load: load encoders where they are not remembered.
        """
        encoders = self._encoders[cell.binding]
        if self.prepared[cell.title].dataset is None:
            return cell
        with contextlib.suppress(Exception):  # reported when the cell is evaluated
            if not load:
                cell = replace(cell, identity=tables.hash_settings(self._settings(cell, load=False)))
            finished, others = self.store.load(cell) or (cell, {})
            if load and not others.items() <= encoders.known.items():
                encoders.identify([each for each in others if each in encoders.binding.encoders])
            return finished if others.items() <= encoders.known.items() else cell
        return cell

    def _evaluate(self, cell: Cell) -> Cell:
        """Evaluate a cell on all ranks; it has failed where it has on any."""
        prepared = self.prepared[cell.title]
        assert prepared.task is not None
        assert prepared.dataset is not None
        try:
            binder = self._encoders[cell.binding].binder
            prepared.task.work = self.store.work / str(cell.identity)
            result = prepared.task.run(binder, prepared.dataset, modality=cell.evaluation.modality, seed=cell.seed)
            if not isinstance(result, Result):
                raise errors.PluginError(
                    f"task {cell.evaluation.task!r}: expected an anybind.Result, got {type(result).__name__}"
                )
            # As it is read from the file, so that it does not matter which process evaluated it.
            row = json.loads(json_text(asdict(result)))
            cell = replace(cell, state=State.DONE, result=tables.parse_table(Result, row, "result", errors.PluginError))
        except (Exception, SystemExit) as error:
            message = self.folders.shorten(error)
            lacks = isinstance(error, errors.UnknownName) and message.startswith(
                f"binding {cell.binding!r} has no encoder for"
            )
            cell = replace(cell, state=State.NOT_APPLICABLE if lacks else State.FAILED, error=message)
        states = ranks.gather([cell.state, cell.error])
        state, error = next((each for each in states if each[0] != State.DONE), (State.DONE, None))
        return replace(cell, state=State(state), error=error, result=cell.result if state == State.DONE else None)

    def _release(self, *names: str) -> None:
        for name in names:
            computed, cached = self._encoders[name].release()
            self.embedded.update(computed=computed, cached=cached)

    def _wait(self) -> None:
        time.sleep(WAIT_S)
        if time.monotonic() - self._last_message > KEEPALIVE_S:
            self._broadcast([])

    def _broadcast(self, message: list[object] | None) -> None:
        """Send the other ranks the key and identity of the next cell, an empty list to wait, or None at the end."""
        ranks.broadcast(message)
        self._last_message = time.monotonic()
