"""`HeadInput`: the input samples of a head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from anybind.embeddings import Embeddings, concatenate
from anybind.errors import BadInput


@dataclass(frozen=True, eq=False)
class HeadInput:
    """Embeddings of n samples, with measures and a group id for each sample.

    Attributes:
        embeddings: rows by modality; a row belongs to a sample, or to a region of one (an image tile).
        measures: numbers per sample by name, (n,) each, finite.
        rows: by modality, the sample number of each row, non-decreasing; a sample may have several rows or none.
            [default: one row per sample]
        groups: (n,) int64, the group id of each sample, 0 or more, such as the recording of a window. [default: all 0]

    Raises:
        BadInput: embeddings of another modality than their name, lengths that disagree, sample numbers out of range,
            measures that are not finite numbers, group ids that are negative, or rows or group ids with fractions.
    """

    embeddings: Mapping[str, Embeddings]
    measures: Mapping[str, np.ndarray] = field(default_factory=dict)
    rows: Mapping[str, np.ndarray] = field(default_factory=dict)
    groups: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self) -> None:
        object.__setattr__(self, "measures", {name: _as_numbers(name, each) for name, each in self.measures.items()})
        given = {modality: _as_integers(f"rows of {modality}", each) for modality, each in self.rows.items()}
        object.__setattr__(self, "rows", given)
        object.__setattr__(self, "groups", _as_integers("group ids", self.groups))
        n = self._count_samples()
        groups = self.groups if self.groups.size else np.zeros(n, np.int64)
        if groups.shape != (n,) or (groups < 0).any():
            raise BadInput(f"expected {n} group ids, 0 or more, one for each sample, got shape {groups.shape}")
        for name, values in self.measures.items():
            if values.shape != (n,) or not np.isfinite(values).all():
                raise BadInput(f"the measure {name!r} must be {n} finite numbers, one for each sample")
        rows = {}
        for modality, embeddings in self.embeddings.items():
            if embeddings.modality != modality:
                raise BadInput(f"expected {modality} embeddings under {modality!r}, got {embeddings.modality}")
            numbers = given.get(modality, np.arange(n))
            inside = numbers.shape == (len(embeddings),) and ((numbers >= 0) & (numbers < n)).all()
            if not inside or (np.diff(numbers) < 0).any():
                raise BadInput(f"{len(embeddings)} rows of {modality} do not fit {n} samples")
            rows[modality] = numbers
        object.__setattr__(self, "rows", rows)
        object.__setattr__(self, "groups", groups)

    def _count_samples(self) -> int:
        for values in (*self.measures.values(), self.groups):
            if values.size:
                return values.size
        ends = [self.rows[name].max() + 1 for name in self.embeddings if np.size(self.rows.get(name, ()))]
        ends += [len(each) for name, each in self.embeddings.items() if name not in self.rows]
        return int(max(ends, default=0))

    def __len__(self) -> int:
        return len(self.groups)

    def max_by_sample(self, modality: str, values: np.ndarray) -> np.ndarray:
        """Return the largest value of each sample's rows, (n,) float64; 0 for a sample without rows.

        Args:
            modality: modality of the rows.
            values: (rows,), 0 or more.
        """
        best = np.zeros(len(self))
        np.maximum.at(best, self.rows[modality], values)
        return best

    def select(self, mask: np.ndarray) -> HeadInput:
        """Return some of the samples, with their rows, measures and group ids.

        Args:
            mask: (n,) bool.
        """
        selected = {modality: mask[rows] for modality, rows in self.rows.items()}
        numbers = np.cumsum(mask) - 1
        return HeadInput(
            {modality: embeddings[selected[modality]] for modality, embeddings in self.embeddings.items()},
            {name: values[mask] for name, values in self.measures.items()},
            {modality: numbers[rows[selected[modality]]] for modality, rows in self.rows.items()},
            self.groups[mask],
        )

    @classmethod
    def concatenate(cls, inputs: Sequence[HeadInput]) -> HeadInput:
        """Concatenate the samples of several inputs; each input becomes a group, numbered from 0.

        Raises:
            BadInput: no input, or inputs of different modalities, encoders or measures.
            SpaceMismatch: embeddings in different spaces.
        """
        if not inputs:
            raise BadInput("expected one input or more to concatenate, got none")
        first = inputs[0]
        for each in inputs:
            if (each.embeddings.keys(), each.measures.keys()) != (first.embeddings.keys(), first.measures.keys()):
                raise BadInput(
                    f"expected inputs alike, got {sorted({*first.embeddings, *first.measures})} and"
                    f" {sorted({*each.embeddings, *each.measures})}"
                )
        lengths = [len(each) for each in inputs]
        starts = np.cumsum([0, *lengths[:-1]])
        return cls(
            {modality: concatenate([each.embeddings[modality] for each in inputs]) for modality in first.embeddings},
            {name: np.concatenate([each.measures[name] for each in inputs]) for name in first.measures},
            {
                modality: np.concatenate([each.rows[modality] + at for each, at in zip(inputs, starts, strict=True)])
                for modality in first.embeddings
            },
            np.repeat(np.arange(len(inputs)), lengths),
        )


def _as_numbers(name: str, values: object) -> np.ndarray:
    """Convert a measure to an array of numbers; raise `BadInput` for texts and ragged lists."""
    try:
        array = np.asarray(values)
    except ValueError as error:  # lists of different lengths
        raise BadInput(f"the measure {name!r} must be numbers, one for each sample: {error}") from error
    if array.size and array.dtype.kind not in "biuf":
        raise BadInput(f"the measure {name!r} must be numbers, one for each sample, got {array.dtype}")
    return array


def _as_integers(what: str, values: object) -> np.ndarray:
    """Convert whole numbers of any type to int64; raise `BadInput` for fractions and texts."""
    try:
        array = np.asarray(values)
        with np.errstate(invalid="ignore"):  # the comparison refuses NaN
            integers = np.asarray(array if array.dtype.kind in "iuf" else np.empty(0), dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise BadInput(f"expected {what} of whole numbers: {error}") from error
    if not np.array_equal(integers, array):
        raise BadInput(f"expected {what} of whole numbers, got {array.ravel()[:3].tolist()}")
    return integers
