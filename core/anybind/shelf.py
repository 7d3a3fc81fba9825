"""`Shelf`: the vectors of one encoder on disk, as one process sees them while others write."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from anybind.errors import AnybindError
from anybind.files import atomic_path
from anybind.shards import DamagedShard, Shard, is_shard, listed, open_shard, write_shard

ABOUT = "about.json"
_ROWS = 1024
"""Rows that wait in memory at most before they are written."""
_SECONDS = 5.0
"""How long a row waits at most while others come."""
_ROW_BITS = 24


class Keeper(Protocol):
    """Who owns a shelf."""

    def complain(self, error: Exception) -> None:
        """Nothing can be written."""

    def found_damaged(self, path: Path) -> None:
        """A damaged file is to be removed."""

    def written(self, count: int) -> None:
        """So many bytes were written."""


class Shelf:
    """The vectors of one encoder in a cache."""

    def __init__(self, folder: Path, about: Mapping[str, Any], keeper: Keeper) -> None:
        """Take the folder, which need not be there yet; `refresh` reads it.

        Args:
            folder: of the shards of this encoder.
            about: written beside them.
            keeper: is told what happens.
        """
        self.about = about
        self._folder = folder
        self._keeper = keeper
        self._shards: list[Shard | None] = []
        self._numbers: dict[str, int] = {}
        self._places: dict[bytes, int] = {}  # number of the shard and of the row, in one whole number to save memory
        self._pending: dict[bytes, np.ndarray] = {}
        self._since = 0.0
        self._recent: list[tuple[Path, dict[bytes, np.ndarray]]] = []
        self._lock = threading.RLock()

    def refresh(self) -> None:
        """See what other processes have written and removed."""
        with self._lock:
            there = {path.name for path, _ in listed(self._folder) if is_shard(path)}
            for name in self._numbers.keys() - there:
                self._shards[self._numbers.pop(name)] = None
            for name in sorted(there - self._numbers.keys()):
                self._learn(self._folder / name)

    def _learn(self, path: Path) -> None:
        try:
            shard, keys = open_shard(path)
        except DamagedShard:
            self._keeper.found_damaged(path)
        except OSError:  # removed just now, or not ours to read
            pass
        else:
            number = self._numbers[path.name] = len(self._shards)
            self._shards.append(shard)
            self._places.update((key, number << _ROW_BITS | row) for row, key in enumerate(keys))

    def _discard(self, shard: Shard) -> None:
        with self._lock:
            number = self._numbers.pop(shard.path.name, None)
            if number is None:  # another thread has seen it
                return
            self._shards[number] = None
        self._keeper.found_damaged(shard.path)

    def find(self, key: bytes) -> np.ndarray | None:
        """The vector of a key, (dim,) float32; None where there is none."""
        for _ in range(2):
            with self._lock:
                if key in self._pending:
                    return self._pending[key]
                place = self._places.get(key, -1)
                shard = self._shards[place >> _ROW_BITS] if place >= 0 else None
            if shard is None:
                return None
            try:
                return shard.read(place & ((1 << _ROW_BITS) - 1), key)
            except FileNotFoundError:  # it went, or went up in another one
                self.refresh()
            except DamagedShard:
                self._discard(shard)
            except OSError:
                return None
        return None

    def put(self, rows: Mapping[bytes, np.ndarray]) -> None:
        """Keep vectors (dim,) float32 by their keys; they are written with others that follow, or by `flush`."""
        with self._lock:
            if not self._pending:
                self._since = time.monotonic()
            self._pending.update({key: np.array(vector, np.float32) for key, vector in rows.items()})
            if len(self._pending) >= _ROWS or time.monotonic() - self._since >= _SECONDS:
                self.flush()

    def flush(self) -> None:
        """Write what was put.

        Small shards that this process wrote go up in the new one, as in a log-structured tree, so that many small calls
        leave few files.
        """
        with self._lock:
            rows, former, self._pending = self._pending, [], {}
            if not rows:
                return
            while self._recent and len(self._recent[-1][1]) <= len(rows):
                path, older = self._recent.pop()
                rows = older | rows
                former.append(path)
            try:
                path = write_shard(self._folder, rows)
                self._tell()
                written = path.stat().st_size
            except (AnybindError, OSError) as error:
                self._keeper.complain(error)
                return
            self._learn(path)
            if len(rows) < _ROWS:
                self._recent.append((path, rows))
            for old in former:
                with contextlib.suppress(OSError):
                    written -= old.stat().st_size
                    old.unlink()
        self._keeper.written(written)

    def _tell(self) -> None:
        """Write beside the shards what they hold, for people."""
        path = self._folder / ABOUT
        if not path.exists():
            with atomic_path(path) as temporary:
                temporary.write_text(json.dumps(self.about, indent=1, ensure_ascii=False), encoding="utf-8")
