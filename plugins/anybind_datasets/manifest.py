"""Datasets whose CSV table pairs files and texts."""

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
    """Paired samples of several modalities: one row of a CSV table a sample.

    A column named after a modality holds file paths relative to the table's folder, or texts for the modality `text`;
    a column `label` holds the class. Other columns are ignored, and empty fields are left out. The first modality
    column is the item's source, the others are its partners. At least one of the table's modalities must be selected;
    partners of other modalities are kept, as cross-modal tasks need them. `limit` keeps the first rows.
    """

    licence = "as published with the data"
    options = ("table", "columns")
    table: str = TABLE
    """Path of the table, relative to the folder."""
    columns: Mapping[str, str] | None = None
    """Column by modality (or `label`), for columns with other names."""

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        path = self.root / self.table
        rows = read_table(path, ())
        columns = find_columns(path, rows[0], self.columns or {})
        modalities = [modality for modality in columns if modality != "label"]
        if not modalities:
            raise BadInput(f"{path}: no column is named after a modality; set the option columns")
        if self.modalities is not None and not set(self.modalities) & set(modalities):
            expected = ", ".join(self.modalities)
            raise BadInput(f"{path}: expected samples of {expected}, got columns of {', '.join(modalities)}")
        yield from make_items(path, rows[: self.limit], columns)


class TuxpaintTriplets(Dataset):
    """Tux Paint stamps: images of animals, instruments and things with English captions and audio.

    SVG drawings are left out with a warning, unless an installed reader supports them. As in `manifest`, partners of
    all modalities are kept.
    """

    name = "tuxpaint-triplets"
    licence = "GPL-2.0-or-later, see the copyright file of the stamps"
    size = "the stamps listed in the table"
    published = (
        "https://tuxpaint.org/stamps/ (tuxpaint-stamps; list the stamps with audio in manifest.csv, "
        "with the columns image, name_en and sound)"
    )
    sample_modalities = ("image", "sound", "text")
    columns: ClassVar = {"image": "image", "text": "name_en", "sound": "sound"}

    def list_required_paths(self, splits: Sequence[str]) -> Sequence[str]:
        return [TABLE]

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        path, suffixes = self.root / TABLE, readers.list_suffixes(["image"])
        items = make_items(path, read_table(path, self.columns.values()), self.columns)
        readable = [item for item in items if item.source.suffix.lower() in suffixes]
        if n_skipped := len(items) - len(readable):
            message = f"{self.name}: skipped {n_skipped} of {len(items)} images without a reader for their format"
            warnings.warn(message, AnybindWarning, stacklevel=2)
        yield from readable


def find_columns(path: Path, row: Mapping[str, str], column_by_modality: Mapping[str, str]) -> dict[str, str]:
    """Return a table's column by modality, and by `label` if present, in the table's order."""
    for column in column_by_modality.values():
        if column not in row:
            raise BadOption(f"{path}: no column {column!r} (columns: {', '.join(row)})")
    known_names = {"label", *(part.name for part in list_parts(ModalitySpec))}
    for modality in column_by_modality:
        if modality not in known_names:
            raise BadOption(f"columns: expected a modality or label, got {modality!r}")
    modality_by_column = {
        column: column for column in row if column in known_names and column not in column_by_modality
    }
    modality_by_column |= {column: modality for modality, column in column_by_modality.items()}
    return {modality_by_column[column]: column for column in row if column in modality_by_column}


def make_items(path: Path, rows: Sequence[Mapping[str, str]], columns: Mapping[str, str]) -> list[Item]:
    """Make the items of a table's rows, with ids `FILE`, `FILE#2`, ... of their sources."""
    items, seen = [], Counter[str]()
    for number, row in enumerate(rows, 2):
        texts = {modality: row[name] for modality, name in columns.items() if modality != "label" and row[name]}
        if not texts:
            raise BadInput(f"{path}, line {number}: no sample")
        name = next(iter(texts.values()))
        samples = {modality: text if modality == "text" else path.parent / text for modality, text in texts.items()}
        for sample in samples.values():
            if isinstance(sample, Path) and not sample.is_file():
                raise BadInput(f"{path}, line {number}: missing file {sample}")
        seen[name] += 1
        id = name if seen[name] == 1 else f"{name}#{seen[name]}"
        source, *others = samples
        partners = {modality: samples[modality] for modality in others}
        items.append(Item(id, samples[source], row.get(columns.get("label", ""), ""), partners=partners))
    return items
