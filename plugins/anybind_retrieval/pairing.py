"""Selection of the items of a dataset that are available in a modality."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from anybind import AnybindError
from anybind.plugin import BadInput, Dataset, Item, errors, modalities, readers


def resolve_item(item: Item, modality: str) -> Item | None:
    """Return the item in a modality, or None if it is not available in it.

    That is, in this order: its partner of that modality; its source, if that has the modality or the modality can be
    derived from it; a partner from which the modality can be derived.

    Raises:
        BadInput: the source is a file that is missing or that no reader supports.
    """
    if modality in item.partners:
        return item.partner(modality)
    source_modality = _infer_modality(item.source, modality)
    sources = modalities.list_sources(modality)[1:]
    if source_modality == modality or source_modality in sources:
        return item
    return next((item.partner(source) for source in sources if source in item.partners), None)


def resolve_items(
    items: Iterable[Item], modalities: Sequence[str], on_bad: errors.OnBad | None
) -> list[tuple[Item, tuple[Item | None, ...]]]:
    """Return each item with its versions in the modalities; call `on_bad` for invalid items, which are skipped."""
    resolved = []
    for item in items:
        try:
            resolved.append((item, tuple(resolve_item(item, modality) for modality in modalities)))
        except AnybindError as error:
            if on_bad is None:
                raise
            on_bad(item.id, error)
    return resolved


def check_items(dataset: Dataset) -> None:
    """Raise `BadInput` if ids are not unique, or if a label is not a class of the dataset."""
    ids = [item.id for item in dataset.items]
    if len(set(ids)) < len(ids):
        raise BadInput(f"{dataset.name}: expected unique sample ids, got two samples of one id")
    unknown = sorted({item.label for item in dataset.items} - {"", *dataset.classes})
    if unknown:
        raise BadInput(f"{dataset.name}: expected labels of its classes, got {unknown[0]!r}")


def _infer_modality(source: object, modality: str) -> str:
    if isinstance(source, os.PathLike):
        return readers.find_reader(source, modality).spec.modality
    return modalities.infer_modality(source)
