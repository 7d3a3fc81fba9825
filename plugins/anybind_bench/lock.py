"""Locks between processes: a file that one of them holds, free again as soon as that one ends, however it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anybind.plugin import BadInput

if sys.platform == "win32":
    import msvcrt

    def _take(handle: int, wait: bool) -> bool:
        while True:
            try:
                msvcrt.locking(handle, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)  # the first gives up after 10 s
            except PermissionError:
                if not wait:
                    return False
            except OSError as error:
                if not wait or error.errno != 36:  # EDEADLOCK: those 10 s are over
                    raise
            else:
                return True

else:
    import fcntl

    def _take(handle: int, wait: bool) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True


@contextmanager
def file_lock(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a lock while the block runs, and yield whether it is held: without `wait`, another may have it.

    The file stays: to remove it would let two processes hold two locks of one name.

    Raises:
        BadInput: the file cannot be made or locked.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror or error}") from error
    try:
        try:
            held = _take(handle, wait)
        except OSError as error:
            raise BadInput(f"cannot lock {path}: {error.strerror or error}; use a folder on another disk") from error
        yield held
    finally:
        os.close(handle)  # which frees the lock
