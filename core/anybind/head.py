"""`Head`: windows of a film to how abnormal each one is; `HeadInput`: what a head is told of them."""

from __future__ import annotations

import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np

from anybind.binder import Binder
from anybind.embeddings import Embeddings
from anybind.errors import BadInput, BadOption, WeightsMismatch
from anybind.files import atomic_path
from anybind.registry import create
from anybind.space import Space
from anybind.tables import settings_hash

CARD = "anybind-head"


@dataclass(frozen=True, eq=False)
class HeadInput:
    """What is known of n consecutive windows of one film.

    Attributes:
        embeddings: rows by modality. A row is of one window, or of a part of its picture (a tile).
        measures: numbers by name, (n,) each, finite. Films turned into events give at least `events` (how many),
            `frames` (how many the window has) and `pixels` (of one frame).
        rows: for each row of a modality, the number of its window, never falling. A window may have several rows,
            and it has none where there is nothing to embed, as in one without events. Left out for a modality with
            one row for each window.

    Raises:
        BadInput: lengths that do not agree, numbers of windows that are not there, measures that are not finite.
    """

    embeddings: Mapping[str, Embeddings]
    measures: Mapping[str, np.ndarray]
    rows: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, values in self.measures.items():
            if np.shape(values) != (len(self),) or not np.isfinite(values).all():
                raise BadInput(f"the measure {name!r} must be {len(self)} finite numbers, one for each window")
        rows = {}
        for modality, embeddings in self.embeddings.items():
            numbers = np.asarray(self.rows.get(modality, np.arange(len(self))), dtype=np.int64)
            inside = not len(numbers) or (numbers[0] >= 0 and numbers[-1] < len(self))
            if numbers.shape != (len(embeddings),) or not inside or (np.diff(numbers) < 0).any():
                raise BadInput(f"{len(embeddings)} rows of {modality} do not fit {len(self)} windows")
            rows[modality] = numbers
        object.__setattr__(self, "rows", rows)

    def __len__(self) -> int:
        if self.measures:
            return len(next(iter(self.measures.values())))
        return max((len(embeddings) for embeddings in self.embeddings.values()), default=0)

    def largest(self, modality: str, values: np.ndarray) -> np.ndarray:
        """The largest of its rows' values for each window, (n,) float64; 0 for a window without rows.

        Args:
            modality: whose rows.
            values: (rows,), none below 0.
        """
        best = np.zeros(len(self))
        np.maximum.at(best, self.rows[modality], values)
        return best


