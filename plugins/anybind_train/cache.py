"""Arrays that are computed once and cached on disk."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from anybind.plugin import BadInput, files

_BLOCK = 1 << 20


def _reserve_space(path: Path, size: int) -> None:
    """Reserve disk space for the last `size` bytes of a new file, which are zero and may not be stored yet.

    On a full disk, writing to mapped memory would end the process; this raises OSError.
    """
    with path.open("r+b") as file:
        file.seek(-size, os.SEEK_END)
        if sys.platform == "linux":
            os.posix_fallocate(file.fileno(), file.tell(), size)
            return
        for start in range(0, size, _BLOCK):
            file.write(bytes(min(_BLOCK, size - start)))


def _write_array(
    path: Path, shape: tuple[int, ...], dtype: type[np.generic], fill: Callable[[np.ndarray], None]
) -> None:
    with files.atomic_path(path) as temporary:
        array = np.lib.format.open_memmap(temporary, mode="w+", dtype=dtype, shape=shape)
        _reserve_space(temporary, array.nbytes)
        fill(array)
        array.flush()


def cache_array(
    folder: Path, name: str, shape: tuple[int, ...], dtype: type[np.generic], fill: Callable[[np.ndarray], None]
) -> np.ndarray:
    """Return the cached array of a name, memory-mapped; if it is missing, `fill` computes it, written atomically.

    One of several processes computes it while the others wait.

    Raises:
        BadInput: the disk is full, or the cached file is damaged.
    """
    path = folder / f"{name}.npy"
    files.remove_leftovers(folder)
    if not path.is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"{folder}: cannot create the folder ({error.strerror})") from error
        with files.lock_output(path, wait_seconds=math.inf):  # runs can share the folder
            if not path.is_file():
                _write_array(path, shape, dtype, fill)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadInput(f"{path}: damaged cache file ({error}); delete it to recompute it") from error
    if array.shape != shape or array.dtype != dtype:
        raise BadInput(
            f"{path}: expected {np.dtype(dtype)} of shape {shape}, got {array.dtype} of shape {array.shape};"
            " delete it to recompute it"
        )
    return array
