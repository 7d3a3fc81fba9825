"""An index in one safetensors file: vectors that are mapped into memory, and the list of files beside them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from anybind.plugin import BadInput, files
from anybind_retrieval.index import Card, Draft, Entry, Index, Key, damaged
from anybind_retrieval.ranking import check_unit, nearest_rows

SUFFIX = ".safetensors"
CARD = "anybind-index"
"""Key of the card in the file's metadata."""
DTYPES = {"vectors": "F32", "files": "U8", "sizes": "I64", "mtimes": "I64"}
"""The tensors of a kind of file, each named `kind.tensor`, and their types as safetensors names them."""
NUMPY_DTYPES = {"F32": np.dtype("<f4"), "U8": np.dtype("u1"), "I64": np.dtype("<i8")}


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
        tensors, metadata = _mapped(path)
        if CARD not in metadata:
            raise BadInput(f"{path} is a safetensors file but no index; make one with anybind index DIR -o FILE")
        self._vectors: dict[str, np.ndarray] = {}
        self._sound: set[str] = set()  # kinds whose vectors were looked through
        self._files: dict[str, list[tuple[str, int, int, str]]] = {}  # entries in the making: few are looked at
        try:
            self.card = Card.from_json(metadata[CARD])
            for kind in self.card.shelves:
                self._take(kind, {name: tensors[f"{kind}.{name}"] for name in DTYPES})
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise damaged(self.where, error) from error

    def _take(self, kind: str, tensors: Mapping[str, np.ndarray]) -> None:
        for name, tensor in tensors.items():
            if tensor.dtype != NUMPY_DTYPES[DTYPES[name]]:
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
        tensors: dict[str, np.ndarray] = {}
        kept = {}
        for kind, shelf in card.shelves.items():
            entries, vectors = self._shelf(kind)
            if entries:
                kept[kind] = shelf
                tensors |= {f"{kind}.{name}": tensor for name, tensor in _tensors(entries, vectors).items()}
        _save(self.path, tensors, replace(card, shelves=kept))

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


def _tensors(entries: Sequence[Entry], vectors: np.ndarray) -> dict[str, np.ndarray]:
    # As a tensor, since safetensors' own header, where metadata stands, may not grow beyond 100 MB.
    files = json.dumps([entry.key for entry in entries]).encode()
    return {
        "vectors": np.ascontiguousarray(vectors, np.float32),
        "files": np.frombuffer(files, np.uint8),
        "sizes": np.array([entry.size for entry in entries], np.int64),
        "mtimes": np.array([entry.mtime for entry in entries], np.int64),
    }


def _save(path: Path, tensors: Mapping[str, np.ndarray], card: Card) -> None:
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    with files.atomic_path(path) as temporary:
        try:
            save_file(dict(tensors), temporary, metadata={CARD: card.to_json()})
        except SafetensorError as error:  # a full disk, which is no OSError here
            raise BadInput(f"cannot write {path}: {error}") from error


def _mapped(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The tensors of a safetensors file, mapped and not read, and its metadata."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):  # checks that the header fits the file
            pass
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header: dict[str, Any] = json.loads(file.read(length))
        metadata = header.pop("__metadata__", None) or {}
        return {name: _tensor(path, 8 + length, about) for name, about in header.items()}, metadata
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror or error}; check the path") from error
    except (SafetensorError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise damaged(str(path), error) from error


def _tensor(path: Path, start: int, about: Mapping[str, Any]) -> np.ndarray:
    begin, end = about["data_offsets"]
    dtype = NUMPY_DTYPES[about["dtype"]]
    if begin == end:  # nothing can be mapped there
        return np.empty(about["shape"], dtype)
    return np.memmap(path, dtype, "r", start + begin, tuple(about["shape"]))
