"""`Index`: embeddings of files by modality, with the state of each file when it was embedded."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from dataclasses import fields as dataclass_fields
from pathlib import Path

import numpy as np

from anybind import Space, normalize
from anybind.plugin import BadInput, BadOption, Item, errors, files, tables
from anybind_retrieval.fragments import Fragment, parse_fragment

VERSION = 1
EntryKey = tuple[str, str]
"""Unique key of an entry within a modality: its path and, for a line of a text file, the text."""


@dataclass(frozen=True)
class IndexEntry:
    """A file, or one line of a text file, as it was when it was embedded.

    Attributes:
        path: absolute path.
        size: file size in bytes.
        mtime: modification time in nanoseconds since 1970.
        text: the line of a text file, or the fragment of a window of a recording, such as `#t=1.2,1.4`; empty for a
            file that was embedded as a whole.
    """

    path: str
    size: int
    mtime: int
    text: str = ""

    @classmethod
    def from_file(cls, path: str, text: str = "") -> IndexEntry:
        """Return the entry of a file in its current state; raise `BadInput` if the file is missing."""
        try:
            status = Path(path).stat()
        except OSError as error:
            raise BadInput(f"cannot read {files.portable_name(path)}: {error.strerror}; check the path") from error
        return cls(path, status.st_size, status.st_mtime_ns, text)

    @property
    def key(self) -> EntryKey:
        """Path and text."""
        return self.path, self.text

    @property
    def name(self) -> str:
        """The text, or the path, with the time range of a window, in printable form."""
        if (fragment := self.fragment) is None:
            return self.text
        return files.portable_name(self.path) + (f"#{fragment.name}" if fragment.name else "")

    @property
    def fragment(self) -> Fragment | None:
        """The part of a file; None for the line of a text file."""
        return parse_fragment(self.text)

    def make_item(self, id: str) -> Item:
        """Make the item to embed: the text, or the file with its reader options."""
        if (fragment := self.fragment) is None:
            return Item(id, self.text)
        return Item(id, Path(self.path), options=fragment.reader_options)

    def get_state(self) -> str:
        """Return `missing` or `changed` if the file is no longer the embedded one; else an empty text."""
        try:
            status = Path(self.path).stat()
        except OSError:
            return "missing"
        return "" if (status.st_size, status.st_mtime_ns) == (self.size, self.mtime) else "changed"


@dataclass(frozen=True)
class IndexedEncoder:
    """The encoder of the files of one modality.

    Attributes:
        modality: modality of the encoder; another than the files' where samples are derived (video to events).
        encoder: identity of the encoder; see `Embeddings.encoder`.
    """

    modality: str
    encoder: str


@dataclass(frozen=True)
class IndexCard:
    """Metadata of an index.

    Attributes:
        binding: name of the binding, for display.
        space: embedding space.
        encoders: encoder by modality of the files.
        vectors: how vectors are stored: `float32`, `int8` or `binary`; see `anybind_retrieval.vectors`.
        full_dim: dimensions of the encoders, of which the index has the first `space.dim`; 0 if it has all.
        precision: precision of the encoders: `fp32`, `bf16` or `fp16`.
    """

    binding: str
    space: Space
    encoders: Mapping[str, IndexedEncoder] = field(default_factory=dict)
    vectors: str = "float32"
    full_dim: int = 0
    precision: str = "fp32"

    @property
    def encoder_space(self) -> Space:
        """The space of the encoders."""
        return replace(self.space, dim=self.full_dim or self.space.dim)

    def truncate(self, vectors: np.ndarray) -> np.ndarray:
        """Return the first dimensions of the encoders' vectors (n, d), of norm 1 again; all if the index has all.

        Raises:
            BadInput: a vector is zero in these dimensions.
        """
        return normalize(vectors[:, : self.space.dim], "truncated embedding") if self.full_dim else vectors

    def to_table(self) -> dict[str, object]:
        """Return the card as a JSON-like table to store."""
        fields = asdict(self)
        encoders = fields.pop("encoders")
        for default in dataclass_fields(self):
            if default.name in fields and fields[default.name] == default.default:
                del fields[default.name]  # so that earlier versions read such an index
        return {"version": VERSION, **fields, "shelves": encoders}  # the key of the file format

    @classmethod
    def from_table(cls, table: Mapping[str, object]) -> IndexCard:
        """Make a card from a table of `to_table`.

        Raises:
            KeyError, ValueError: the table is invalid, or of a later version.
        """
        if table["version"] != VERSION:
            raise ValueError(f"expected version {VERSION}, got {table['version']}")
        fields = {name: value for name, value in table.items() if name not in ("version", "shelves")}
        fields |= {"binding": table["binding"], "space": table["space"], "encoders": table["shelves"]}
        try:
            card = tables.parse_table(cls, fields, "its card")
        except BadOption as error:
            raise ValueError(str(error)) from error
        if card.space.dim < 1:
            raise ValueError(f"expected a positive dimension, got {card.space.dim}")
        return card

    def require_encoder(self, modality: str, encoder: IndexedEncoder, space: Space, location: str) -> None:
        """Check that new embeddings are comparable with those of the index; `require_encoders` does so for a card.

        Raises:
            SpaceMismatch, WeightsMismatch: files of this modality were embedded by another encoder.
        """
        remedy = f"rebuild it with anybind index DIR -o {location} --rebuild and the --binding that you want"
        if space != self.encoder_space:
            raise errors.SpaceMismatch(
                f"{location} was built with the binding {self.binding!r} in {self.encoder_space}, got {space}; {remedy}"
            )
        indexed = self.encoders.get(modality, encoder)
        if indexed != encoder:
            raise errors.WeightsMismatch(
                f"{location} was built with the binding {self.binding!r}: expected the {modality} encoder"
                f" {indexed.modality} {indexed.encoder}, got {encoder.modality} {encoder.encoder}; {remedy}"
            )

    def require_encoders(self, card: IndexCard, location: str) -> None:
        """Check that all embeddings of another card are comparable with those of the index, and stored alike."""
        self.require_format(card.vectors, card.space.dim, location)
        for modality, encoder in card.encoders.items():
            self.require_encoder(modality, encoder, card.encoder_space, location)

    def require_format(self, vectors: str, dim: int, location: str) -> None:
        """Raise `BadOption` if the index stores its vectors in another way, or other dimensions."""
        if (vectors, dim) != (self.vectors, self.space.dim):
            raise BadOption(
                f"{location} stores {self.space.dim} dimensions as {self.vectors}, got {dim} as {vectors}; leave the"
                " option out, or rebuild it with --rebuild"
            )


class Index(ABC):
    """A stored index, open for search.

    Attributes:
        location: path or URI as the user gave it.
        card: metadata.
    """

    location: str
    card: IndexCard

    @abstractmethod
    def list_entries(self, modality: str) -> Sequence[IndexEntry]:
        """Return all entries of a modality."""

    @abstractmethod
    def count_entries(self, modality: str) -> int:
        """Return the number of entries of a modality."""

    @abstractmethod
    def find_candidates(self, modality: str, query: np.ndarray, count: int) -> tuple[Sequence[IndexEntry], np.ndarray]:
        """Return the `count` entries with the largest dot product with the query, and their vectors (count, d) float32.

        In any order; ties at the cut are broken arbitrarily.
        """

    @abstractmethod
    def sample_vectors(self, modality: str, count: int) -> np.ndarray:
        """Return vectors (n, d) float32 of at most `count` entries of a modality, spread evenly over the index."""


class IndexWriter(ABC):
    """The next state of an index; the stored index stays as it is until `finish`."""

    @abstractmethod
    def add(self, modality: str, entries: Sequence[IndexEntry], vectors: np.ndarray) -> None:
        """Add entries with their vectors, (n, d) float32 of norm 1; they replace entries with the same keys."""

    @abstractmethod
    def drop(self, modality: str, keys: Collection[EntryKey]) -> None:
        """Remove entries of the stored index."""

    @abstractmethod
    def finish(self, card: IndexCard) -> None:
        """Write the index; modalities without entries are removed from the card.

        Raises:
            BadInput: the location is not writable.
        """


def make_damage_error(location: str, reason: object) -> BadInput:
    """Return the error for an index that cannot be read."""
    text = " ".join(str(reason).split())[:160]
    return BadInput(f"{location} is not a readable index ({text}); rebuild it with anybind index --rebuild")


def is_uri(location: str) -> bool:
    """Return whether a location is a URI of an object store rather than a path."""
    return "://" in location


def make_absolute(path: str | os.PathLike[str]) -> str:
    """Return the absolute path; links are kept."""
    return os.path.abspath(path)  # noqa: PTH100 (Path.absolute leaves `..` in)
