"""What every head is held to."""

from __future__ import annotations

import copy
import functools
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from anybind.binder import Binder
from anybind.embeddings import Embeddings, unit
from anybind.errors import BadOption, SpaceMismatch, WeightsMismatch
from anybind.head import Head, HeadInput
from anybind.testing.rules import (
    NotChecked,
    Rules,
    Seen,
    require,
    require_close,
    require_hash,
    require_json_like,
    require_refusal,
    told,
)

HEAD_RULES = Rules()
_rule = HEAD_RULES.rule
WINDOWS = 12


@dataclass
class HeadCase:
    """A head that knows nothing yet. Films are made up: random vectors, and counts such as of events."""

    head: Head
    binder: Binder

    def film(self, seed: int, abnormal: bool) -> tuple[HeadInput, np.ndarray]:
        """A film and, for each window, whether it is abnormal: the second half of an abnormal film."""
        random = np.random.default_rng(seed)
        labels = (np.arange(WINDOWS) >= WINDOWS // 2).astype(np.int64) * abnormal
        embeddings = {}
        for modality in self.head.needs:
            space = self.binder.space(modality)
            vectors = random.standard_normal((WINDOWS, space.dim)) + 3.0 * labels[:, None]
            ids = tuple(f"window {number}" for number in range(WINDOWS))
            embeddings[modality] = Embeddings(unit(vectors), space, modality, ids, self.binder.identity(modality))
        counts = random.integers(1, 1000, WINDOWS) * (1.0 + labels)
        measures = {"events": counts, "frames": np.full(WINDOWS, 16.0), "pixels": np.full(WINDOWS, 1024.0)}
        return HeadInput(embeddings, measures), labels

    def fitted(self, seed: int = 0) -> Head:
        """A copy of the head, prepared and fitted."""
        head = copy.deepcopy(self.head)
        head.prepare(self.binder)
        films = [self.film(seed + number, abnormal=bool(number % 2)) for number in range(4)]
        sets = [windows for windows, _ in films]
        labels = [labels for _, labels in films]
        if head.learns == "films":
            return head.fit(sets, [int(each.any()) for each in labels])
        return head.fit(sets, labels)

    @functools.cached_property
    def ready(self) -> Head:
        """`fitted`; raises `NotChecked` where that fails."""
        try:
            return self.fitted()
        except Exception as error:
            raise NotChecked(f"it cannot be fitted ({told(error)})") from error

    @functools.cached_property
    def asked(self) -> HeadInput:
        return self.film(99, abnormal=True)[0]

    @functools.cached_property
    def scores(self) -> np.ndarray:
        try:
            return self.ready.score(self.asked)
        except Exception as error:
            raise NotChecked(f"it gives no scores ({told(error)})") from error


def some(windows: HeadInput, chosen: Sequence[int]) -> HeadInput:
    """Some windows of a film in which each has one row."""
    rows = list(chosen)
    embeddings: Mapping[str, Embeddings] = {name: held[rows] for name, held in windows.embeddings.items()}
    return HeadInput(embeddings, {name: held[rows] for name, held in windows.measures.items()})


@_rule(
    "name, learns and needs",
    "set `name` and `learns` in the class, and hand `needs` and `settings` to super().__init__",
)
def _names(case: HeadCase) -> None:
    head = case.head
    require(isinstance(getattr(head, "name", None), str) and head.name, f"name is {getattr(head, 'name', None)!r}")
    require(head.learns in ("nothing", "windows", "films"), f"learns is {head.learns!r}")
    require(isinstance(head.needs, tuple), f"needs is {head.needs!r}")
    require_json_like(head.settings, "settings")


@_rule("fits and scores", "make `fit` and `rate` work on films of a dozen windows, two of each kind")
def _fits(case: HeadCase) -> None:
    head = case.fitted()
    require(isinstance(head, Head), f"fit gives a {type(head).__name__}, not the head")
    head.score(case.asked)


@_rule("one score a window", "give (number of windows,) from `rate`")
def _shape(case: HeadCase) -> None:
    require(case.scores.shape == (WINDOWS,), f"{WINDOWS} windows have scores of shape {case.scores.shape}")


@_rule("scores are finite and 0 or more", "shift and clip what `rate` gives: 0 is the least there is")
def _range(case: HeadCase) -> None:
    wrong = case.scores[~(np.isfinite(case.scores) & (case.scores >= 0))]
    require(not wrong.size, f"scores are {wrong[:3].tolist()}")


@_rule("windows are scored for themselves", "use in `rate` nothing of the other windows of the set")
def _alone(case: HeadCase) -> None:
    tolerance = 1e-5 * max(1.0, float(np.nanmax(case.scores)))
    alone = np.concatenate([case.ready.score(some(case.asked, [number])) for number in range(WINDOWS)])
    require_close(alone, case.scores, tolerance, "each window alone and all in one set")


@_rule("nothing to see scores 0", "give 0 for a window without rows: `HeadInput.largest` does")
def _nothing(case: HeadCase) -> None:
    if not case.head.needs:
        raise NotChecked("it reads measures alone")
    measures, rows = case.asked.measures, {of: np.arange(1, WINDOWS) for of in case.head.needs}
    shown = {of: case.asked.embeddings[of][1:] for of in case.head.needs}
    score = case.ready.score(HeadInput(shown, measures, rows))[0]
    require(score == 0, f"a window without rows has score {score}")


@_rule("fitting is deterministic", "take all randomness of `fit` from a seed among the options")
def _deterministic(case: HeadCase) -> None:
    again = case.fitted()
    require(case.ready.identity == again.identity, "fitted twice on the same films, its identity differs")
    require_close(again.score(case.asked), case.scores, 1e-6, "fitted twice on the same films")


@_rule("identity", "keep all that was learned in `tensors`, so that `identity` and `save` see it")
def _identity(case: HeadCase) -> None:
    require_hash(case.ready.identity, "identity")
    if case.head.learns != "nothing":
        other = case.fitted(seed=50)
        same = np.array_equal(other.score(case.asked), case.scores)
        require(
            same or other.identity != case.ready.identity, "fitted on other films, it scores otherwise by one identity"
        )


@_rule("saves and loads", "keep all that was learned in `tensors`; leave `save` and `load` as they are inherited")
def _saves(case: HeadCase) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "head.safetensors")
        case.ready.save(path)
        loaded = copy.deepcopy(case.head).load(path)
    require(loaded.identity == case.ready.identity, "after load the identity is another")
    require_close(loaded.score(case.asked), case.scores, 1e-6, "before save and after load")


