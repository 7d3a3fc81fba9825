"""A run of a plan: what is finished is taken up, what is missing is asked, and each answer is written at once."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from anybind import AnybindError, Binder, Binding, EmbeddingCache, Result, load
from anybind.plugin import errors, ranks
from anybind_bench.identity import Remembered, cell_identity, taking_part
from anybind_bench.plan import DONE, FAILED, NOT_APPLICABLE, TO_DO, Cell, Folders, Plan, Ready, one_line
from anybind_bench.store import Results, json_text

PAUSE_S = 0.1
"""How often it is looked whether another process has let go of a cell."""
SIGN_OF_LIFE_S = 60.0
"""How often rank 0 tells the other ranks that it still waits: they give up after some minutes of silence."""


@dataclass(frozen=True)
class Outcome:
    """What came of asking: a result, or why there is none."""

    state: str
    error: str | None = None
    result: dict[str, Any] | None = None


class Run:
    """The cells of a plan, asked one after the other; those of one binding together, so that towers are loaded once.

    Under `torchrun` every rank answers every cell, sharing the embedding; rank 0 alone decides which, and writes.

    Attributes:
        embedded: how many items were computed, and how many of them came from the cache instead.
    """

    def __init__(
        self,
        plan: Plan,
        results: Results,
        folders: Folders,
        *,
        device: str = "cpu",
        cache: EmbeddingCache | None = None,
    ) -> None:
        self.plan = plan
        self.results = results
        self.folders = folders
        self.device = device
        self.cache = cache
        self.embedded = {"computed": 0, "cached": 0}
        self._remembered = Remembered(results.encoders)
        self._bindings = {named.name: named.binding for named in plan.bindings}
        self._sure: set[tuple[str, str]] = set()  # binding and modality, where the tower itself was asked
        self._binder: Binder | None = None
        self._told = time.monotonic()

    def take_up(self) -> None:
        """Take up the cells that are finished, as far as this can be told without loading a tower; asks nothing."""
        for cell in self.plan.cells:
            if cell.state == TO_DO and self._ready(cell).dataset is not None and self._knows(cell):
                with contextlib.suppress(Exception):  # told of when the cell is asked
                    cell.identity = self._identity(cell, self._remembered.known(self._binding(cell)))[0]
                    self._adopt(cell, again=False)

    def go(self, settled: Callable[[Cell], None]) -> None:
        """Ask all that is to be done.

        Args:
            settled: called after each cell, once it is written.

        Raises:
            BadInput: an answer cannot be written, as on a full disk.
        """
        if ranks.rank() > 0:
            self._follow()
        else:
            try:
                self._lead(settled)
            except Exception:
                self._tell(None)
                raise
            self._tell(None)
        self._let_go()

    def _follow(self) -> None:
        while (number := ranks.from_first(None)) is not None:
            if number >= 0:
                self._answer(self.plan.cells[number])

    def _lead(self, settled: Callable[[Cell], None]) -> None:
        while any(cell.state == TO_DO for cell in self.plan.cells):
            went_on = [self._settle(cell, settled) for cell in self._by_binding() if cell.state == TO_DO]
            if not any(went_on):  # another process is at these: it finishes them, or ends and lets go of them
                self._pause()
        self.results.write(self.plan)

    def _by_binding(self) -> list[Cell]:
        return [cell for named in self.plan.bindings for cell in self.plan.cells if cell.binding == named.name]

    def _pause(self) -> None:
        time.sleep(PAUSE_S)
        if time.monotonic() - self._told > SIGN_OF_LIFE_S:
            self._tell(-1)

    def _tell(self, number: int | None) -> None:
        """Tell the other ranks which cell is asked next, that none is yet (-1), or that there are no more."""
        ranks.from_first(number)
        self._told = time.monotonic()

    def _settle(self, cell: Cell, settled: Callable[[Cell], None]) -> bool:
        """Finish a cell, or take it up from the process that did; False while another is at it."""
        while cell.state == TO_DO:
            if cell.identity is None and not self._identify(cell):
                break
            assert cell.identity is not None
            with self.results.lock(cell.identity) as held:
                if not held:
                    return False
                if not self._adopt(cell, again=True):
                    self._ask(cell)
        self.results.write(self.plan)
        settled(cell)
        return True

    def _binding(self, cell: Cell) -> Binding:
        binding = self._bindings[cell.binding]
        assert binding is not None  # a cell without one has failed already
        return binding

    def _ready(self, cell: Cell) -> Ready:
        return self.plan.questions[cell.number]

    def _taking_part(self, cell: Cell) -> tuple[str, ...]:
        ready = self._ready(cell)
        assert ready.task is not None
        return taking_part(ready.task, ready.question.modality, self._binding(cell))

    def _knows(self, cell: Cell) -> bool:
        return set(self._taking_part(cell)) <= self._remembered.known(self._binding(cell)).keys()

    def _identity(self, cell: Cell, known: Any) -> tuple[str, dict[str, Any]]:
        ready = self._ready(cell)
        encoders = {of: known[of] for of in self._taking_part(cell)}
        return cell_identity(ready.question, ready.split_hash, cell.binding, encoders, cell.seed)

    def _identify(self, cell: Cell) -> bool:
        """Load the towers that take part, and tell by them what the cell is known by; False where that fails."""
        try:
            found = self._learn(cell, self._taking_part(cell))
            cell.identity = self._identity(cell, found)[0]
        except (Exception, SystemExit) as error:
            cell.state, cell.error = FAILED, one_line(error, self.folders)
            self.results.note(f"{self._called(cell)}: failed: {cell.error}")
        return cell.identity is not None

    def _adopt(self, cell: Cell, *, again: bool) -> bool:
        """Take a finished cell from its file, if there is one that still holds.

        Args:
            cell: with its identity.
            again: the run has begun: a failure that was written since is this run's, and other towers may be loaded.
        """
        assert cell.identity is not None
        held = self.results.finished(cell.identity)
        if held is None or (held["state"] == FAILED and not (again and self.results.is_new(cell.identity))):
            return False
        others, binding = held["others"], self._binding(cell)
        if again and not others.items() <= self._remembered.known(binding).items():
            with contextlib.suppress(AnybindError):
                self._learn(cell, [of for of in others if of in binding.encoders])
        if not others.items() <= self._remembered.known(binding).items():
            return False
        cell.state, cell.error = held["state"], held["error"]
        cell.main_metric, cell.result = held["main_metric"], held["result"]
        return True

    def _ask(self, cell: Cell) -> None:
        """Ask, and write what came of it; nothing more than another identity where what was remembered is wrong."""
        before, cell.identity = cell.identity, None
        if not self._identify(cell) or cell.identity != before:
            return
        started = time.perf_counter()
        self._tell(self.plan.cells.index(cell))
        outcome = self._answer(cell)
        seconds = time.perf_counter() - started
        cell.state, cell.error, cell.result = outcome.state, outcome.error, outcome.result
        others = self._others(cell)
        about = self._identity(cell, self._remembered.known(self._binding(cell)))[1]
        self.results.finish(cell, about, others, seconds)
        if cell.state == DONE and before:  # one that failed may go on from there
            shutil.rmtree(self.results.work / before, ignore_errors=True)
        told = f": {cell.error}" if cell.error else ""
        self.results.note(f"{self._called(cell)}: {cell.state} in {seconds:.1f} s{told}")

    def _others(self, cell: Cell) -> dict[str, str]:
        """Identities of the binding's encoders that took part without having been known to."""
        named = (cell.result or {}).get("encoders", {})
        more = [of for of in named if of in self._binding(cell).encoders and of not in self._taking_part(cell)]
        return self._learn(cell, more) if more else {}

    def _learn(self, cell: Cell, modalities: Sequence[str]) -> dict[str, str]:
        """Identities of encoders as they are. Where others were remembered, no cell that was taken up by them holds."""
        before = dict(self._remembered.known(self._binding(cell)))
        if {(cell.binding, of) for of in modalities} <= self._sure:
            return {of: before[of] for of in modalities}
        found = self._remembered.learn(self._load(cell), modalities)
        self._sure |= {(cell.binding, of) for of in modalities}
        if any(before.get(of, identity) != identity for of, identity in found.items()):
            for other in self.plan.cells:
                if other.binding == cell.binding and other.identity is not None and other is not cell:
                    other.state, other.identity, other.result = TO_DO, None, None
        return found

    def _answer(self, cell: Cell) -> Outcome:
        """Ask on all ranks; the cell has failed where it has on any."""
        outcome = self._try(cell)
        told = ranks.gather([outcome.state, outcome.error])
        state, error = next(((state, error) for state, error in told if state != DONE), (DONE, None))
        return outcome if state == DONE else Outcome(state, error)

    def _try(self, cell: Cell) -> Outcome:
        ready = self._ready(cell)
        assert ready.task is not None
        assert ready.dataset is not None
        binder = None
        try:
            binder = self._load(cell)
            ready.task.work = self.results.work / cell.identity if cell.identity else None
            result = ready.task.run(binder, ready.dataset, modality=ready.question.modality, seed=cell.seed)
            if not isinstance(result, Result):
                raise errors.PluginError(
                    f"the task {ready.question.task!r} gave a {type(result).__name__}, no anybind.Result"
                )
            # As it is read from the file, so that it does not matter which process asked.
            return Outcome(DONE, result=json.loads(json_text(asdict(result))))
        except (Exception, SystemExit) as error:
            told = one_line(error, self.folders)
            lacks = isinstance(error, errors.UnknownName) and told.startswith(
                f"binding {cell.binding!r} has no encoder for"
            )
            return Outcome(NOT_APPLICABLE if lacks else FAILED, told)

    def _load(self, cell: Cell) -> Binder:
        """The binder of a cell; that of another binding is let go, so that one binding's towers are in memory."""
        binding = self._binding(cell)
        if self._binder is None or self._binder.binding is not binding:
            self._let_go()
            self._binder = load(binding, device=self.device, cache=self.cache)
        return self._binder

    def _let_go(self) -> None:
        if self._binder is not None:
            counts = self._binder.counts
            self.embedded["computed"] += counts.computed
            self.embedded["cached"] += counts.cached
            self._binder = None

    def _called(self, cell: Cell) -> str:
        return f"{self._ready(cell).question.title} | {cell.binding} | seed {cell.seed}"


def unfinished(plan: Plan) -> Iterator[Cell]:
    """The cells that have no result and could have one."""
    return (cell for cell in plan.cells if cell.state not in (DONE, NOT_APPLICABLE))
