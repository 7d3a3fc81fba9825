"""Which items of a data set can be had as a modality, and from what."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from anybind import AnybindError
from anybind.plugin import BadInput, Dataset, Item, errors, modalities, readers


def side(item: Item, modality: str) -> Item | None:
    """The item as a modality: its partner of that modality, else its source if that is or becomes one, else a partner
    that becomes one; None where there is neither.

    Raises:
        BadInput: the source is a file that is missing or that no reader knows.
    """
    if modality in item.partners:
        return item.partner(modality)
    held = _held(item.source, modality)
    sources = modalities.list_sources(modality)[1:]
    if held == modality or held in sources:
        return item
    return next((item.partner(source) for source in sources if source in item.partners), None)


def sides(
    items: Iterable[Item], modalities: Sequence[str], on_bad: errors.OnBad | None
) -> list[tuple[Item, tuple[Item | None, ...]]]:
    """Every item with its sides; those that cannot be read are left out where `on_bad` takes note of them."""
    found = []
    for item in items:
        try:
            found.append((item, tuple(side(item, of) for of in modalities)))
        except AnybindError as error:
            if on_bad is None:
                raise
            on_bad(item.id, error)
    return found


def check_items(dataset: Dataset) -> None:
    """Raise `BadInput` where ids are not unique, or a label is none of the classes."""
    ids = [item.id for item in dataset.items]
    if len(set(ids)) < len(ids):
        raise BadInput(f"{dataset.name} has two samples of one id, which no result could tell apart")
    stray = sorted({item.label for item in dataset.items} - {"", *dataset.classes})
    if stray:
        raise BadInput(f"{dataset.name} has samples labelled {stray[0]!r}, which is none of its classes")


def _held(source: object, wanted: str) -> str:
    if isinstance(source, os.PathLike):
        return readers.find_reader(source, wanted).spec.modality
    return modalities.infer_modality(source)
