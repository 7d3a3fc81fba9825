"""Pairs of embeddings in two spaces: the same samples embedded twice, or files of embeddings matched by id."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anybind import Embeddings
from anybind.plugin import BadInput

MIN_GROUPS = 10
"""Smallest number of groups: eight to fit an adapter, two to validate it."""


def check_pairs(source: Embeddings, target: Embeddings, groups: np.ndarray) -> None:
    """Raise `BadInput` unless there are two pairs or more: as many sources as targets and groups."""
    if not len(source) == len(target) == len(groups) or len(source) < 2:
        raise BadInput(
            f"expected two pairs or more, got {len(source)} sources, {len(target)} targets and {len(groups)} groups"
        )


@dataclass(frozen=True)
class Pairs:
    """Row i of `source` and row i of `target` are a pair.

    Attributes:
        source, target: n rows each.
        groups: (n,) integers: pairs of one group are of the same content, such as the same text.
    """

    source: Embeddings
    target: Embeddings
    groups: np.ndarray

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, rows: np.ndarray) -> Pairs:
        return Pairs(self.source[rows], self.target[rows], self.groups[rows])

    @property
    def hash(self) -> str:
        """Hash of both sides' ids and embeddings, 12 hexadecimal digits."""
        digest = hashlib.sha256()
        for side in (self.source, self.target):
            digest.update(repr(side.ids).encode(errors="surrogatepass"))
            digest.update(np.ascontiguousarray(side.vectors).data)
        return digest.hexdigest()[:12]

    def split(self, fraction: float, seed: int) -> tuple[Pairs, Pairs]:
        """Split into training pairs and validation pairs, a fraction of the groups, drawn by the seed.

        Raises:
            BadInput: there are fewer than ten groups.
        """
        groups, group_of = np.unique(self.groups, return_inverse=True)
        n = len(groups)
        if n < MIN_GROUPS:
            raise BadInput(f"expected pairs of at least {MIN_GROUPS} groups, got {len(self)} pairs of {n} groups")
        count = min(max(2, math.ceil(fraction * n)), n - 2)
        is_val = np.zeros(n, dtype=bool)
        is_val[np.random.default_rng(seed).permutation(n)[:count]] = True
        return self[np.flatnonzero(~is_val[group_of])], self[np.flatnonzero(is_val[group_of])]


def pair_by_id(source: Embeddings, target: Embeddings) -> Pairs:
    """Pair rows with equal ids, in the order of `source`; ids of one side alone are left out.

    Raises:
        BadInput: an id is repeated on a side, or no id is on both.
    """
    rows = {}
    for side, name in ((source, "source"), (target, "target")):
        rows[name] = {id: row for row, id in enumerate(side.ids)}
        if len(rows[name]) < len(side):
            repeated = next(id for row, id in enumerate(side.ids) if rows[name][id] != row)
            raise BadInput(f"{name}: expected unique ids, got {repeated!r} twice")
    common = [id for id in source.ids if id in rows["target"]]
    if not common:
        examples = " and ".join(repr(side.ids[0]) if len(side) else "no ids" for side in (source, target))
        raise BadInput(f"source and target have no ids in common (they begin with {examples})")
    source_rows, target_rows = (np.array([rows[name][id] for id in common]) for name in ("source", "target"))
    return Pairs(source[source_rows], target[target_rows], np.arange(len(common)))


def pair_with_texts(samples: Embeddings, texts: Embeddings, sample_texts: Sequence[str], text_is_source: bool) -> Pairs:
    """Pair samples with their texts; pairs of one text are a group.

    Args:
        samples: n rows.
        texts: one row a text; its ids are the texts.
        sample_texts: text of each sample.
        text_is_source: texts are the source and samples the target, not the reverse.
    """
    row = {text: number for number, text in enumerate(texts.ids)}
    groups = np.array([row[text] for text in sample_texts])
    paired = texts[groups]
    return Pairs(paired, samples, groups) if text_is_source else Pairs(samples, paired, groups)
