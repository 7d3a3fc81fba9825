"""`EmbeddingStore`: a cache of embeddings on disk, keyed by the content of their samples."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from anybind.contents import content_key
from anybind.database import DAMAGED_NAME, StoreDatabase
from anybind.errors import AnybindWarning, BadInput, BadOption, UnknownName, suggest_names
from anybind.files import FileMark, cache_file_key, find_cached_file_key, get_cache_folder, hash_file
from anybind.tables import hash_settings

DEFAULT_BYTES = 10 << 30
_FILE_HASHES = "files"
"""Encoder id of the rows that are hashes of files instead of embeddings."""
_TOUCH_SECONDS = 3600
"""Resolution of the time of last use in seconds: a run that only reads should rarely write."""
_CHECK_BYTES = 8
_EVICT_TO, _EVICT_ROWS = 0.95, 10_000


@dataclass(frozen=True)
class StoredEncoder:
    """The stored embeddings of one encoder.

    Attributes:
        id: identifier of the encoder within the store.
        description: the description given to `EmbeddingStore.table`.
        rows: number of embeddings.
        bytes: size of the embeddings in bytes.
    """

    id: str
    description: Mapping[str, object]
    rows: int
    bytes: int


class EmbeddingStore(StoreDatabase):
    """A cache of embeddings, keyed by the content of their samples, in one SQLite database for several processes.

    Every `put` is one transaction, so a killed process loses at most the batch it was computing. Each row has a
    checksum, verified when it is read. A damaged database is moved aside, and embeddings are computed again. Above
    `max_bytes`, the least recently used rows are evicted. If the folder is not writable or the disk is full, the store
    warns once and stores nothing more.

    Attributes:
        folder: folder of the store, created at first use.
        max_bytes: size limit of the database in bytes.
        damaged: number of damaged rows and databases that this process has found.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None, max_bytes: int = DEFAULT_BYTES) -> None:
        """Set the folder and the size limit.

        Args:
            folder: folder of the store. [default: `$ANYBIND_STORE`, else `store` in the user's cache folder]
            max_bytes: size limit in bytes. [default: 10 GiB]

        Raises:
            BadOption: the limit is not an integer above 0, or the folder is a file.
        """
        if not isinstance(max_bytes, int) or max_bytes < 1:
            raise BadOption(f"the size limit of a store must be an integer above 0, in bytes, got {max_bytes!r}")
        chosen = folder or os.environ.get("ANYBIND_STORE")
        super().__init__(Path(chosen).expanduser() if chosen else get_cache_folder("store"))
        if self.folder.exists() and not self.folder.is_dir():
            raise BadOption(f"{self.folder} is a file; a store needs a folder")
        self.max_bytes = max_bytes
        self._used: dict[int, int] = {}
        self._new_hashes: dict[bytes, bytes] = {}

    def __reduce__(self) -> tuple[type[EmbeddingStore], tuple[Path, int]]:
        """Copy or pickle the store as one on the same folder; each process has a connection of its own."""
        return type(self), (self.folder.absolute(), self.max_bytes)

    def __repr__(self) -> str:
        return f"EmbeddingStore({str(self.folder)!r}, max_bytes={self.max_bytes})"

    def table(self, description: Mapping[str, object], name: str = "") -> StoreTable:
        """Return the table of one encoder.

        Args:
            description: everything but the content that shapes an embedding, JSON-like; it identifies the encoder.
            name: name of the encoder in listings.
        """
        return StoreTable(self, hash_settings(dict(description)), json.dumps({"name": name, **description}))

    def hash_file(self, path: str | os.PathLike[str], mark: FileMark, read: bool = True) -> bytes | None:
        """Hash a file's bytes, with a cache in the store that is valid until the file changes.

        Args:
            path: the file.
            mark: its `anybind.files.get_file_mark`.
            read: hash the file if its hash is not cached; otherwise return None.

        Raises:
            OSError: the file cannot be read.
        """
        if (key := find_cached_file_key(path, mark)) is not None:
            return key
        place = content_key(os.fsencode(os.path.abspath(path)), mark)  # noqa: PTH100 (many times a second)
        assert place is not None  # bytes and numbers always have a key
        if (key := self._get(_FILE_HASHES, place)) is not None:
            cache_file_key(path, mark, key)
        elif read:
            key = hash_file(path, mark)
            # On Windows a program can set back the time of the last change.
            if os.name == "posix" and find_cached_file_key(path, mark) == key:
                self._new_hashes[place] = key
        return key

    def flush(self) -> None:
        """Write pending hashes of files and times of last use, which otherwise wait for the next `put`."""
        if self._new_hashes or self._used:
            self._put("", "", {})

    def encoders(self) -> list[StoredEncoder]:
        """List the encoders with stored embeddings, the largest first."""

        def read(database: sqlite3.Connection) -> list[StoredEncoder]:
            rows = database.execute(
                "SELECT id, description, COUNT(*), SUM(LENGTH(value)) FROM embeddings JOIN encoders ON id = encoder"
                " GROUP BY id ORDER BY 4 DESC, id"
            )
            return [
                StoredEncoder(str(id), _parse_description(text), rows, size - rows * _CHECK_BYTES)
                for id, text, rows, size in rows
            ]

        return self._run(read, []) if self.path.exists() else []

    @property
    def bytes(self) -> int:
        """Size of the store's files in bytes."""
        total = 0
        for path in self.folder.glob("embeddings.*"):
            with contextlib.suppress(OSError):
                total += path.stat().st_size
        return total

    def clear(self, encoder: str | None = None) -> int:
        """Remove all embeddings, or those of one encoder, and return the number of bytes freed.

        Args:
            encoder: a `StoredEncoder.id`, or an encoder's identity.

        Raises:
            UnknownName: the store has no embeddings of that encoder.
            BadInput: the database cannot be written.
        """
        before, encoders = self.bytes, self.encoders()
        ids = [each.id for each in encoders if encoder in (None, each.id, each.description.get("encoder"))]
        if encoder is not None and not ids:
            hint = suggest_names(encoder, [each.id for each in encoders])
            raise UnknownName(f"the store has no embeddings of an encoder {encoder!r}{hint}")
        if not self.path.exists():
            return 0

        def delete(database: sqlite3.Connection) -> bool:
            if encoder is None:
                database.execute("DELETE FROM embeddings")
            database.executemany("DELETE FROM embeddings WHERE encoder = ?", [(id,) for id in ids])
            return True

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AnybindWarning)
            if not self._run(delete, False, write=True):
                raise BadInput(f"cannot clear {self.path}: it cannot be written")
            self._shrink(0)
            self._run(lambda database: database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall(), [])
        if encoder is None:
            (self.folder / DAMAGED_NAME).unlink(missing_ok=True)
        return before - self.bytes

    def _get(self, encoder: str, key: bytes) -> bytes | None:
        select = "SELECT rowid, used, value FROM embeddings WHERE encoder = ? AND key = ?"
        row = self._run(lambda database: database.execute(select, (encoder, key)).fetchone(), None)
        if row is None:
            return None
        number, used, value = row
        is_row = isinstance(value, bytes) and isinstance(used, int)  # SQLite holds values of any type in any column
        if not is_row or value[-_CHECK_BYTES:] != _checksum(encoder, key, value[:-_CHECK_BYTES]):
            self.damaged += 1  # the embedding that is computed instead replaces the row
            return None
        if (now := int(time.time())) - used > _TOUCH_SECONDS:
            self._used[number] = now
        return value[:-_CHECK_BYTES]

    def _put(self, encoder: str, description: str, rows: Mapping[bytes, bytes]) -> None:
        """Write rows and pending updates in one transaction."""
        with self._lock:
            if not self._writable:
                return
            hashes, self._new_hashes = self._new_hashes, {}
            used, self._used = self._used, {}
            now = int(time.time())
            packed = [
                (id, key, now, value + _checksum(id, key, value))
                for id, group in ((encoder, rows), (_FILE_HASHES, hashes))
                for key, value in group.items()
            ]

            def write(database: sqlite3.Connection) -> int:
                if rows:
                    database.execute("INSERT OR IGNORE INTO encoders VALUES (?, ?)", (encoder, description))
                database.executemany("INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?, ?)", packed)
                database.executemany(
                    "UPDATE embeddings SET used = ? WHERE rowid = ?", [(now, number) for number, now in used.items()]
                )
                return self._evict(database)

            if beyond := self._run(write, 0, write=True):
                self._shrink(beyond)

    def _evict(self, database: sqlite3.Connection) -> int:
        """Delete the least recently used rows if the database is too large.

        Returns:
            number of pages, now free, above the size limit.
        """

        def pages(name: str) -> int:
            return database.execute(f"PRAGMA {name}").fetchone()[0]

        def excess(fraction: float) -> float:
            return (pages("page_count") - pages("freelist_count")) * pages("page_size") - fraction * self.max_bytes

        if excess(1) <= 0:
            return 0
        while (goal := excess(_EVICT_TO)) > 0:
            oldest = database.execute(
                "SELECT rowid, LENGTH(value) FROM embeddings ORDER BY used, rowid LIMIT ?", (_EVICT_ROWS,)
            ).fetchall()
            if not oldest:
                break
            gone = []
            for number, size in oldest:
                gone.append((number,))
                goal -= size
                if goal <= 0:
                    break
            database.executemany("DELETE FROM embeddings WHERE rowid = ?", gone)
        return max(0, pages("page_count") - self.max_bytes // pages("page_size"))

    def _shrink(self, pages: int) -> None:
        """Return free pages to the file system; all of them for 0."""
        # `execute` would free one page only.
        self._run(lambda database: database.executescript(f"PRAGMA incremental_vacuum({pages})"), None)


@dataclass(frozen=True)
class StoreTable:
    """The table of one encoder in a store: bytes by 16-byte keys."""

    store: EmbeddingStore
    id: str
    description: str = field(repr=False)

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key; None if there is none."""
        return self.store._get(self.id, key)

    def put(self, rows: Mapping[bytes, bytes]) -> None:
        """Write values by key, durably against a kill of this process."""
        if rows:
            self.store._put(self.id, self.description, rows)


def _parse_description(text: object) -> dict[str, object]:
    """Parse an encoder's description; empty if it is damaged."""
    try:
        description = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        description = None
    return description if isinstance(description, dict) else {}


def _checksum(encoder: str, key: bytes, value: bytes) -> bytes:
    return hashlib.blake2b(b"%s:%s:%s" % (encoder.encode(), key, value), digest_size=_CHECK_BYTES).digest()
