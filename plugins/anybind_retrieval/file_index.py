"""An index in one safetensors file: memory-mapped vectors and the list of files."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from anybind.plugin import BadInput, files, tensors
from anybind_retrieval.index import EntryKey, Index, IndexCard, IndexEntry, IndexWriter, make_damage_error
from anybind_retrieval.vectors import VECTORS, StoredVectors, concatenate_tensors

SUFFIX = ".safetensors"
CARD = "anybind-index"
"""Key of the card in the file's metadata."""
WAIT_SECONDS = 600.0
"""How long a writer waits for others that merge their entries into the same index."""
DTYPES = {"files": np.uint8, "sizes": np.int64, "mtimes": np.int64}
"""Tensors of a modality but for those of its vectors, each named `modality.tensor`, and their dtypes."""


class FileIndex(Index):
    """An index written by `FileIndexWriter`; vectors are read from disk when a search needs them.

    Attributes:
        mark: `anybind.files.get_file_mark` of the file when it was opened.
    """

    def __init__(self, path: Path) -> None:
        """Open an index file.

        Raises:
            BadInput: the file is missing, damaged, of a later version, or not an index.
        """
        self.location = str(path)
        self.mark = _get_mark(path)
        if self.mark is None:
            raise BadInput(
                f"there is no folder and no index {path}; check the path, or make one with anybind index DIR -o FILE"
            )
        try:
            card, arrays = tensors.read_tensors(path, key=CARD, mapped=True)
        except tensors.InvalidCard as error:
            raise BadInput(f"{error}; make an index with anybind index DIR -o FILE") from error
        except BadInput as error:
            raise BadInput(f"{error}; if it is damaged, rebuild it with anybind index --rebuild") from error
        self._vectors: dict[str, StoredVectors] = {}
        self._files: dict[str, list[tuple[str, int, int, str]]] = {}  # fields of `IndexEntry`, made on demand
        try:
            self.card = IndexCard.from_table(card)
            stored = VECTORS[self.card.vectors]
            for modality in self.card.encoders:
                names = (*DTYPES, *stored.dtypes)
                self._load_modality(modality, {name: arrays[f"{modality}.{name}"] for name in names})
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise make_damage_error(self.location, error) from error

    def _load_modality(self, modality: str, tensors: Mapping[str, np.ndarray]) -> None:
        for name, dtype in DTYPES.items():
            if tensors[name].dtype != dtype:
                raise ValueError(f"expected {modality}.{name} of dtype {dtype.__name__}, got {tensors[name].dtype}")
        names = json.loads(tensors["files"].tobytes())
        sizes, mtimes = tensors["sizes"].tolist(), tensors["mtimes"].tolist()
        vectors = VECTORS[self.card.vectors](self.location, self.card.space.dim, tensors)
        lengths = {len(tensors[name]) for name in (*vectors.dtypes, "sizes", "mtimes")} | {len(names)}
        if len(lengths) > 1:
            raise ValueError(f"expected {len(names)} {modality} vectors, sizes and times, got {sorted(lengths)}")
        if not all(isinstance(text, str) for name in names for text in name):
            raise ValueError(f"invalid list of {modality} files")
        self._vectors[modality] = vectors
        self._files[modality] = [
            (path, size, mtime, text) for (path, text), size, mtime in zip(names, sizes, mtimes, strict=True)
        ]

    def list_entries(self, modality: str) -> Sequence[IndexEntry]:
        return [IndexEntry(*file) for file in self._files.get(modality, [])]

    def count_entries(self, modality: str) -> int:
        return len(self._files.get(modality, []))

    def get_vectors(self, modality: str) -> np.ndarray:
        """Return all vectors of a modality, (n, d) float32; raise `BadInput` if they are damaged.

        Those of a float32 index are memory-mapped.
        """
        return self._vectors[modality].read(slice(None))

    def get_tensors(self, modality: str, rows: Sequence[int]) -> dict[str, np.ndarray]:
        """Return the tensors of some rows, as they are stored."""
        vectors = self._vectors[modality]
        vectors.read(np.asarray(rows, np.int64))  # damaged ones are not copied
        return {name: vectors.tensors[name][rows] for name in vectors.dtypes}

    def find_candidates(self, modality: str, query: np.ndarray, count: int) -> tuple[Sequence[IndexEntry], np.ndarray]:
        vectors = self._vectors[modality]
        rows = vectors.find_nearest(query, count)
        return [IndexEntry(*self._files[modality][row]) for row in rows], vectors.read(rows)

    def sample_vectors(self, modality: str, count: int) -> np.ndarray:
        vectors = self._vectors[modality]
        return vectors.read(np.linspace(0, len(vectors) - 1, min(count, len(vectors))).astype(int))


