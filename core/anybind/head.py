"""`Head`: embeddings to the scores of a task."""

from __future__ import annotations

import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np

from anybind.binder import Binder
from anybind.embeddings import Embeddings
from anybind.errors import BadInput, BadOption, WeightsMismatch
from anybind.head_input import HeadInput
from anybind.registry import create_part
from anybind.space import Space
from anybind.spec import HeadTarget
from anybind.tables import hash_settings, parse_table
from anybind.tensors import read_tensors, write_tensors

KEY = "anybind-head"
"""Of the card in a file's metadata."""


@dataclass(frozen=True)
class EncoderRecord:
    """The encoder and the space of embeddings that a head was made for."""

    encoder: str
    space: Space


@dataclass(frozen=True)
class HeadCard:
    """The card of a head's file; the fields are attributes of `Head`, `head` being its name."""

    head: str
    settings: Mapping[str, object]
    made_for: Mapping[str, EncoderRecord]
    classes: Sequence[str]


class Head(ABC):
    """A task head: embeddings to scores. Its options are the arguments of its constructor, JSON-like.

    A subclass sets `name` and `predicts`, implements `rate`, and where it learns sets `learns` and implements `learn`.

    Attributes:
        name: as it is registered.
        predicts: the meaning of its scores: `classification` (a score per class, larger is more likely), `anomaly` (0
            or more, larger is more abnormal; a sample without rows has 0) or `ranking` (a score per query and
            candidate, larger is nearer).
        learns: what `fit` takes labels of: `nothing` (it needs no fitting), `samples` or `groups`.
        needs: modalities whose embeddings it reads; empty where it reads measures alone, or any modality.
        settings: all its options, as `create("head", name, **settings)` takes them.
        classes: the class names of a classification head, once it is fitted or loaded.
        made_for: by modality, the identity of the encoder and the space of the embeddings that it was made for; filled
            by `fit` and `prepare`.
        tensors: the arrays that it has learned or embedded, by name: all that `save`, `load` and `identity` see.
    """

    name: ClassVar[str]
    predicts: ClassVar[HeadTarget]
    learns: ClassVar[Literal["nothing", "samples", "groups"]] = "nothing"

    def __init__(self, *, needs: Sequence[str] = (), settings: Mapping[str, object] | None = None) -> None:
        self.needs = tuple(needs)
        self.settings = dict(settings or {})
        self.classes: tuple[str, ...] = ()
        self.made_for: dict[str, EncoderRecord] = {}
        self.tensors: dict[str, np.ndarray] = {}

    @staticmethod
    def find(source: str | os.PathLike[str], *, predicts: HeadTarget | None = None, **options: object) -> Head:
        """Make a head by its registered name and options, or from a file that `Head.save` wrote (`.safetensors`).

        Args:
            source: the name or the file.
            predicts: the target that the head must have; any by default.
            options: of the head; none with a file, which holds them.

        Raises:
            UnknownName: no head of that name.
            BadOption: an option that the head does not take, or a head of another target.
            BadInput: the file is missing or damaged, or holds no head.
        """
        text = os.fspath(source)
        if not text.endswith(".safetensors"):
            head: Head = create_part("head", text, **options)
        elif options:
            raise BadOption(f"{text} holds a head with its options; leave out {', '.join(options)}")
        else:
            card, _ = _read_head(Path(text))
            head = create_part("head", card.head, **card.settings).load(text)
        if predicts not in (None, head.predicts):
            raise BadOption(f"{text}: expected a head for {predicts}, got {head.name!r}, which is for {head.predicts}")
        return head

    def prepare(self, binder: Binder) -> None:
        """Embed what it compares samples with, such as prompts. Called once before `fit` and `score`.

        Raises:
            UnknownName: the binding has no encoder for it.
            WeightsMismatch: it was loaded from a file that holds embeddings of another encoder.
        """
        return

    def fit(self, inputs: HeadInput, labels: Sequence[int] | np.ndarray, class_names: Sequence[str] = ()) -> Self:
        """Learn from labelled samples, or groups of them. The same inputs, labels and options give the same head.

        Args:
            inputs: the samples.
            labels: (n,) integers, or where the head learns from `groups` one per group, by group id. A class number
                (classification), or 0 normal and 1 abnormal (anomaly); -1 unknown, which is not learned from.
            class_names: of a classification head: the name of each class number.

        Raises:
            BadInput: labels that do not fit the inputs, fewer than two classes, a class without a labelled sample, or
                otherwise too little to learn from.
        """
        if self.learns == "nothing":
            return self
        self._check_needs(inputs)
        labels = np.asarray(labels)
        if self.learns == "samples" and labels.shape != (len(inputs),):
            raise BadInput(f"expected {len(inputs)} labels, one for each sample, got shape {labels.shape}")
        groups = int(inputs.groups.max(initial=-1)) + 1
        if self.learns == "groups" and (labels.ndim != 1 or len(labels) < groups):
            raise BadInput(f"expected {groups} labels, one for each group, got shape {labels.shape}")
        labels = labels.astype(np.int64)
        if self.predicts == "classification":
            _check_classes(self.name, labels, class_names)
        elif self.predicts == "anomaly" and not np.isin(labels, (-1, 0, 1)).all():
            raise BadInput("expected labels 0 (normal), 1 (abnormal) or -1 (unknown)")
        self.made_for, self.tensors, self.classes = {}, {}, tuple(class_names)
        for modality in self.needs:
            self.record_encoder(inputs.embeddings[modality])
        self.tensors = self.fit_tensors(inputs, labels)
        return self

    def fit_tensors(self, inputs: HeadInput, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Return the tensors that the head learns; called by `fit`, which has checked and recorded its arguments.

        Args:
            inputs: n samples.
            labels: (n,) or (groups,) int64, as of `fit`.
        """
        raise NotImplementedError(f"{type(self).__name__} learns {self.learns} and has no method learn")

    def score(self, inputs: HeadInput, queries: Embeddings | None = None) -> np.ndarray:
        """Score samples, float32; larger is more likely, more abnormal or nearer (see `predicts`).

        A sample's classification or anomaly score does not depend on the other samples, but for rounding (1e-5 of the
        largest).

        Args:
            inputs: n samples.
            queries: of a ranking head: what the samples are ranked for.

        Returns:
            (n, classes) for classification, (n,) for anomaly, (queries, n) for ranking.

        Raises:
            BadOption: it was not fitted, or not prepared.
            BadInput: embeddings or queries that it needs are missing.
            SpaceMismatch, WeightsMismatch: embeddings of another space or encoder than it was made for.
        """
        if self.learns != "nothing" and not self.tensors:
            raise BadOption(f"the head {self.name!r} is not fitted: fit it, or load one that is")
        self._check_needs(inputs)
        if self.predicts == "ranking" and queries is None:
            raise BadInput(f"the head {self.name!r} ranks samples for queries: expected their embeddings, got none")
        for embeddings in (*inputs.embeddings.values(), *(() if queries is None else (queries,))):
            self._check_encoder(embeddings)
        return np.asarray(self.compute_scores(inputs, queries), dtype=np.float32)

    @abstractmethod
    def compute_scores(self, inputs: HeadInput, queries: Embeddings | None) -> np.ndarray:
        """Return the scores of n samples: (n, classes), (n,) or (queries, n); `score` has checked the arguments."""

    def record_encoder(self, embeddings: Embeddings) -> None:
        """Record the encoder and space of embeddings that the head is made for; raises as `score` where they differ."""
        self._check_encoder(embeddings)
        self.made_for[embeddings.modality] = EncoderRecord(embeddings.encoder, embeddings.space)

    def _check_needs(self, inputs: HeadInput) -> None:
        for modality in self.needs:
            if modality not in inputs.embeddings:
                modalities = ", ".join(inputs.embeddings) or "none"
                raise BadInput(f"the head {self.name!r} needs {modality} embeddings of the samples, got {modalities}")

    def _check_encoder(self, embeddings: Embeddings) -> None:
        record = self.made_for.get(embeddings.modality)
        if record is None:
            return
        record.space.require_same(embeddings.space, f"use the head {self.name!r}")
        if record.encoder != embeddings.encoder:
            raise WeightsMismatch(
                f"the head {self.name!r} was made for {embeddings.modality} embeddings of the encoder"
                f" {record.encoder}, got those of {embeddings.encoder}: fit it anew"
            )

    @property
    def identity(self) -> str:
        """Hash of all that shapes the scores, 12 hexadecimal digits."""
        arrays = {name: [array.dtype.str, array.shape, _hash_array(array)] for name, array in self.tensors.items()}
        return hash_settings([asdict(self._card()), arrays])

    def _card(self) -> HeadCard:
        return HeadCard(self.name, self.settings, self.made_for, self.classes)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file with a JSON card, from which `Head.find` makes the head again.

        Raises:
            BadInput: the file cannot be written.
        """
        write_tensors(path, self.tensors, asdict(self._card()), key=KEY)

    def load(self, path: str | os.PathLike[str]) -> Self:
        """Load what `save` wrote, and return the head.

        Raises:
            BadInput: the file is missing or damaged, or holds no head.
            WeightsMismatch: it holds another head, or one with other options.
        """
        card, tensors = _read_head(Path(path))
        if (card.head, card.settings) != (self.name, json.loads(json.dumps(self.settings))):
            raise WeightsMismatch(f"{path} holds the head {card.head!r} with the options {card.settings}")
        unknown = [of for of in self.needs if self.learns != "nothing" and of not in card.made_for]
        if unknown:
            raise BadInput(
                f"{path} does not name the encoder of the {unknown[0]} embeddings that its head was made for"
            )
        self.made_for, self.classes, self.tensors = dict(card.made_for), tuple(card.classes), tensors
        return self


def _check_classes(name: str, labels: np.ndarray, class_names: Sequence[str]) -> None:
    count = len(class_names)
    if count < 2 or len(set(class_names)) < count:
        raise BadInput(f"the head {name!r} needs the names of two classes or more, all different, got {class_names}")
    if ((labels < -1) | (labels >= count)).any():
        raise BadInput(f"expected labels from -1 to {count - 1}, one for each of {count} classes")
    missing = [class_names[number] for number in range(count) if not (labels == number).any()]
    if missing:
        raise BadInput(f"the head {name!r} has no labelled samples of {', '.join(missing)}")


def _hash_array(array: np.ndarray) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


def _read_head(path: Path) -> tuple[HeadCard, dict[str, np.ndarray]]:
    """Return the card and the tensors of a file that `Head.save` wrote."""
    table, tensors = read_tensors(path, key=KEY)
    return parse_table(HeadCard, table, f"{path}: the card of a head", BadInput), tensors
