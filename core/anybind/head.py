"""`Head`: maps embeddings to the scores of a task."""

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
from anybind.errors import BadInput, BadOption, PluginError, WeightsMismatch
from anybind.head_input import HeadInput
from anybind.registry import create_part
from anybind.space import Space
from anybind.spec import HeadTarget
from anybind.tables import hash_settings, parse_table
from anybind.tensors import read_tensors, write_tensors

KEY = "anybind-head"
"""Key of the card in a file's metadata."""


@dataclass(frozen=True)
class EncoderRecord:
    """The identity of an encoder and its space, which a head was fitted for."""

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
    """A task head: a map from embeddings to scores. Its options are the arguments of its constructor, JSON-like.

    A subclass sets `name` and `predicts` and implements `compute_scores`; one that is fitted also sets `learns` and
    implements `fit_tensors`.

    Attributes:
        name: registered name.
        predicts: meaning of the scores: `classification` (a score per class, larger is more likely), `anomaly` (0 or
            more, larger is more abnormal; a sample without rows has 0) or `ranking` (a score per query and candidate,
            larger is more similar).
        learns: what `fit` takes labels of: `nothing` (no fit), `samples` or `groups`.
        needs: modalities whose embeddings it reads; empty if it reads measures only, or any modality.
        settings: all options, as for `create_part("head", name, **settings)`.
        classes: class names of a fitted or loaded classification head.
        made_for: by modality, the encoder and the space of the embeddings that it was fitted for; set by `fit` and
            `prepare`.
        tensors: fitted and embedded arrays by name: everything that `save`, `load` and `identity` cover.
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
        """Create a head from its registered name and options, or from a file of `Head.save` (`.safetensors`).

        Args:
            source: the name or the file.
            predicts: the required target. [default: any]
            options: options of the head; none with a file, which contains them.

        Raises:
            UnknownName: no head of that name.
            BadOption: an option that the head does not take, or a head of another target.
            BadInput: the file is missing or damaged, or contains no head.
        """
        if not isinstance(source, str | os.PathLike):
            raise BadOption(f"expected a head, its name or its file, got {source!r}")
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
        """Embed the texts or samples that the head compares with, such as prompts; call it before `fit` and `score`.

        Raises:
            UnknownName: the binding has no encoder for them.
            WeightsMismatch: the head was loaded from a file with embeddings of another encoder.
        """
        return

    def fit(self, inputs: HeadInput, labels: Sequence[int] | np.ndarray, class_names: Sequence[str] = ()) -> Self:
        """Fit the head to labelled samples or groups; deterministic for the same inputs, labels and options.

        Args:
            inputs: the samples.
            labels: (n,) integers, or one per group, by group id, for a head that learns from `groups`. A class number
                (classification), or 0 normal and 1 abnormal (anomaly); -1 unknown, which is ignored.
            class_names: name of each class number, for a classification head.

        Raises:
            BadInput: labels of another length, or not whole numbers, fewer than two classes, class names that are not
                texts, a class without labelled samples, or otherwise too few samples.
        """
        if self.learns == "nothing":
            return self
        self._check_needs(inputs)
        labels = np.asarray(labels)
        if labels.size and (labels.dtype.kind not in "biuf" or not np.array_equal(labels, np.rint(labels))):
            first = labels.ravel()[:3].tolist()
            raise BadInput(f"the head {self.name!r}: expected labels of whole numbers, got {first}")
        if self.learns == "samples" and labels.shape != (len(inputs),):
            raise BadInput(f"expected {len(inputs)} labels, one for each sample, got shape {labels.shape}")
        groups = int(inputs.groups.max(initial=-1)) + 1
        if self.learns == "groups" and (labels.ndim != 1 or len(labels) < groups):
            raise BadInput(f"expected {groups} labels, one for each group, got shape {labels.shape}")
        labels = labels.astype(np.int64)
        if self.predicts == "classification":
            class_names = _check_classes(self.name, labels, class_names)
        elif self.predicts == "anomaly" and not np.isin(labels, (-1, 0, 1)).all():
            raise BadInput("expected labels 0 (normal), 1 (abnormal) or -1 (unknown)")
        self.made_for, self.tensors, self.classes = {}, {}, tuple(class_names)
        for modality in self.needs:
            self.record_encoder(inputs.embeddings[modality])
        self.tensors = self.fit_tensors(inputs, labels)
        return self

    def fit_tensors(self, inputs: HeadInput, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Compute the tensors of a fit; called by `fit`, which has checked the arguments and recorded the encoders.

        Args:
            inputs: n samples.
            labels: (n,) or (groups,) int64, as in `fit`.
        """
        raise NotImplementedError(f"{type(self).__name__} learns {self.learns} and has no method fit_tensors")

    def score(self, inputs: HeadInput, queries: Embeddings | None = None) -> np.ndarray:
        """Compute the scores of samples, float32; larger is more likely, more abnormal or more similar.

        A sample's classification or anomaly score does not depend on the other samples, except for rounding (1e-5 of
        the largest).

        Args:
            inputs: n samples.
            queries: query embeddings, for a ranking head.

        Returns:
            (n, classes) for classification, (n,) for anomaly, (queries, n) for ranking.

        Raises:
            BadOption: the head is not fitted, or not prepared.
            BadInput: required embeddings or queries are missing.
            SpaceMismatch, WeightsMismatch: embeddings of another space or encoder than in the fit.
            PluginError: the scores have another shape, or are NaN or infinite.
        """
        scores = self.score_unchecked(inputs, queries)
        self._check_scores(scores, len(inputs), 0 if queries is None else len(queries))
        return scores

    def score_unchecked(self, inputs: HeadInput, queries: Embeddings | None = None) -> np.ndarray:
        """Compute scores as `score` does, without checking their shape and values; for the conformance checks.

        Args:
            inputs: n samples.
            queries: as for `score`.

        Returns:
            what `compute_scores` returns, as float32: (n, classes), (n,) or (queries, n) of a valid head.

        Raises:
            BadOption, BadInput, SpaceMismatch, WeightsMismatch: as `score`.
        """
        if self.learns != "nothing" and not self.tensors:
            raise BadOption(f"the head {self.name!r} is not fitted: fit it, or load a fitted one")
        self._check_needs(inputs)
        if self.predicts == "ranking" and queries is None:
            raise BadInput(f"the head {self.name!r} ranks samples for queries: expected their embeddings, got none")
        for embeddings in (*inputs.embeddings.values(), *(() if queries is None else (queries,))):
            self._check_encoder(embeddings)
        return np.asarray(self.compute_scores(inputs, queries), dtype=np.float32)

    @abstractmethod
    def compute_scores(self, inputs: HeadInput, queries: Embeddings | None) -> np.ndarray:
        """Compute the scores of n samples: (n, classes), (n,) or (queries, n); `score` has checked the arguments."""

    def record_encoder(self, embeddings: Embeddings) -> None:
        """Record the encoder and space of the head's embeddings; raise as `score` if another one is recorded."""
        self._check_encoder(embeddings)
        self.made_for[embeddings.modality] = EncoderRecord(embeddings.encoder, embeddings.space)

    def _check_needs(self, inputs: HeadInput) -> None:
        for modality in self.needs:
            if modality not in inputs.embeddings:
                modalities = ", ".join(inputs.embeddings) or "none"
                raise BadInput(f"the head {self.name!r} needs {modality} embeddings of the samples, got {modalities}")

    def _check_scores(self, scores: np.ndarray, n: int, n_queries: int) -> None:
        """Raise `PluginError` unless scores of n samples have the shape of the head's target and are finite."""
        shapes = {"classification": (n, len(self.classes)), "anomaly": (n,), "ranking": (n_queries, n)}
        expected = shapes[self.predicts]
        if scores.shape != expected:
            raise PluginError(f"the head {self.name!r}: expected scores of shape {expected}, got {scores.shape}")
        if not np.isfinite(scores).all():
            raise PluginError(f"the head {self.name!r}: expected finite scores, got NaN or infinity")

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
        """Hash of everything that shapes the scores, 12 hexadecimal digits."""
        arrays = {name: [array.dtype.str, array.shape, _hash_array(array)] for name, array in self.tensors.items()}
        return hash_settings([asdict(self._card()), arrays])

    def _card(self) -> HeadCard:
        return HeadCard(self.name, self.settings, self.made_for, self.classes)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file with a JSON card, which `Head.find` reads.

        Raises:
            BadInput: the file cannot be written.
        """
        write_tensors(path, self.tensors, asdict(self._card()), key=KEY)

    def load(self, path: str | os.PathLike[str]) -> Self:
        """Load a file that `save` wrote, and return the head.

        Raises:
            BadInput: the file is missing or damaged, contains no head, or has tensors other than `list_shapes`.
            WeightsMismatch: it contains another head, or one with other options.
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
        for name, shape in self.list_shapes().items():
            tensor = tensors.get(name, np.empty(0, np.bool_))
            fits = len(shape) == tensor.ndim and all(
                side in (None, actual) for side, actual in zip(shape, tensor.shape, strict=True)
            )
            if not fits or tensor.dtype.kind != "f":
                expected = "x".join("n" if side is None else str(side) for side in shape) or "one"
                raise BadInput(
                    f"{path} is damaged: expected {name} of {expected} numbers, got {tensor.dtype} of shape"
                    f" {tensor.shape}"
                )
        return self

    def list_shapes(self) -> Mapping[str, tuple[int | None, ...]]:
        """Return the shape of each tensor after a fit, None for any length; `load` compares them.

        It may use `classes` and `made_for`. By default nothing is compared.
        """
        return {}


