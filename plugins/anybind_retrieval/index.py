"""`Index`: vectors of files, by kind of file, with what is needed to know whether they still hold."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from anybind import Space
from anybind.plugin import BadInput, BadOption, errors, files, tables

VERSION = 1
Key = tuple[str, str]
"""What makes an entry one of its kind: its path and, of one line of a file of texts, the text."""


@dataclass(frozen=True)
class Entry:
    """A file of an index as it was when it was embedded, or one text of a file of texts.

    Attributes:
        path: absolute.
        size: in bytes.
        mtime: when it was last changed, in nanoseconds since 1970.
        text: the line of a file of texts; empty for a file that was embedded as a whole.
    """

    path: str
    size: int
    mtime: int
    text: str = ""

    @classmethod
    def of_file(cls, path: str, text: str = "") -> Entry:
        """The entry of a file as it is now; raises `BadInput` when there is none."""
        try:
            about = Path(path).stat()
        except OSError as error:
            raise BadInput(f"cannot read {files.portable_name(path)}: {error.strerror}; check the path") from error
        return cls(path, about.st_size, about.st_mtime_ns, text)

    @property
    def key(self) -> Key:
        return self.path, self.text

    @property
    def name(self) -> str:
        """The text, or the path as it can be printed and saved."""
        return self.text or files.portable_name(self.path)

    def state(self) -> str:
        """`missing` or `changed` when the file is not what was embedded any more; else empty."""
        try:
            about = Path(self.path).stat()
        except OSError:
            return "missing"
        return "" if (about.st_size, about.st_mtime_ns) == (self.size, self.mtime) else "changed"


@dataclass(frozen=True)
class Shelf:
    """What the files of one kind were embedded as, and the identity of the encoder (see `Embeddings.encoder`)."""

    modality: str
    encoder: str


@dataclass(frozen=True)
class Card:
    """What an index was made with.

    Attributes:
        binding: its name, for people.
        space: where the vectors live.
        shelves: by kind of file, that is the modality of what files hold.
    """

    binding: str
    space: Space
    shelves: Mapping[str, Shelf] = field(default_factory=dict)

    def to_table(self) -> dict[str, object]:
        """Return the card as a JSON-like table to store."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_table(cls, fields: Mapping[str, object]) -> Card:
        """Make a card from what `to_table` returned.

        Raises:
            KeyError, ValueError: it is none, or of a later version.
        """
        if fields["version"] != VERSION:
            raise ValueError(f"it is of version {fields['version']}, and this anybind reads version {VERSION}")
        try:
            card = tables.parse_table(cls, {key: fields[key] for key in ("binding", "space", "shelves")}, "its card")
        except BadOption as error:
            raise ValueError(str(error)) from error
        if card.space.dim < 1:
            raise ValueError("its card makes no sense")
        return card

    def require(self, kind: str, shelf: Shelf, space: Space, where: str) -> None:
        """Refuse to mix vectors of this index with those of another encoder.

        Raises:
            SpaceMismatch, WeightsMismatch: files of that kind are embedded in another way now.
        """
        again = f"make it anew: anybind index DIR -o {where} --rebuild, with the --binding that you want"
        if space != self.space:
            raise errors.SpaceMismatch(
                f"{where} was made with the binding {self.binding!r} in {self.space}, not in {space}; {again}"
            )
        made = self.shelves.get(kind, shelf)
        if made != shelf:
            raise errors.WeightsMismatch(
                f"{where} was made with the binding {self.binding!r}, whose encoder for {kind} was"
                f" {made.modality} {made.encoder} and not {shelf.modality} {shelf.encoder}; {again}"
            )


class Index(ABC):
    """An index that is kept somewhere, to be searched.

    Attributes:
        where: as the user names it.
        card: what it was made with.
    """

    where: str
    card: Card

    @abstractmethod
    def entries(self, kind: str) -> Sequence[Entry]:
        """The files of one kind, in the order of the vectors."""

    @abstractmethod
    def count(self, kind: str) -> int:
        """How many entries of that kind there are."""

    @abstractmethod
    def candidates(self, kind: str, query: np.ndarray, count: int) -> tuple[Sequence[Entry], np.ndarray]:
        """The `count` entries with the largest product with the query, and their vectors, (count, d) float32.

        Their order, and which of equal ones are left out, may be any.
        """


class Draft(ABC):
    """The next state of an index. What stood there stays what it was until `finish`."""

    @abstractmethod
    def add(self, kind: str, entries: Sequence[Entry], vectors: np.ndarray) -> None:
        """Take in entries with their vectors, (n, d) float32 of norm 1, in place of those of the same keys."""

    @abstractmethod
    def drop(self, kind: str, keys: Collection[Key]) -> None:
        """Leave out entries that stand in the index now."""

    @abstractmethod
    def finish(self, card: Card) -> None:
        """Write; shelves without entries are left out of the card.

        Raises:
            BadInput: the place cannot be written to.
        """


def damaged(where: str, error: object) -> BadInput:
    """What is said of an index that cannot be read."""
    told = " ".join(str(error).split())[:160]
    return BadInput(f"{where} is no index that can be read ({told}); make it anew with anybind index --rebuild")


def is_uri(where: str) -> bool:
    """Whether it is a place in an object store rather than a path."""
    return "://" in where


def absolute(path: str | os.PathLike[str]) -> str:
    """A path that means the same from any folder; links are kept."""
    return os.path.abspath(path)  # noqa: PTH100 (Path.absolute leaves `..` in)
