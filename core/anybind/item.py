"""`Item`: one sample of a dataset; `MissingData`: data missing in a dataset's folder."""

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
        id: identifier in results and errors, the same on every machine.
        source: a path, or the sample itself.
        label: class name; empty for a dataset without labels.
        options: reader options, such as the sensor size that a file does not record.
        partners: recordings of the same thing by modality, each a path, a sample, or an `Item` with reader options: the
            image of an event recording, the audio clip of a video.
        notes: further annotations, JSON-like. Tasks use `split` (see the property) and, of a video, `abnormal`: a list
            of `[first, end]` frames counted from 0, `end` excluded, or True if only the label of the video is known.
    """

    id: str
    source: Path | Any
    label: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    partners: Mapping[str, object] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def split(self) -> str:
        """The split of the sample; `test` by default."""
        return self.notes.get("split", "test")

    def partner(self, modality: str) -> Item:
        """Return the recording in another modality as an item of the same id, label and notes; raise `KeyError`."""
        partner = self.partners[modality]
        source, options = (partner.source, partner.options) if isinstance(partner, Item) else (partner, {})
        return replace(self, source=source, options=options, partners={})


class MissingData(BadInput):
    """Data missing in a copy of a dataset; see `Dataset.missing`.

    Attributes:
        needed: whether the dataset cannot be used without it.
        split: the split that needs it; empty for any.
    """

    def __init__(self, what: str, *, needed: bool = True, split: str = "") -> None:
        super().__init__(what)
        self.needed, self.split = needed, split


@contextmanager
def collect_missing() -> Iterator[list[str]]:
    """Collect descriptions of missing data of datasets opened inside the block, instead of raising the first."""
    missing: list[str] = []
    token = _MISSING.set(missing)
    try:
        yield missing
    finally:
        _MISSING.reset(token)


def get_missing() -> list[str] | None:
    """Return the list that collects missing data; None outside of `collect_missing`, where missing data raises."""
    return _MISSING.get()


def spread_over_labels(items: Sequence[Item], limit: int | None) -> list[Item]:
    """Select about `limit` items, spread evenly over the labels, the first ones of each label; all by default.

    The order stays the same.
    """
    seen: Counter[str] = Counter()
    ranked = []
    for number, item in enumerate(items):
        ranked.append((seen[item.label], number))
        seen[item.label] += 1
    return [items[number] for number in sorted(number for _, number in sorted(ranked)[:limit])]