def _check_classes(name: str, labels: np.ndarray, class_names: Sequence[str]) -> tuple[str, ...]:
    """Return the class names as `str`; raise `BadInput` unless they and the labels are valid."""
    listed = (class_names,) if isinstance(class_names, str) else tuple(class_names)
    for each in listed:
        if not isinstance(each, str):
            raise BadInput(f"the head {name!r}: expected class names of texts, got {each!r}")
    class_names, count = tuple(map(str, listed)), len(listed)  # NumPy's strings become `str`
    if count < 2 or len(set(class_names)) < count:
        raise BadInput(f"the head {name!r} needs the names of two classes or more, all different, got {class_names}")
    if ((labels < -1) | (labels >= count)).any():
        raise BadInput(f"expected labels from -1 to {count - 1}, one for each of {count} classes")
    missing = [class_names[number] for number in range(count) if not (labels == number).any()]
    if missing:
        raise BadInput(f"the head {name!r} has no labelled samples of {', '.join(missing)}")
    return class_names


def _hash_array(array: np.ndarray) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


def _read_head(path: Path) -> tuple[HeadCard, dict[str, np.ndarray]]:
    """Read the card and the tensors of a file that `Head.save` wrote."""
    table, tensors = read_tensors(path, key=KEY)
    return parse_table(HeadCard, table, f"{path}: the card of a head", BadInput), tensors
