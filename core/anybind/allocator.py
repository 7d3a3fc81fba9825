"""Memory of programs that run long: what is allocated again and again, and must never wait."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

KEPT_BYTES = (1 << 31) - 1
"""Bytes of freed memory that the process keeps."""
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, MMAP_MAX = -1, -2, -3, -4
KEEPING = {MMAP_MAX: 0, TRIM_THRESHOLD: KEPT_BYTES}
DEFAULT = {MMAP_MAX: 65_536, TOP_PAD: 1 << 17, TRIM_THRESHOLD: 1 << 17, MMAP_THRESHOLD: 1 << 17}
"""Parameters of glibc's mallopt (malloc.h), and their defaults (mallopt(3))."""


@contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Let the process keep freed memory for its next arrays inside the block.

    By default large arrays return to the system when they are freed, and new ones are cleared page by page, which takes
    time and now and then waits for the system to tidy its memory. Other allocators are left alone, and so is glibc's if
    its environment variables are set.
    """
    _set(KEEPING)
    try:
        yield
    finally:
        _set(DEFAULT)


def touch_memory(n_bytes: int) -> None:
    """Let the process own so many bytes of free memory, inside a block of `keep_freed_memory`.

    The first arrays of a loop then take no longer than the later ones: the system has cleared their pages.
    """
    np.empty(n_bytes, np.uint8)[:: mmap.PAGESIZE] = 0


def _set(parameters: Mapping[int, int]) -> None:
    if sys.platform != "linux" or any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):  # musl's
        return
    for parameter, value in parameters.items():
        library.mallopt(parameter, value)
    library.malloc_trim(0)