class Head(ABC):
    """Windows of a film to scores. Its options are the arguments of its constructor, JSON-like.

    Scores are 0 or more. A window without rows (in which nothing moved) has score 0: the least there is.

    Attributes:
        name: as it is registered.
        learns: what `fit` wants labels of: `nothing` (it needs no fitting), `windows` or `films`.
        needs: modalities whose embeddings it reads; none where it reads measures alone.
        settings: its options, all of them, as `anybind.create("head", name, **settings)` takes them.
        made_for: by modality, the identity of the encoder and the space whose vectors it knows; filled by `fit` and
            `prepare`.
        tensors: what it has learned or embedded, by name.
    """

    name: ClassVar[str]
    learns: ClassVar[Literal["nothing", "windows", "films"]] = "nothing"

    def __init__(self, *, needs: Sequence[str] = (), settings: Mapping[str, Any] | None = None) -> None:
        self.needs = tuple(needs)
        self.settings = dict(settings or {})
        self.made_for: dict[str, dict[str, Any]] = {}
        self.tensors: dict[str, np.ndarray] = {}

    def prepare(self, binder: Binder) -> None:
        """Embed what it compares windows with, such as words. Called once before `fit` and `score`.

        Raises:
            UnknownName: the binding has no encoder for it.
            WeightsMismatch: it was loaded from a file that another encoder's vectors are in.
        """
        return

    def fit(self, sets: Sequence[HeadInput], labels: Sequence[np.ndarray] | Sequence[int]) -> Self:
        """Learn from films. The same films, labels and options give the same head.

        Args:
            sets: the windows of each film.
            labels: where the head learns from `windows`, (n,) for each film: 0 normal, 1 abnormal, -1 not to be
                learned from. Where it learns from `films`, one number for each: 0 normal, 1 abnormal somewhere.

        Raises:
            BadInput: too few windows or films of one kind, or films embedded in different ways.
        """
        return self

    def score(self, windows: HeadInput) -> np.ndarray:
        """How abnormal each window is: (n,) float32, 0 or more, larger is more abnormal.

        A window's score does not depend on which others are in the set, but for rounding (1e-5 of the largest).

        Raises:
            BadOption: it was not fitted, or not prepared.
            BadInput: what it needs is missing.
            SpaceMismatch, WeightsMismatch: the windows were embedded otherwise than those it was fitted on.
        """
        if self.learns != "nothing" and not self.tensors:
            raise BadOption(f"the head {self.name!r} knows nothing yet: fit it, or load one that was fitted")
        for modality in self.needs:
            if modality not in windows.embeddings:
                raise BadInput(f"the head {self.name!r} needs {modality} embeddings of the windows")
            self._check_maker(windows.embeddings[modality])
        return np.asarray(self.rate(windows), dtype=np.float32)

    @abstractmethod
    def rate(self, windows: HeadInput) -> np.ndarray:
        """The scores that `score` gives, once it has checked the windows: (n,), 0 or more."""

    def remember(self, embeddings: Embeddings) -> None:
        """Take note of what made these vectors; raises as `score` where others are known already."""
        self._check_maker(embeddings)
        self.made_for[embeddings.modality] = {"encoder": embeddings.encoder, "space": vars(embeddings.space)}

    def _check_maker(self, embeddings: Embeddings) -> None:
        known = self.made_for.get(embeddings.modality)
        if known is None:
            return
        Space(**known["space"]).require_same(embeddings.space, f"use the head {self.name!r}")
        if known["encoder"] != embeddings.encoder:
            raise WeightsMismatch(
                f"the head {self.name!r} was made with vectors of {embeddings.modality} by {known['encoder']},"
                f" and these are by {embeddings.encoder}: fit it anew"
            )

    @property
    def identity(self) -> str:
        """Hash of all that shapes the scores, 12 hexadecimal digits."""
        hashes = {name: hashlib.sha256(held.tobytes()).hexdigest() for name, held in self.tensors.items()}
        return settings_hash([self._card(), hashes])

    def _card(self) -> dict[str, Any]:
        return {"head": self.name, "settings": self.settings, "made_for": self.made_for}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file of what it knows, with a JSON card; `find_head` makes a head of it again.

        Raises:
            BadInput: the file cannot be written.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import save_file

        tensors = {name: np.ascontiguousarray(held) for name, held in self.tensors.items()}
        with atomic_path(path) as temporary:
            try:
                save_file(tensors, temporary, metadata={CARD: json.dumps(self._card(), ensure_ascii=False)})
            except SafetensorError as error:  # a full disk, which is no OSError here
                raise BadInput(f"cannot write {path}: {error}") from error

    def load(self, path: str | os.PathLike[str]) -> Self:
        """Take over what `save` wrote, and return the head.

        Raises:
            BadInput: the file is missing or damaged, or is no file of a head.
            WeightsMismatch: it is of another head, or of one with other options.
        """
        card, tensors = _read(Path(path))
        if (card["head"], card["settings"]) != (self.name, json.loads(json.dumps(self.settings))):
            raise WeightsMismatch(f"{path} is of the head {card['head']!r} with the options {card['settings']}")
        unknown = [of for of in self.needs if self.learns != "nothing" and of not in card["made_for"]]
        if unknown:
            raise BadInput(f"{path} does not say what made the {unknown[0]} vectors that its head knows")
        self.made_for, self.tensors = card["made_for"], tensors
        return self


def find_head(source: str | os.PathLike[str], **options: Any) -> Head:
    """A head by its registered name, with its options, or from a file that `Head.save` wrote (`.safetensors`).

    Raises:
        UnknownName, BadOption: no such head, or an option that it does not take.
        BadInput: the file is missing or damaged, or is no file of a head.
    """
    text = os.fspath(source)
    if not text.endswith(".safetensors"):
        return create("head", text, **options)
    if options:
        raise BadOption(f"{text} holds a head with its options; leave out {', '.join(options)}")
    card, _ = _read(Path(text))
    return create("head", card["head"], **card["settings"]).load(text)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            card = json.loads((file.metadata() or {})[CARD])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            held = {key: card[key] for key in ("head", "settings", "made_for")}
            if list(map(type, held.values())) != [str, dict, dict]:
                raise ValueError("its card is none")
            return held, tensors
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path} holds no head that anybind saved: {error}") from error
