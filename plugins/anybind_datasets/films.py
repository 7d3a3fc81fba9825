"""What the data sets of films share: parts, films that are missing, spans of frames."""

from __future__ import annotations

import os
import warnings
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from anybind import AnybindWarning
from anybind.plugin import BadInput, BadOption, Item
from anybind_datasets.local_dataset import LocalDataset

NORMAL = "normal"
"""Label of a video without anomalies."""

FILMS = (".avi", ".mkv", ".mov", ".mp4", ".webm")
PARTS = ("all", "train", "test")
Spans = list[list[int]]
"""Abnormal parts of a film: first frame and the frame behind the last, counted from 0."""


class FilmDataset(LocalDataset):
    """Films of which it is known when something abnormal happens. Items' `notes` say it: see `vad.labels`.

    A class names the films by `find`, and says in `published` where the data is published, if it is.
    """

    licence = "as published with the data"
    kinds = ("video",)

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        modalities: Iterable[str] | None = None,
        split: str = "all",
        limit: int | None = None,
    ) -> None:
        """List the films; their annotations are read, and no film is opened.

        Args:
            folder: as it is unpacked.
            modalities: taken for the sake of other data sets; these are films, whatever they are turned into.
            split: keep one part, `train` or `test`, or `all`.
            limit: keep this many of each part, in the order of their ids.

        Raises:
            BadInput: the folder or an annotation file is missing or makes no sense, or no film is here.
            BadOption: no such part, or a limit below 1.
        """
        root = Path(folder)
        if not root.is_dir():
            raise BadInput(f"{root} is no folder; check the path")
        super().__init__(root, None)
        if split not in PARTS:
            raise BadOption(f"split must be one of {', '.join(PARTS)}, got {split!r}")
        if limit is not None and limit < 1:
            raise BadOption(f"the limit must be at least 1, got {limit}")
        self._absent: list[tuple[str, str]] = []
        found = sorted(self.find(root), key=lambda item: (item.notes["split"], item.id))
        absent = [name for part, name in self._absent if split in ("all", part)]
        if self.checking:
            for name in absent:
                self.lack(f"there is no film {name}")
        elif self._absent:
            count, first = len(self._absent), self._absent[0][1]
            told = f"{root}: films that the annotations name are missing: {count}, {first} first; the others go on"
            warnings.warn(told, AnybindWarning, stacklevel=2)
        self._items = [
            item
            for part in ("test", "train")
            if split in ("all", part)
            for item in [item for item in found if item.notes["split"] == part][:limit]
        ]
        if not self._items and not (self.checking and absent):
            raise self.lacking(root, "films" if split == "all" else f"films of the part {split}")

    @abstractmethod
    def find(self, root: Path) -> Iterator[Item]:
        """The films that are there, with their notes; `absent` is told of the others."""

    def absent(self, name: str, part: str = "test") -> None:
        """Take note of a film that the annotations name and that is not there."""
        self._absent.append((part, name))

    def lacking(self, root: Path, what: str) -> BadInput:
        """The error that says what is missing and where it is published."""
        where = f"; the data is published at {self.published}" if self.published and not self.checking else ""
        return BadInput(f"{root} has no {what}{where}")

    @property
    def classes(self) -> Sequence[str]:
        return sorted({item.label for item in self._items})

    @property
    def all_classes(self) -> Sequence[str]:
        """The classes: of a part, those of its films."""
        return self.classes


def film_item(id: str, source: Path, split: str, abnormal: Spans | bool, label: str = "") -> Item:
    """An item of a film. The label is `normal` or, without a better one, `abnormal`."""
    label = (label or "abnormal") if abnormal else NORMAL
    return Item(id=id, source=source, label=label, notes={"split": split, "abnormal": abnormal or []})


def films_by_name(root: Path) -> dict[str, Path]:
    """The film files in and below a folder, by their names without the ending; of doubles the first by path."""
    found: dict[str, Path] = {}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in FILMS and not path.name.startswith("."):
            found.setdefault(path.stem, path)
    return found


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, by name; none where it is missing."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def read_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and fields, parted by blanks, of each line of a text that is not blank; raises `BadInput`."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read {path}: {error}") from error
    return ((number, line.split()) for number, line in enumerate(lines, start=1) if line.strip())


def spans_from_one(pairs: Iterable[Sequence[int]], where: str) -> Spans:
    """Spans of frames that are counted from 1, the last included, as spans from 0; raises `BadInput`."""
    spans = []
    for pair in pairs:
        whole = len(pair) == 2 and all(isinstance(number, int) for number in pair)
        if not whole or not 0 <= pair[0] <= pair[1]:
            raise BadInput(f"{where}: an abnormal part is a first and a last frame, got {list(pair)}")
        spans.append([max(pair[0] - 1, 0), pair[1]])
    return spans


def fields_as_spans(fields: Sequence[str], where: str) -> Spans:
    """As `spans_from_one`, of numbers in a line of text; pairs of -1 stand for none."""
    try:
        numbers = [int(float(field)) for field in fields]
    except (ValueError, OverflowError):
        raise BadInput(f"{where}: expected numbers of frames, got {' '.join(fields)!r}") from None
    if len(numbers) % 2:
        raise BadInput(f"{where}: expected first and last frames in pairs, got {' '.join(fields)!r}")
    pairs = [numbers[place : place + 2] for place in range(0, len(numbers), 2)]
    return spans_from_one([pair for pair in pairs if pair != [-1, -1]], where)


def spans_of_mask(mask: np.ndarray) -> Spans:
    """The parts of a film whose frames have a mark other than 0, of (n,) marks."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(mask) != 0, [0]])))
    return [[int(first), int(behind)] for first, behind in edges.reshape(-1, 2)]
