"""Pairs of vectors in two spaces: the same pictures or words embedded twice, or files of vectors matched by id."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anybind import Embeddings
from anybind.plugin import BadInput

LEAST = 10
"""Different things that there must be: eight of them fit an adapter, two say how well."""


@dataclass(frozen=True)
class Pairs:
    """Row i of `source` and row i of `target` belong together.

    Attributes:
        source, target: n rows each.
        groups: (n,) integers: pairs of one group hold the same thing, such as the same words.
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
        """Hash of both sides' ids and vectors, 12 hexadecimal digits."""
        digest = hashlib.sha256()
        for side in (self.source, self.target):
            digest.update(repr(side.ids).encode(errors="surrogatepass"))
            digest.update(np.ascontiguousarray(side.vectors).data)
        return digest.hexdigest()[:12]

    def split(self, share: float, seed: int) -> tuple[Pairs, Pairs]:
        """Pairs to fit on, and those of `share` of the groups, drawn by the seed, that are held out.

        Raises:
            BadInput: there are fewer than ten groups.
        """
        known, of = np.unique(self.groups, return_inverse=True)
        if len(known) < LEAST:
            raise BadInput(f"too few pairs: {len(self)} of {len(known)} different things; give at least {LEAST}")
        count = min(max(2, math.ceil(share * len(known))), len(known) - 2)
        held = np.zeros(len(known), dtype=bool)
        held[np.random.default_rng(seed).permutation(len(known))[:count]] = True
        return self[np.flatnonzero(~held[of])], self[np.flatnonzero(held[of])]


def pair_by_id(source: Embeddings, target: Embeddings) -> Pairs:
    """Pairs of the rows whose ids agree, in the order of `source`; what only one side has is left out.

    Raises:
        BadInput: an id stands twice on a side, or no id is on both.
    """
    rows = {}
    for side, name in ((source, "first"), (target, "second")):
        rows[name] = {id: row for row, id in enumerate(side.ids)}
        if len(rows[name]) < len(side):
            double = next(id for row, id in enumerate(side.ids) if rows[name][id] != row)
            raise BadInput(f"the {name} side holds {double!r} twice; pairs are made by id")
    both = [id for id in source.ids if id in rows["second"]]
    if not both:
        examples = " and ".join(repr(side.ids[0]) if len(side) else "nothing" for side in (source, target))
        raise BadInput(f"no id is on both sides, so there are no pairs (they begin with {examples})")
    first, second = (np.array([rows[name][id] for id in both]) for name in ("first", "second"))
    return Pairs(source[first], target[second], np.arange(len(both)))


def pair_with_words(samples: Embeddings, words: Embeddings, modality: Sequence[str], flipped: bool) -> Pairs:
    """Pairs of samples with the words that go with them.

    Args:
        samples: n rows.
        words: one row a text; its ids are the texts.
        of: text of each sample.
        flipped: words are the source, and samples the target.
    """
    row = {text: number for number, text in enumerate(words.ids)}
    groups = np.array([row[text] for text in modality])
    told = words[groups]
    return Pairs(told, samples, groups) if flipped else Pairs(samples, told, groups)
