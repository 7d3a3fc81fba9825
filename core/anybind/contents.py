"""Keys of what is embedded: equal for equal content, wherever it lies and whatever it is called."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import struct
import threading
import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

KEY_BYTES = 16
_BLOCK = 1 << 22
"""Bytes of a strided array that are brought together at a time."""
_REMEMBERED = 100_000
"""Files whose hashes a process remembers."""
_YOUNG_NS = 2_000_000_000
"""A file changed less than this long ago may change again within one tick of its file system's clock."""

FileMark = tuple[int, int, int, int]
"""Size, both times of change in nanoseconds, and inode: files whose marks are equal were not written in between."""


class _NoKey(Exception):
    """A value that has no key."""


def content_key(*values: Any) -> bytes | None:
    """A key of values in memory, 16 bytes: equal where all of their content is.

    Args:
        values: None, numbers, texts, bytes, NumPy arrays and, of these, lists, tuples, mappings by text, and frozen
            dataclasses. Arrays are told apart by type, shape and values, not by how they lie in memory.

    Returns:
        None where one of the values is something else, such as an open file, or an object that may change.
    """
    digest = hashlib.blake2b(digest_size=KEY_BYTES)
    try:
        for value in values:
            _feed(digest, value)
    except _NoKey:
        return None
    return digest.digest()


def _feed(digest: Any, value: Any) -> None:
    """Every value says its kind and its length first, so that no two lists of values read the same."""
    if value is None or isinstance(value, bool | int | float | complex):
        _feed_text(digest, type(value).__name__, value.hex() if isinstance(value, float) else repr(value))
    elif isinstance(value, str):
        _feed_text(digest, "str", value)
    elif isinstance(value, bytes):
        digest.update(b"bytes" + struct.pack("<q", len(value)))
        digest.update(value)
    elif isinstance(value, np.ndarray | np.generic):
        _feed_array(digest, value)
    elif isinstance(value, list | tuple):
        _feed_text(digest, "list", str(len(value)))
        for each in value:
            _feed(digest, each)
    elif isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        _feed_text(digest, "mapping", str(len(value)))
        for name in sorted(value):
            _feed_text(digest, "name", name)
            _feed(digest, value[name])
    else:
        _feed_fields(digest, value)


def _feed_fields(digest: Any, value: Any) -> None:
    made = type(value).__dict__.get("__dataclass_params__")  # its own: a class made from a dataclass may hold more
    if made is None or not made.frozen:
        raise _NoKey
    _feed_text(digest, "dataclass", f"{type(value).__module__}.{type(value).__qualname__}")
    for field in fields(value):
        _feed_text(digest, "field", field.name)
        _feed(digest, getattr(value, field.name))


def _feed_text(digest: Any, kind: str, text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    digest.update(f"{kind}:{len(data)}:".encode())
    digest.update(data)


def _feed_array(digest: Any, value: np.ndarray | np.generic) -> None:
    if not isinstance(value, np.generic) and type(value) not in (np.ndarray, np.memmap):
        raise _NoKey  # a masked array's mask, for one, is not among its values
    array = np.asarray(value)
    if array.dtype.hasobject:
        raise _NoKey
    _feed_text(digest, "array", f"{np.lib.format.dtype_to_descr(array.dtype)}{array.shape}")
    if array.nbytes == 0:
        return
    if array.flags.c_contiguous:
        digest.update(array.reshape(-1).view(np.uint8))
        return
    rows = max(1, _BLOCK // (array.nbytes // len(array)))
    for start in range(0, len(array), rows):
        digest.update(np.ascontiguousarray(array[start : start + rows]).reshape(-1).view(np.uint8))


def file_mark(path: str | os.PathLike[str]) -> FileMark | None:
    """What changes when a file is written; None for what is no regular file, such as a folder or a pipe.

    Raises:
        OSError: there is no such file.
    """
    about = os.stat(path)  # noqa: PTH116 (many times a second)
    if not stat.S_ISREG(about.st_mode):
        return None
    return about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino


_hashes: dict[str, tuple[FileMark, bytes]] = {}
_lock = threading.Lock()


def file_key(path: str | os.PathLike[str], mark: FileMark | None = None) -> bytes:
    """A key of a file's bytes, 16 bytes; a file that has not changed is read once by a process.

    Args:
        path: the file.
        mark: its `file_mark`, where that is known.

    Raises:
        OSError: it is missing, cannot be read, or is no regular file.
    """
    mark = mark or file_mark(path)
    if mark is None:
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    if (known := remembered_key(path, mark)) is not None:
        return known
    now = time.time_ns()
    with Path(path).open("rb") as file:
        key = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=KEY_BYTES)).digest()
    if max(mark[1], mark[2]) < now - _YOUNG_NS and mark == file_mark(path):
        with _lock:
            if len(_hashes) >= _REMEMBERED:
                _hashes.clear()
            _hashes[_name(path)] = (mark, key)
    return key


def remembered_key(path: str | os.PathLike[str], mark: FileMark) -> bytes | None:
    """The key of a file that this process has read and that has not changed since; None of any other."""
    known = _hashes.get(_name(path))
    return known[1] if known is not None and known[0] == mark else None


def _name(path: str | os.PathLike[str]) -> str:
    return os.path.abspath(path)  # noqa: PTH100 (as a text, and many times a second)
