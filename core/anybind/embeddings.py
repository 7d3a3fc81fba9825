"""`Embeddings`: unit vectors with their space; comparing those of two spaces raises an error."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from anybind import pages
from anybind.errors import BadInput, BadOption, suggest_names
from anybind.number_checks import check_number
from anybind.space import Space
from anybind.tensors import read_tensors, write_tensors

if TYPE_CHECKING:
    import numpy.typing as npt

PREVIEW_SIZE = 8
"""Number of rows and dimensions in a notebook's table."""
UNIT_TOLERANCE = 1e-4
"""Allowed difference of a norm from 1: float32 sums over a few thousand dimensions stay well below."""


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Unit-norm vectors of one modality in one space.

    `a @ b` gives the (n, m) cosine similarities and raises `SpaceMismatch` between different spaces.

    Attributes:
        vectors: (n, d) float32, read-only, every row of norm 1.
        space: the embedding space; d is its dimension.
        modality: modality of the samples, for instance `event`, or `image+text` of joint embeddings.
        ids: n strings: the files, or the texts themselves; paths and numbers become strings.
        encoder: identity of the encoder (see `Encoder.identity`).
        logit_scale: factor of the encoder's softmax over similarities; the vectors are not multiplied by it.

    Raises:
        BadInput: vectors of another shape, type or norm.
        BadOption: a logit scale that is not a finite number.
    """

    vectors: np.ndarray
    space: Space
    modality: str
    ids: tuple[str, ...]
    encoder: str = ""
    logit_scale: float | None = None

    __array_ufunc__ = None  # so that `embeddings @ array` raises TypeError instead of being computed by NumPy

    def __post_init__(self) -> None:
        if not isinstance(self.space, Space):
            raise BadInput(f"expected an anybind.Space, got {self.space!r}")
        if isinstance(self.ids, str | bytes):
            raise BadInput(f"ids: expected a sequence of texts, one a row, got {self.ids!r}")
        vectors = _as_real(self.vectors, "vector").astype(np.float32)
        ids = tuple(map(str, self.ids))
        if vectors.ndim != 2 or vectors.shape != (len(ids), self.space.dim):
            raise BadInput(f"embeddings in {self.space} need shape ({len(ids)}, {self.space.dim}), got {vectors.shape}")
        norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
        invalid = np.flatnonzero(~(np.abs(norms - 1) <= UNIT_TOLERANCE))  # also true for NaN
        if invalid.size:
            first = int(invalid[0])
            raise BadInput(
                f"embedding of {ids[first]!r} has norm {norms[first]:.6g}, not 1; normalise it with anybind.normalize"
            )
        vectors.setflags(write=False)
        object.__setattr__(self, "vectors", vectors)
        object.__setattr__(self, "ids", ids)
        if self.logit_scale is not None:
            object.__setattr__(self, "logit_scale", check_number("logit_scale", self.logit_scale))

    def __setstate__(self, state: Mapping[str, object]) -> None:
        """Restore a copy or pickled embeddings; NumPy gives the vectors back writable."""
        vars(self).update(state)
        self.vectors.setflags(write=False)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: int | slice | Sequence[int] | np.ndarray) -> Embeddings:
        """Select rows: one index, a slice, indices (any number), or a boolean mask, (n,).

        Raises:
            IndexError: an index is out of range or of another kind, or the mask has another length.
        """
        index = np.atleast_1d(np.arange(len(self))[rows])
        if index.ndim != 1:
            raise IndexError(f"expected an index, a slice, indices or a mask, (n,), got shape {index.shape}")
        return replace(self, vectors=self.vectors[index], ids=tuple(self.ids[i] for i in index))

    @staticmethod
    def fuse(groups: Iterable[Embeddings], weights: Mapping[str, float] | None = None) -> Embeddings:
        """Add up the rows of embeddings of several modalities, weighted, and normalise the sums.

        Args:
            groups: one or more of the same number of rows; row i of each belongs to joint embedding i.
            weights: weight of a modality; only ratios matter, and a negative one leads away. [default: 1, the mean]

        Returns:
            one row per row of a group; the modality is `image+text`, ids and encoders are joined by ` + `, and weights
            other than 1 are part of the encoder.

        Raises:
            BadInput: there are none, they are other objects, their numbers of rows differ, or the rows of a sum cancel.
            BadOption: a weight is not a finite number, or is that of another modality.
            SpaceMismatch: the groups are of different spaces.
        """
        groups = _list_groups(groups, "fuse")
        if len({len(group) for group in groups}) != 1:
            raise BadInput(f"expected groups of one number of embeddings, got {[len(group) for group in groups]}")
        weights = check_weights(weights, [group.modality for group in groups])
        first, factors = groups[0], [weights.get(group.modality, 1.0) for group in groups]
        total = np.zeros(first.vectors.shape)
        for group, factor in zip(groups, factors, strict=True):
            first.space.require_same(group.space, f"fuse {first.modality} with {group.modality}")
            total += factor * group.vectors
        ids = tuple(" + ".join(names) for names in zip(*(group.ids for group in groups), strict=True))
        least = 1e-6 * sum(map(abs, factors))  # float32 vectors that cancel leave less
        zero = np.flatnonzero(np.linalg.norm(total, axis=1) <= least)
        if zero.size:
            raise BadInput(f"{ids[zero[0]]}: the embeddings cancel; give other weights")
        encoders = [
            group.encoder if factor == 1 else f"{factor:g}*{group.encoder}"
            for group, factor in zip(groups, factors, strict=True)
        ]
        scales = {group.logit_scale for group in groups}
        return Embeddings(
            normalize(total) if len(total) else total,
            first.space,
            "+".join(dict.fromkeys(group.modality for group in groups)),
            ids,
            " + ".join(encoders),
            first.logit_scale if len(scales) == 1 else None,
        )

    def __matmul__(self, other: Embeddings) -> np.ndarray:
        """Return cosine similarities, (n, m) float32 in [-1, 1]; raise `SpaceMismatch` between two spaces."""
        if not isinstance(other, Embeddings):
            return NotImplemented
        self.space.require_same(other.space, f"compare {self.modality} with {other.modality}")
        return np.clip(self.vectors @ other.vectors.T, -1.0, 1.0)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        """Return the vectors, (n, d), for `np.asarray`; read-only float32 unless copied."""
        if copy is False and dtype is not None and np.dtype(dtype) != self.vectors.dtype:
            raise ValueError(f"embeddings are {self.vectors.dtype}; a conversion to {np.dtype(dtype)} needs a copy")
        return np.array(self.vectors, dtype) if copy else np.asarray(self.vectors, dtype)

    def __dlpack__(self, **options: Any) -> object:
        """Return a copy of the vectors for `torch.as_tensor` and other users of DLPack, which need writable arrays."""
        return self.vectors.copy().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.vectors.__dlpack_device__()

    def _repr_html_(self) -> str:
        """Return a table of the first rows, for notebooks."""
        first = zip(self.ids[:PREVIEW_SIZE], self.vectors[:PREVIEW_SIZE], strict=True)
        rows = [(id, " ".join(f"{x:+.3f}" for x in vector[:PREVIEW_SIZE])) for id, vector in first]
        return pages.table_html(("id", f"first of {self.space.dim} dimensions"), rows, repr(self))

    def __repr__(self) -> str:
        return f"Embeddings({len(self)} of {self.modality} in {self.space})"


def check_weights(weights: Mapping[str, float] | None, modalities: Sequence[str]) -> Mapping[str, float]:
    """Return the weights; raise `BadOption` for one that is not a finite number or of another modality."""
    checked = {}
    for modality, weight in (weights or {}).items():
        if modality not in modalities:
            raise BadOption(f"weights: no query has {modality!r}{suggest_names(modality, modalities)}")
        checked[modality] = check_number(f"the weight of {modality}", weight)
    return checked


def concatenate(groups: Iterable[Embeddings]) -> Embeddings:
    """Concatenate the rows of embeddings, at least one group, of one modality, space and encoder.

    Raises:
        SpaceMismatch: they are of different spaces.
        BadInput: there are none, they are other objects, or their modalities or encoders differ.
    """
    groups = _list_groups(groups, "concatenate")
    first = groups[0]
    for group in groups[1:]:
        first.space.require_same(group.space, "concatenate embeddings")
        if (group.modality, group.encoder) != (first.modality, first.encoder):
            raise BadInput(f"cannot concatenate {first} and {group}: of different modalities or encoders")
    vectors = np.concatenate([group.vectors for group in groups])
    return replace(first, vectors=vectors, ids=tuple(id for group in groups for id in group.ids))


def normalize(vectors: np.ndarray, what: str = "vector") -> np.ndarray:
    """Scale rows to norm 1 and return them as float32.

    Args:
        vectors: (n, d), any real type.
        what: name of a row in the error message.

    Raises:
        BadInput: the vectors are not (n, d) real numbers, or a row is zero or not finite.
    """
    vectors = _as_real(vectors, what)
    if vectors.ndim != 2:
        raise BadInput(f"expected {what}s of shape (n, d), got {vectors.shape}")
    norms = np.linalg.norm(np.asarray(vectors, dtype=np.float64), axis=1, keepdims=True)
    invalid = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
    if invalid.size:
        raise BadInput(f"{what} {int(invalid[0])} is zero or not finite and has no direction")
    return (vectors / norms).astype(np.float32)


def _as_real(vectors: object, what: str) -> np.ndarray:
    """Convert numbers to an array of a real type; raise `BadInput` for texts, complex numbers and ragged lists."""
    try:
        array = np.asarray(vectors)
    except ValueError as error:  # rows of different lengths
        raise BadInput(f"expected {what}s of real numbers, (n, d): {error}") from error
    if array.dtype.kind not in "biuf":
        raise BadInput(f"expected {what}s of real numbers, got {array.dtype}")
    return array


def _list_groups(groups: Embeddings | Iterable[Embeddings], verb: str) -> list[Embeddings]:
    """List embeddings, at least one group; raise `BadInput` for anything else."""
    listed: list[Embeddings] = [groups] if isinstance(groups, Embeddings) else list(groups)
    if not listed:
        raise BadInput(f"expected embeddings to {verb}, got none")
    for each in listed:
        if not isinstance(each, Embeddings):
            raise BadInput(f"expected embeddings to {verb}, got {type(each).__name__}")
    return listed


def save_embeddings(
    path: str | os.PathLike[str], groups: Embeddings | Iterable[Embeddings] | Mapping[str, Embeddings]
) -> None:
    """Write embeddings of several modalities to one safetensors file, atomically.

    The tensor of a group is named after its modality; its ids, space, encoder and logit scale are JSON under the same
    name in the file's metadata.

    Args:
        path: the file, by convention `.safetensors`.
        groups: embeddings of one modality, or of several, also by modality, as `load_embeddings` returns them.

    Raises:
        BadInput: there are none, two groups are of one modality, or the file cannot be written.
    """
    if isinstance(groups, Mapping):
        for modality, group in groups.items():
            if getattr(group, "modality", modality) != modality:
                raise BadInput(f"cannot write {path}: embeddings of {group.modality} under the name {modality!r}")
        groups = groups.values()
    groups = _list_groups(groups, "save")
    vectors = {group.modality: group.vectors for group in groups}
    if len(vectors) < len(groups):
        raise BadInput(f"cannot write {path}: two groups are of one modality; concatenate them first")
    cards = {}
    for group in groups:
        fields = {name: getattr(group, name) for name in ("ids", "modality", "encoder", "logit_scale")}
        cards[group.modality] = fields | {"space": asdict(group.space)}
    write_tensors(path, vectors, cards, key=None)


def load_embeddings(path: str | os.PathLike[str]) -> dict[str, Embeddings]:
    """Read a file that `save_embeddings` wrote: embeddings by modality.

    Raises:
        BadInput: the file is missing, is not a safetensors file, or was not written by anybind.
    """
    cards, vectors = read_tensors(path, key=None)
    try:
        groups = [
            Embeddings(rows, Space(**cards[modality].pop("space")), **cards[modality])
            for modality, rows in vectors.items()
        ]
    except (BadInput, BadOption, AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path}: not embeddings that anybind wrote ({error})") from error
    return {group.modality: group for group in groups}
