"""`EmbeddingCache`: vectors on disk, by what they were made of, so that nothing is embedded twice."""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anybind.errors import AnybindWarning, BadInput, BadOption, UnknownName, nearest
from anybind.shards import SUFFIX, DamagedShard, is_shard, listed, open_shard
from anybind.shelf import ABOUT, Shelf
from anybind.tables import settings_hash

DEFAULT_BYTES = 10 << 30
_SCAN_SECONDS = 60.0
"""How often the folder is measured while this process writes: others may write to it as well."""
_LEFT_SECONDS = 3600
"""Age of a temporary file that no process is still writing."""


@dataclass(frozen=True)
class Kept:
    """What the cache holds of one encoder, or of films.

    Attributes:
        id: the name of its folder.
        about: what the vectors were made by, as `EmbeddingCache.shelf` was told.
        rows: vectors.
        files, bytes: on disk.
    """

    id: str
    about: Mapping[str, Any]
    rows: int
    files: int
    bytes: int


class EmbeddingCache:
    """Vectors on disk by the content that they were made of, in a folder that several processes may use at once.

    Vectors of one encoder lie together in safetensors files ("shards"). A shard is written whole under a name of its
    own and never changed; readers list the folder. Every row carries a check sum: a shard that is cut short or damaged
    is removed, and what it held is embedded again. Above `max_bytes` the files that were not used for longest go. A
    folder that cannot be written, or a full disk, costs one warning, and nothing more is kept.

    Attributes:
        folder: where it is; made at the first write.
        max_bytes: how large the folder may become, films included.
        damaged: how many damaged files this process has removed.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None, max_bytes: int = DEFAULT_BYTES) -> None:
        """Choose the folder.

        Args:
            folder: `$ANYBIND_CACHE`, `$XDG_CACHE_HOME/anybind` or `~/.cache/anybind` by default.
            max_bytes: how large it may become, 10 GiB by default.

        Raises:
            BadOption: the size is no whole number above 0, or there is a file of the folder's name.
        """
        if not isinstance(max_bytes, int) or max_bytes < 1:
            raise BadOption(f"the size of a cache must be a whole number of bytes above 0, got {max_bytes!r}")
        self.folder = default_folder() if folder is None else Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise BadOption(f"{self.folder} is a file, and a cache is a folder: choose another")
        self.max_bytes = max_bytes
        self.damaged = 0
        self._shelves: dict[str, Shelf] = {}
        self._warned = False
        self._bytes, self._scanned = 0, -math.inf
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"EmbeddingCache({str(self.folder)!r}, max_bytes={self.max_bytes})"

    @property
    def films(self) -> Path:
        """Where what was made of whole films is kept, a file each, by whoever plays them."""
        return self.folder / "films"

    def shelf(self, about: Mapping[str, Any], named: Mapping[str, Any] | None = None) -> Shelf:
        """The vectors of one encoder, as they are on disk now.

        Args:
            about: everything but the content that shapes a vector, JSON-like.
            named: what else a person should be shown of them.
        """
        id = settings_hash(dict(about))
        with self._lock:
            if id not in self._shelves:
                self._shelves[id] = Shelf(self.folder / "vectors" / id, {**(named or {}), **about}, self)
            shelf = self._shelves[id]
        shelf.refresh()
        return shelf

    def written(self, count: int) -> None:
        """Take note of bytes that were written below the folder; removes what was not used for longest if need be."""
        with self._lock:
            self._bytes += count
            if self._bytes > self.max_bytes or time.monotonic() - self._scanned > _SCAN_SECONDS:
                self._bytes, self._scanned = self._shrink(), time.monotonic()

    def _shrink(self) -> int:
        """Remove files until nine tenths of the limit are left, if it is passed; returns how much there is then."""
        files = sorted(self._files())
        total = sum(size for _, size, _ in files)
        if total <= self.max_bytes:
            return total
        for _, size, path in files:
            with contextlib.suppress(OSError):  # not ours to remove
                path.unlink(missing_ok=True)
                total -= size
            if total <= 0.9 * self.max_bytes:
                break
        return total

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """Time of last use, size and path of what is kept; what killed processes left half written is removed."""
        for folder in [self.films, *self._shelf_folders()]:
            for path, about in listed(folder):
                if path.name.startswith("."):
                    if path.name.startswith(".anybind-") and about.st_mtime < time.time() - _LEFT_SECONDS:
                        with contextlib.suppress(OSError):
                            path.unlink(missing_ok=True)
                elif path.suffix == SUFFIX:
                    yield about.st_mtime, about.st_size, path

    def _shelf_folders(self) -> list[Path]:
        return sorted(self.folder.glob("vectors/*"))

    def found_damaged(self, path: Path) -> None:
        """Remove a damaged file, and count it."""
        with self._lock:
            self.damaged += 1
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)

    def complain(self, error: Exception) -> None:
        """Warn that nothing can be kept; once."""
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"cannot keep embeddings in {self.folder}: {error}; they are made again each time",
                AnybindWarning,
                stacklevel=2,
            )

    def encoders(self) -> list[Kept]:
        """What is there of each encoder, the largest first."""
        found = [_kept(folder) for folder in self._shelf_folders()]
        return sorted((kept for kept in found if kept.files), key=lambda kept: (-kept.bytes, kept.id))

    def kept_films(self) -> Kept:
        """What is there of films; a file is a film, and its rows are not counted."""
        sizes = [about.st_size for path, about in listed(self.films) if path.suffix == SUFFIX]
        return Kept(self.films.name, {}, 0, len(sizes), sum(sizes))

    def clear(self, encoder: str | None = None) -> int:
        """Remove all that is kept, or what one encoder made; returns how many bytes that were.

        Args:
            encoder: a `Kept.id`, or the identity of an encoder.

        Raises:
            UnknownName: nothing of that encoder is there.
            BadInput: a file cannot be removed.
        """
        held = self.encoders()
        if encoder is not None:
            chosen = [kept for kept in held if encoder in (kept.id, kept.about.get("encoder"))]
            if not chosen:
                known = [kept.id for kept in held]
                raise UnknownName(f"the cache holds nothing of an encoder {encoder!r}{nearest(encoder, known)}")
            return sum(_remove(self.folder / "vectors" / kept.id) for kept in chosen)
        return sum(map(_remove, [self.films, *self._shelf_folders()]))


def default_folder() -> Path:
    """Where embeddings are kept unless told."""
    if own := os.environ.get("ANYBIND_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "anybind"


def _kept(folder: Path) -> Kept:
    about: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        about = dict(json.loads((folder / ABOUT).read_text(encoding="utf-8")))
    rows, sizes = 0, []
    for path, status in listed(folder):
        if is_shard(path):
            sizes.append(status.st_size)
            with contextlib.suppress(DamagedShard, OSError):
                rows += open_shard(path)[0].rows
    return Kept(folder.name, about, rows, len(sizes), sum(sizes))


def _remove(folder: Path) -> int:
    """Remove what the cache wrote into a folder, and the folder if nothing else is in it."""
    freed = 0
    for path, about in listed(folder):
        if path.suffix == SUFFIX or path.name == ABOUT or path.name.startswith(".anybind-"):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise BadInput(f"cannot remove {path}: {error.strerror}") from error
            freed += about.st_size
    with contextlib.suppress(OSError):
        folder.rmdir()
    return freed
