"""Memory of programs that run long: what is allocated again and again, and must never wait."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

KEPT_BYTES = (1 << 31) - 1
"""Bytes of freed memory that the process keeps."""
MAX_GROWTH = 1.5
"""Largest size of the process over what a round of its work takes."""
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, MMAP_MAX = -1, -2, -3, -4
KEEPING = {MMAP_MAX: 0, TRIM_THRESHOLD: KEPT_BYTES}
DEFAULT = {MMAP_MAX: 65_536, TOP_PAD: 1 << 17, TRIM_THRESHOLD: 1 << 17, MMAP_THRESHOLD: 1 << 17}
"""Parameters of glibc's mallopt (malloc.h), and their defaults (mallopt(3))."""


@contextmanager
def keep_freed_memory() -> Iterator[Callable[[], None]]:
    """Let the process keep freed memory for its next arrays inside the block.

    By default large arrays return to the system when they are freed, and new ones are cleared page by page, which takes
    time and now and then waits for the system to tidy its memory. Other allocators are left alone, and so is glibc's if
    its environment variables are set.

    Yields a function to call after each round of work, such as a training step, where arrays differ in size from round
    to round. They leave gaps too small for the next ones, and the process would grow to a multiple of its arrays: once
    it has 1.5 times the size after one round, freed memory is returned.
    """
    library = _find_library()
    _set(library, KEEPING)
    try:
        yield _make_limit(library) if library else lambda: None
    finally:
        _set(library, DEFAULT)


def touch_memory(n_bytes: int) -> None:
    """Let the process own so many bytes of free memory, inside a block of `keep_freed_memory`.

    The first arrays of a loop then take no longer than the later ones: the system has cleared their pages.
    """
    np.empty(n_bytes, np.uint8)[:: mmap.PAGESIZE] = 0


def _find_library() -> ctypes.CDLL | None:
    """Find glibc, unless its allocator is configured by the user, or replaced."""
    if sys.platform != "linux" or any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") else None  # musl has none


def _set(library: ctypes.CDLL | None, parameters: Mapping[int, int]) -> None:
    if library is None:
        return
    for parameter, value in parameters.items():
        library.mallopt(parameter, value)
    library.malloc_trim(0)


def _make_limit(library: ctypes.CDLL) -> Callable[[], None]:
    """Return a function that returns freed memory once the process has grown by `MAX_GROWTH`."""
    needed, after_return = 0, True

    def limit() -> None:
        nonlocal needed, after_return
        size = int(Path("/proc/self/statm").read_text().split()[1])
        if after_return:
            needed = max(needed, size)
        after_return = size > MAX_GROWTH * needed
        if after_return:
            library.malloc_trim(0)

    return limit
