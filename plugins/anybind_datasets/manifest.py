"""Data sets whose table says which files and words belong together."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from anybind import AnybindWarning
from anybind.plugin import BadInput, BadOption, Dataset, Item, ModalitySpec, parts, readers
from anybind_datasets.local_dataset import LocalDataset
from anybind_datasets.tables import read_table


class ManifestDataset(Dataset):
    """Recordings of the same things in several modalities: one row of a CSV table a thing.

    Each column that is named after a modality holds a file's path from the table's folder, or words where the modality
    is `text`; a column `label` holds the class. Other columns are not looked at, and empty fields are left out. The
    first column of a modality is the item's source, the others are its partners.
    """

    licence = "as published with the data"

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        modalities: Iterable[str] | None = None,
        table: str = "manifest.csv",
        columns: Mapping[str, str] | None = None,
        limit: int | None = None,
    ) -> None:
        """Read the table; of the files, only that they are there is looked at.

        Args:
            folder: holds the table.
            modalities: one of the table's must be among them. Nothing is left out for it: a task that goes from one
                modality to another needs the partners.
            table: the table's path from the folder.
            columns: the table's column by modality (or `label`), where it is not named after it.
            limit: keep the first this many rows.

        Raises:
            BadInput: the table is missing or broken, or a file that it names is missing.
            BadOption: a column that the table lacks, or a limit below 1.
        """
        self.name = Path(folder).resolve().name
        if limit is not None and limit < 1:
            raise BadOption(f"the limit must be at least 1, got {limit}")
        path = Path(folder) / table
        rows = read_table(path, ())
        named = columns_of(path, rows[0], columns or {})
        kinds = [kind for kind in named if kind != "label"]
        if not kinds:
            raise BadInput(f"{path}: none of its columns is named after a modality; say which with columns")
        if modalities is not None and not set(modalities) & set(kinds):
            raise BadInput(f"{path} lists samples of {', '.join(kinds)}, none of which was asked for")
        self._items = items_of(path, rows[:limit], named)
        self._classes = sorted({item.label for item in self._items} - {""})

    @property
    def items(self) -> Sequence[Item]:
        return self._items

    @property
    def classes(self) -> Sequence[str]:
        return self._classes


class TuxpaintTriplets(LocalDataset):
    """Pictures of animals, instruments and things, each with its English description and its sound.

    Drawings in SVG are left out, with a warning that counts them, unless an installed reader reads them.
    """

    name = "tuxpaint-triplets"
    licence = "GPL-2.0-or-later, see the copyright file of the stamps"
    size = "as many stamps as the table names"
    published = (
        "https://tuxpaint.org/stamps/ (tuxpaint-stamps; list the stamps that have a sound in manifest.csv, "
        "with the columns image, name_en and sound)"
    )
    kinds = ("image", "sound", "text")

    def __init__(
        self, folder: str | os.PathLike[str], *, modalities: Iterable[str] | None = None, limit: int | None = None
    ) -> None:
        """List the triplets; see `ManifestDataset` about `modalities`.

        Raises:
            BadInput: the folder or its table is missing, or a file that the table names.
            BadOption: the limit is below 1.
        """
        super().__init__(folder, modalities)
        table = self.root / "manifest.csv"
        if not table.is_file():
            raise self.missing("it lacks manifest.csv")
        columns = {"image": "image", "text": "name_en", "sound": "sound"}
        items = items_of(table, read_table(table, columns.values()), columns)
        read = readers.reader_suffixes(["image"])
        kept = [item for item in items if Path(item.source).suffix.lower() in read]
        if len(kept) < len(items):
            lost = len(items) - len(kept)
            warnings.warn(
                f"{self.name}: {lost} of {len(items)} pictures are left out, since no reader knows their format",
                AnybindWarning,
                stacklevel=2,
            )
        self.hold(kept, limit)


def columns_of(path: Path, row: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """A table's column by modality, and by `label` where there is one, in the table's order."""
    for column in given.values():
        if column not in row:
            raise BadOption(f"{path} has no column {column!r}; it has {', '.join(row)}")
    known = {"label", *(part.name for part in parts(ModalitySpec))}
    for kind in given:
        if kind not in known:
            raise BadOption(f"columns are given by modality or label, got {kind!r}")
    kind_of = {column: column for column in row if column in known and column not in given}
    kind_of |= {column: kind for kind, column in given.items()}
    return {kind_of[column]: column for column in row if column in kind_of}


def items_of(path: Path, rows: Sequence[Mapping[str, str]], columns: Mapping[str, str]) -> list[Item]:
    """The items of a table's rows, by the ids `FILE`, `FILE#2`, ... of their sources."""
    items, seen = [], Counter[str]()
    for number, row in enumerate(rows, 2):
        held: dict[str, Any] = {kind: row[name] for kind, name in columns.items() if kind != "label" and row[name]}
        if not held:
            raise BadInput(f"{path}, line {number}: it names no sample")
        name = next(iter(held.values()))
        for kind in held.keys() - {"text"}:
            held[kind] = path.parent / held[kind]
            if not held[kind].is_file():
                raise BadInput(f"{path}, line {number}: there is no file {held[kind]}")
        seen[name] += 1
        id = name if seen[name] == 1 else f"{name}#{seen[name]}"
        source, *others = held
        partners = {kind: held[kind] for kind in others}
        items.append(Item(id, held[source], row.get(columns.get("label", ""), ""), partners=partners))
    return items