class FileIndexWriter(IndexWriter):
    """The next state of an index file, held in memory and written atomically.

    Several processes can update an index: each reads the file again when it writes, and keeps the others' changes.
    """

    def __init__(self, path: Path, previous: FileIndex | None, rebuild: bool = False) -> None:
        """Set the file and its current state.

        Args:
            path: the file.
            previous: its current state; None if there was none, or with `rebuild`.
            rebuild: drop all current entries, also if the file is damaged.
        """
        self.path = path
        self._previous = previous
        self._rebuild, self._mark = rebuild, _get_mark(path)
        self._dropped: dict[str, set[EntryKey]] = {}
        self._added: dict[str, list[tuple[Sequence[IndexEntry], np.ndarray]]] = {}
        if rebuild and self._mark is not None:
            with contextlib.suppress(BadInput):
                current = FileIndex(path)
                for modality in current.card.encoders:
                    self.drop(modality, {entry.key for entry in current.list_entries(modality)})

    def add(self, modality: str, entries: Sequence[IndexEntry], vectors: np.ndarray) -> None:
        self._added.setdefault(modality, []).append((entries, vectors))
        self.drop(modality, {entry.key for entry in entries})

    def drop(self, modality: str, keys: Collection[EntryKey]) -> None:
        self._dropped.setdefault(modality, set()).update(keys)

    def finish(self, card: IndexCard) -> None:
        with files.lock_output(self.path, wait_seconds=WAIT_SECONDS):
            current = self._open_current()
            if current is not None:
                current.card.require_encoders(card, current.location)
                card = replace(card, encoders=dict(sorted({**current.card.encoders, **card.encoders}.items())))
            arrays: dict[str, np.ndarray] = {}
            encoders = {}
            for modality, encoder in card.encoders.items():
                entries, vectors = self._merge_entries(modality, current, VECTORS[card.vectors])
                if entries:
                    encoders[modality] = encoder
                    merged = {**vectors, **_make_arrays(entries)}
                    arrays |= {f"{modality}.{name}": array for name, array in merged.items()}
            tensors.write_tensors(self.path, arrays, replace(card, encoders=encoders).to_table(), key=CARD)

    def _open_current(self) -> FileIndex | None:
        """Open the file if another process has written it since this one opened it; else return its state then."""
        mark = _get_mark(self.path)
        opened_mark = self._mark if self._previous is None and self._rebuild else self._previous and self._previous.mark
        return self._previous if mark in (opened_mark, None) else FileIndex(self.path)

    def _merge_entries(
        self, modality: str, current: FileIndex | None, stored_as: type[StoredVectors]
    ) -> tuple[list[IndexEntry], dict[str, np.ndarray]]:
        """Return all entries of a modality, sorted by path, and the tensors of their vectors."""
        groups = [(entries, stored_as.encode(vectors)) for entries, vectors in self._added.get(modality, [])]
        if current is not None and current.count_entries(modality):
            dropped = self._dropped.get(modality, set())
            stored = current.list_entries(modality)
            rows = [row for row, entry in enumerate(stored) if entry.key not in dropped]
            groups.insert(0, ([stored[row] for row in rows], current.get_tensors(modality, rows)))
        entries = [entry for group, _ in groups for entry in group]
        if not entries:
            return [], {}
        order = sorted(range(len(entries)), key=lambda row: entries[row].key)
        vectors = concatenate_tensors([vectors for _, vectors in groups])
        return [entries[row] for row in order], {name: tensor[order] for name, tensor in vectors.items()}


def _get_mark(path: Path) -> files.FileMark | None:
    """Return the mark of a file; None if it is missing."""
    try:
        return files.get_file_mark(path)
    except OSError:
        return None


def _make_arrays(entries: Sequence[IndexEntry]) -> dict[str, np.ndarray]:
    # The list of files is a tensor, since the header of safetensors, with its metadata, is limited to 100 MB.
    names = json.dumps([entry.key for entry in entries]).encode()
    return {
        "files": np.frombuffer(names, np.uint8),
        "sizes": np.array([entry.size for entry in entries], np.int64),
        "mtimes": np.array([entry.mtime for entry in entries], np.int64),
    }
