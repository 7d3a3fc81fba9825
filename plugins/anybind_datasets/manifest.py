"""Data sets whose table says which files and words belong together."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from anybind import AnybindWarning
from anybind.plugin import BadInput, BadOption, Dataset, Item, ModalitySpec, list_parts, readers
from anybind_datasets.lists import read_table

TABLE = "manifest.csv"


class ManifestDataset(Dataset):
    """Recordings of the same things in several modalities: one row of a CSV table a thing.

    Each column that is named after a modality holds a file's path from the table's folder, or words where the modality
    is `text`; a column `label` holds the class. Other columns are not looked at, and empty fields are left out. The
    first column of a modality is the item's source, the others are its partners. One of the table's modalities must be
    asked for; nothing is left out for it, since a task that goes from one modality to another needs the partners. A
    `limit` keeps the first rows.
    """

    licence = "as published with the data"
    options = ("table", "columns")
    table: str = TABLE
    """The table's path from the folder."""
    columns: Mapping[str, str] | None = None
    """The table's column by modality (or `label`), where it is not named after it."""

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        path = self.root / self.table
        rows = read_table(path, ())
        columns = columns_of(path, rows[0], self.columns or {})
        kinds = [kind for kind in columns if kind != "label"]
        if not kinds:
            raise BadInput(f"{path}: none of its columns is named after a modality; say which with columns")
        if self.modalities is not None and not set(self.modalities) & set(kinds):
            raise BadInput(f"{path} lists samples of {', '.join(kinds)}, none of which was asked for")
        yield from items_of(path, rows[: self.limit], columns)


class TuxpaintTriplets(Dataset):
    """Pictures of animals, instruments and things, each with its English description and its sound.

    Drawings in SVG are left out, with a warning that counts them, unless an installed reader reads them. As in
    `manifest`, no partner is left out for `modalities`.
    """

    name = "tuxpaint-triplets"
    licence = "GPL-2.0-or-later, see the copyright file of the stamps"
    size = "as many stamps as the table names"
    published = (
        "https://tuxpaint.org/stamps/ (tuxpaint-stamps; list the stamps that have a sound in manifest.csv, "
        "with the columns image, name_en and sound)"
    )
    sample_modalities = ("image", "sound", "text")
    columns: ClassVar = {"image": "image", "text": "name_en", "sound": "sound"}

    def list_required_paths(self, splits: Sequence[str]) -> Sequence[str]:
        return [TABLE]

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        path, suffixes = self.root / TABLE, readers.list_suffixes(["image"])
        items = items_of(path, read_table(path, self.columns.values()), self.columns)
        readable = [item for item in items if item.source.suffix.lower() in suffixes]
        if lost := len(items) - len(readable):
            told = f"{self.name}: {lost} of {len(items)} pictures are left out, since no reader knows their format"
            warnings.warn(told, AnybindWarning, stacklevel=2)
        yield from readable


def columns_of(path: Path, row: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """A table's column by modality, and by `label` where there is one, in the table's order."""
    for column in given.values():
        if column not in row:
            raise BadOption(f"{path} has no column {column!r}; it has {', '.join(row)}")
    known = {"label", *(part.name for part in list_parts(ModalitySpec))}
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
        texts = {kind: row[name] for kind, name in columns.items() if kind != "label" and row[name]}
        if not texts:
            raise BadInput(f"{path}, line {number}: it names no sample")
        name = next(iter(texts.values()))
        held = {kind: text if kind == "text" else path.parent / text for kind, text in texts.items()}
        for each in held.values():
            if isinstance(each, Path) and not each.is_file():
                raise BadInput(f"{path}, line {number}: there is no file {each}")
        seen[name] += 1
        id = name if seen[name] == 1 else f"{name}#{seen[name]}"
        source, *others = held
        partners = {kind: held[kind] for kind in others}
        items.append(Item(id, held[source], row.get(columns.get("label", ""), ""), partners=partners))
    return items
