"""ESC-50 and ESC-10: five-second clips of environmental sounds in five folds."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from anybind.plugin import BadInput, BadOption, Dataset, Item
from anybind_datasets.lists import read_table

FOLDS = 5
SUFFIXES = (".wav", ".ogg", ".flac")
ESC_10_CLASSES = {
    "001 - Dog bark": "dog",
    "002 - Rain": "rain",
    "003 - Sea waves": "sea waves",
    "004 - Baby cry": "crying baby",
    "005 - Clock tick": "clock tick",
    "006 - Person sneeze": "sneezing",
    "007 - Helicopter": "helicopter",
    "008 - Chainsaw": "chainsaw",
    "009 - Rooster": "rooster",
    "010 - Fire crackling": "crackling fire",
}
"""ESC-50's class name by ESC-10 folder."""


class Esc50(Dataset):
    """ESC-50 (2,000 clips, 50 classes), or ESC-10 (400 clips, 10 of its classes) in its own earlier layout.

    ESC-50 has `meta/esc50.csv` with fold and class of each clip in `audio`; ESC-10 has one folder per class, such as
    `001 - Dog bark`, and a clip's name begins with its fold. Class names are ESC-50's in both, with spaces for
    underscores. All clips of one recording are in one fold.

    Source: Piczak, 2015, "ESC: Dataset for Environmental Sound Classification".
    """

    name = "ESC-50"
    licence = "CC-BY-NC-3.0 (ESC-10: CC-BY-3.0)"
    size = "2,000 clips of 5 seconds (ESC-10: 400)"
    splits: ClassVar = {"all": 2_000}
    published = "https://github.com/karolpiczak/ESC-50 (ESC-10 also at https://github.com/karolpiczak/ESC-10)"
    sample_modalities = ("sound",)
    options = ("folds", "only_esc10")
    folds: str | int | Sequence[int] = "1,2,3,4,5"
    """Folds to use, 1 to 5: `4`, `"1,2,3"`."""
    only_esc10: bool = False
    """Use only ESC-50's clips of ESC-10."""

    @classmethod
    def published_splits(cls, folder: str | os.PathLike[str]) -> Mapping[str, int | None]:
        is_esc_10 = (Path(folder) / next(iter(ESC_10_CLASSES))).is_dir()
        return {"all": 400} if is_esc_10 else cls.splits

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        self._folds = parse_folds(self.folds)
        if (self.root / "meta" / "esc50.csv").is_file():
            yield from self._scan_table(self.root / "meta" / "esc50.csv")
        elif all((self.root / name).is_dir() for name in ESC_10_CLASSES):
            self.name = "ESC-10"
            yield from self._scan_folders()
        else:
            raise self.missing("neither meta/esc50.csv nor the ten folders of ESC-10")

    def select(self, items: Sequence[Item], limit: int | None) -> list[Item]:
        return super().select([item for item in items if item.notes["fold"] in self._folds], limit)

    def _scan_table(self, table: Path) -> Iterator[Item | BadInput]:
        for number, row in enumerate(read_table(table, ("filename", "fold", "category", "esc10")), 2):
            if self.only_esc10 and row["esc10"] != "True":
                continue
            if row["fold"] not in map(str, range(1, FOLDS + 1)):
                raise self.missing(f"{table}, line {number}: expected a fold from 1 to {FOLDS}, got {row['fold']!r}")
            path = self.root / "audio" / row["filename"]
            if path.is_file():
                yield self._make_item(path, row["category"].replace("_", " "), int(row["fold"]))
            else:
                yield self.missing(f"missing file {path}")

    def _scan_folders(self) -> Iterator[Item | BadInput]:
        for folder, label in ESC_10_CLASSES.items():
            clips = sorted(path for path in (self.root / folder).iterdir() if path.suffix in SUFFIXES)
            if not clips:
                yield self.missing(f"{self.root / folder} has no clips")
            for path in clips:
                if not re.match(r"[1-5]-", path.name):
                    raise self.missing(f"{path}: expected a file name beginning with its fold, 1 to {FOLDS}")
                yield self._make_item(path, label, int(path.name[0]))

    def _make_item(self, path: Path, label: str, fold: int) -> Item:
        return Item(self.make_id(path), path, label, notes={"fold": fold})


def parse_folds(folds: str | int | Sequence[int]) -> set[int]:
    """Parse folds from a number, several numbers, or a comma-separated text; raise `BadOption` for others."""
    texts = folds.split(",") if isinstance(folds, str) else [folds] if isinstance(folds, int) else list(folds)
    folds_by_text = {str(fold): fold for fold in range(1, FOLDS + 1)}
    parsed = [folds_by_text.get(str(fold).strip()) for fold in texts]
    if not parsed or None in parsed:
        raise BadOption(f"folds: expected numbers from 1 to {FOLDS}, such as 1,2,3, got {folds!r}")
    return {fold for fold in parsed if fold is not None}
