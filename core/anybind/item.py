"""`Item`: one sample of a dataset; and `MissingData`: what a dataset's folder lacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from anybind.errors import BadInput

_MISSING: ContextVar[list[str] | None] = ContextVar("noted", default=None)


@dataclass(frozen=True)
class Item:
    """One sample of a dataset.

    Attributes:
        id: names it in results and errors, and is the same on every machine.
        source: a path, or the sample itself.
        label: name of its class; empty where the dataset has none.
        options: for the reader of a path, such as the sensor size that a file does not record.
        partners: recordings of the same thing by modality, each a path, a sample, or an `Item` where its reader needs
            options: the image that an event recording was made of, the sound that goes with a video.
        notes: what else the dataset says of it, JSON-like. Tasks know these names: `split` (see the property);
            `abnormal`, of a video: a list of `[first, end]` frames counted from 0, `end` not included, or True where it
            is only known that some frames are abnormal.
    """

    id: str
    source: Path | Any
    label: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    partners: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def split(self) -> str:
        """The split that the sample belongs to; `test` where its dataset does not say."""
        return self.notes.get("split", "test")

    def partner(self, modality: str) -> Item:
        """Its recording in another modality as an item of the same id, label and notes; raises `KeyError` for none."""
        partner = self.partners[modality]
        source, options = (partner.source, partner.options) if isinstance(partner, Item) else (partner, {})
        return replace(self, source=source, options=options, partners={})


class MissingData(BadInput):
    """Something that a copy of a dataset lacks; see `Dataset.missing`.

    Attributes:
        needed: whether the dataset cannot be used without it.
        split: the split that lacks it; empty for any.
    """

    def __init__(self, what: str, *, needed: bool = True, split: str = "") -> None:
        super().__init__(what)
        self.needed, self.split = needed, split


@contextmanager
def collect_missing() -> Iterator[list[str]]:
    """Note what datasets made inside the block lack, in the list, in place of raising the first."""
    missing: list[str] = []
    token = _MISSING.set(missing)
    try:
        yield missing
    finally:
        _MISSING.reset(token)


def get_missing() -> list[str] | None:
    """The list that takes what is missing; None outside of `noting_missing`, where it raises."""
    return _MISSING.get()


def spread_over_labels(items: Sequence[Item], limit: int | None) -> list[Item]:
    """About `limit` items, spread evenly over the labels, the first of each label first; all by default.

    They stay in their order.
    """
    seen: Counter[str] = Counter()
    ranked = []
    for number, item in enumerate(items):
        ranked.append((seen[item.label], number))
        seen[item.label] += 1
    return [items[number] for number in sorted(number for _, number in sorted(ranked)[:limit])]