@_rule("says that it is not fitted", "leave `score` as it is inherited: it raises anybind.BadOption")
def _unfitted(case: HeadCase) -> None:
    if case.head.learns == "nothing":
        raise NotChecked("it learns nothing")
    try:
        copy.deepcopy(case.head).score(case.asked)
    except BadOption:
        return
    raise Seen("it scores without having been fitted")


@_rule("refuses what is missing", "name in `needs` every modality that `rate` looks at")
def _missing(case: HeadCase) -> None:
    if not case.head.needs:
        raise NotChecked("it reads measures alone")
    require_refusal(lambda: case.ready.score(replace(case.asked, embeddings={}, rows={})), "windows without embeddings")


@_rule(
    "refuses strange vectors",
    "call `self.remember(embeddings)` in `fit`, or compare with `@`, which looks at the space",
)
def _strange(case: HeadCase) -> None:
    if not case.head.needs:
        raise NotChecked("it reads measures alone")
    space = replace(case.binder.space(case.head.needs[0]), name="some-other-space")
    _refused(case, "another space", space=space)
    if case.head.learns != "nothing":
        _refused(case, "another encoder", encoder="another")


def _refused(case: HeadCase, what: str, **changed: Any) -> None:
    strange = {of: replace(held, **changed) for of, held in case.asked.embeddings.items()}
    try:
        case.ready.score(replace(case.asked, embeddings=strange))
    except (WeightsMismatch, SpaceMismatch):
        return
    raise Seen(f"vectors of {what} were scored without a word")
