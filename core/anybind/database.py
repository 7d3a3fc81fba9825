"""The SQLite database of an embedding store: shared by processes, moved aside when damaged, unused on a full disk."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from anybind.errors import AnybindWarning
from anybind.locks import is_on_network_drive

NAME, DAMAGED_NAME = "embeddings.sqlite", "embeddings.damaged"
_SCHEMA = (
    "CREATE TABLE encoders (id TEXT PRIMARY KEY, description TEXT NOT NULL)",
    "CREATE TABLE embeddings (encoder TEXT NOT NULL, key BLOB NOT NULL, used INTEGER NOT NULL, value BLOB NOT NULL,"
    " UNIQUE (encoder, key))",
    "CREATE INDEX embeddings_by_use ON embeddings (used)",
    "PRAGMA user_version = 1",
)
_PAGE_BYTES = 16384
"""Seven embeddings of 512 dimensions a page; SQLite's usual 4,096 bytes would hold one and waste the rest."""
_BUSY_SECONDS = 30.0
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""Primary error codes of a file that is not a database or has damaged pages."""

T = TypeVar("T")
_forked: list[sqlite3.Connection] = []
"""Connections of a parent process, which a child must neither use nor close."""


class StoreDatabase:
    """A database in a folder, with one connection per process.

    Attributes:
        folder: folder of the database, created at first use.
        damaged: number of damaged rows and databases that this process has found.
    """

    _database: sqlite3.Connection | None = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged = 0
        self._process = self._inode = 0
        self._writable = self._usable = True
        self._lock = threading.RLock()

    def __del__(self) -> None:
        self._close()  # a connection refers to itself: without this it would stay open until the next collection

    @property
    def path(self) -> Path:
        """The database file."""
        return self.folder / NAME

    def _run(self, work: Callable[[sqlite3.Connection], T], default: T, write: bool = False) -> T:
        """Run a function on the database, in one transaction if it writes; return `default` if that fails.

        A damaged database is moved aside, and the function runs on a new one. Other errors cause one warning.
        """
        with self._lock:
            for _ in range(3):
                if not self._usable or (write and not self._writable):
                    break
                try:
                    database = self._connect()
                    if not write:
                        return work(database)
                    with database:
                        database.execute("BEGIN IMMEDIATE")
                        return work(database)
                except sqlite3.DatabaseError as error:
                    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_NOTADB)
                    self._close()
                    if code == sqlite3.SQLITE_READONLY_DBMOVED:  # another process has moved it aside
                        continue
                    if code & 0xFF in _DAMAGE and self._move_aside(error):
                        continue
                    self._give_up(error, write)
                except OSError as error:
                    self._give_up(error, write)
            return default

    def _connect(self) -> sqlite3.Connection:
        """Return the connection of this process, opened at the first call."""
        if self._database is not None and self._process == os.getpid():
            return self._database
        self._close()
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + _BUSY_SECONDS
        while True:
            self._inode = _get_inode(self.path)
            try:
                self._database, self._process = self._open(), os.getpid()
                return self._database
            except sqlite3.OperationalError as error:  # changing the journal mode does not wait for others
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def _open(self) -> sqlite3.Connection:
        if os.access(self.folder, os.W_OK) and (os.access(self.path, os.W_OK) or not self.path.exists()):
            database = _connect_to(self.path)
            try:
                database.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
                database.execute("PRAGMA auto_vacuum = INCREMENTAL")
                # A write-ahead log needs shared memory, which processes on different machines do not have.
                database.execute(f"PRAGMA journal_mode = {'DELETE' if is_on_network_drive(self.folder) else 'WAL'}")
                database.execute("PRAGMA synchronous = NORMAL")
                database.execute("PRAGMA cache_size = -32768")  # 32 MiB
                _check_schema(database, create=True)
                return database
            except BaseException:
                database.close()
                raise
        # Read-only folder. Beside a leftover log, SQLite opens only a database that is declared immutable.
        for mode in ("mode=ro", "immutable=1"):
            database = _connect_to(f"{self.path.absolute().as_uri()}?{mode}")
            try:
                _check_schema(database, create=False)
                return database
            except sqlite3.OperationalError:
                database.close()
                if mode == "immutable=1":
                    raise
        raise AssertionError

    def _close(self, get_process: Callable[[], int] = os.getpid, forked: list[sqlite3.Connection] = _forked) -> None:
        # The defaults hold what `__del__` needs when the interpreter ends, after the names of this module are gone.
        if self._database is not None:
            self._database.close() if self._process == get_process() else forked.append(self._database)
            self._database = None

    def _move_aside(self, error: Exception) -> bool:
        """Rename a damaged database, unless another process has done so; return False if that fails."""
        if _get_inode(self.path) != self._inode:
            return True
        self.damaged += 1
        try:
            for suffix in ("-wal", "-shm", "-journal"):
                self.path.with_name(NAME + suffix).unlink(missing_ok=True)
            self.path.replace(self.folder / DAMAGED_NAME)
        except OSError:
            return False
        warnings.warn(
            f"{self.path} is damaged ({error}): it was renamed {DAMAGED_NAME}, and embeddings are computed again",
            AnybindWarning,
            stacklevel=2,
        )
        return True

    def _give_up(self, error: Exception, write: bool) -> None:
        """Stop writing, or stop using the database if it cannot be read; warn once."""
        warned = not (self._writable and self._usable)
        self._writable, self._usable = False, self._usable and write
        if not warned:
            warnings.warn(
                f"cannot store embeddings in {self.folder}: {error}; they are computed each time",
                AnybindWarning,
                stacklevel=2,
            )


def _connect_to(database: Path | str) -> sqlite3.Connection:
    return sqlite3.connect(
        database, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=isinstance(database, str)
    )


def _check_schema(database: sqlite3.Connection, create: bool) -> None:
    """Raise `sqlite3.DatabaseError` unless the database has the tables of a store; create them in an empty one."""

    def version() -> int:
        return database.execute("PRAGMA user_version").fetchone()[0]

    try:
        if create and version() == 0:
            with database:
                database.execute("BEGIN IMMEDIATE")
                for statement in _SCHEMA if version() == 0 else ():
                    database.execute(statement)
        # The whole schema: a view, a trigger or a computed column of a foreign file would run its own SQL.
        schema = {sql for (sql,) in database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
        other = version() != 1 or schema != {sql for sql in _SCHEMA if sql.startswith("CREATE")}
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_ERROR:
            raise
        other = True
    if other:
        raise sqlite3.DatabaseError("it is not an embedding store of this version")


def _get_inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0
