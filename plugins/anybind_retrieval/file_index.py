"""An index in one safetensors file: vectors that are mapped into memory, and the list of files beside them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from anybind.plugin import BadInput, tensors
from anybind_retrieval.index import Card, Draft, Entry, Index, Key, damaged
from anybind_retrieval.ranking import check_unit, nearest_rows

SUFFIX = ".safetensors"
CARD = "anybind-index"
"""Key of the card in the file's metadata."""
DTYPES = {"vectors": np.float32, "files": np.uint8, "sizes": np.int64, "mtimes": np.int64}
"""The tensors of a kind of file, each named `kind.tensor`, and their types."""


class FileIndex(Index):
    """An index as `FileDraft` wrote it. Only the vectors that a search looks at are read from disk."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            BadInput: the file is missing, damaged, of a later version, or no index.
        """
        self.where = str(path)
        if not path.exists():
            raise BadInput(
                f"there is no folder and no index {path}; check the path, or make one with anybind index DIR -o FILE"
            )
        try:
            card, arrays = tensors.read_tensors(path, key=CARD, mapped=True)
        except tensors.InvalidCard as error:
            raise BadInput(f"{error}; make an index with anybind index DIR -o FILE") from error
        except BadInput as error:
            raise BadInput(f"{error}; if it is damaged, make it anew with anybind index --rebuild") from error
        self._vectors: dict[str, np.ndarray] = {}
        self._sound: set[str] = set()  # kinds whose vectors were looked through
        self._files: dict[str, list[tuple[str, int, int, str]]] = {}  # entries in the making: few are looked at
        try:
            self.card = Card.from_table(card)
            for kind in self.card.shelves:
                self._take(kind, {name: arrays[f"{kind}.{name}"] for name in DTYPES})
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise damaged(self.where, error) from error

    def _take(self, kind: str, tensors: Mapping[str, np.ndarray]) -> None:
        for name, tensor in tensors.items():
            if tensor.dtype != DTYPES[name]:
                raise ValueError(f"its {kind}.{name} are of the type {tensor.dtype}")
        files = json.loads(tensors["files"].tobytes())
        sizes, mtimes = tensors["sizes"].tolist(), tensors["mtimes"].tolist()
        if tensors["vectors"].shape != (len(files), self.card.space.dim):
            raise ValueError(f"it lists {len(files)} files of {kind} and has vectors {tensors['vectors'].shape}")
        if not all(isinstance(text, str) for file in files for text in file):
            raise ValueError(f"its list of files of {kind} makes no sense")
        self._vectors[kind] = tensors["vectors"]
        self._files[kind] = [
            (path, size, mtime, text) for (path, text), size, mtime in zip(files, sizes, mtimes, strict=True)
        ]

    def entries(self, kind: str) -> Sequence[Entry]:
        return [Entry(*file) for file in self._files.get(kind, [])]

    def count(self, kind: str) -> int:
        return len(self._files.get(kind, []))

    def vectors(self, kind: str) -> np.ndarray:
        """All vectors of a kind, (n, d) float32, mapped from the file; raises `BadInput` where they are damaged."""
        if kind not in self._sound:
            check_unit(self.where, self._vectors[kind])
            self._sound.add(kind)
        return self._vectors[kind]

    def candidates(self, kind: str, query: np.ndarray, count: int) -> tuple[Sequence[Entry], np.ndarray]:
        vectors = self.vectors(kind)
        rows = nearest_rows(query, vectors, count)
        return [Entry(*self._files[kind][row]) for row in rows], vectors[rows]


class FileDraft(Draft):
    """The next state of an index file, held in memory until it is written whole."""

    def __init__(self, path: Path, former: FileIndex | None) -> None:
        self.path = path
        self._former = former
        self._gone: dict[str, set[Key]] = {}
        self._added: dict[str, list[tuple[Sequence[Entry], np.ndarray]]] = {}

    def add(self, kind: str, entries: Sequence[Entry], vectors: np.ndarray) -> None:
        self._added.setdefault(kind, []).append((entries, vectors))
        self.drop(kind, {entry.key for entry in entries})

    def drop(self, kind: str, keys: Collection[Key]) -> None:
        self._gone.setdefault(kind, set()).update(keys)

    def finish(self, card: Card) -> None:
        arrays: dict[str, np.ndarray] = {}
        kept = {}
        for kind, shelf in card.shelves.items():
            entries, vectors = self._shelf(kind)
            if entries:
                kept[kind] = shelf
                arrays |= {f"{kind}.{name}": array for name, array in _arrays(entries, vectors).items()}
        tensors.write_tensors(self.path, arrays, replace(card, shelves=kept).to_table(), key=CARD)

    def _shelf(self, kind: str) -> tuple[list[Entry], np.ndarray]:
        """All entries of a kind, by path, and their vectors."""
        groups = list(self._added.get(kind, []))
        if self._former is not None and self._former.count(kind):
            gone = self._gone.get(kind, set())
            before = self._former.entries(kind)
            rows = [row for row, entry in enumerate(before) if entry.key not in gone]
            groups.insert(0, ([before[row] for row in rows], self._former.vectors(kind)[rows]))
        entries = [entry for group, _ in groups for entry in group]
        if not entries:
            return [], np.empty((0, 0), np.float32)
        order = sorted(range(len(entries)), key=lambda row: entries[row].key)
        vectors = np.concatenate([vectors for _, vectors in groups])
        return [entries[row] for row in order], vectors[order]


def _arrays(entries: Sequence[Entry], vectors: np.ndarray) -> dict[str, np.ndarray]:
    # As a tensor, since safetensors' own header, where metadata stands, may not grow beyond 100 MB.
    files = json.dumps([entry.key for entry in entries]).encode()
    return {
        "vectors": np.ascontiguousarray(vectors, np.float32),
        "files": np.frombuffer(files, np.uint8),
        "sizes": np.array([entry.size for entry in entries], np.int64),
        "mtimes": np.array([entry.mtime for entry in entries], np.int64),
    }
