"""Arrays that are computed once and kept on disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from anybind.plugin import BadInput, files


def kept_array(
    folder: Path, name: str, shape: tuple[int, ...], dtype: Any, fill: Callable[[np.ndarray], None]
) -> np.ndarray:
    """The array kept under a name, read from disk as it is used; where it is missing, `fill` makes it, whole or not.

    Raises:
        BadInput: the disk is full, or what is kept is damaged.
    """
    path = folder / f"{name}.npy"
    if not path.is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"cannot make the folder {folder}: {error.strerror}") from error
        with files.atomic_path(path) as temporary:
            array = np.lib.format.open_memmap(temporary, mode="w+", dtype=dtype, shape=shape)
            with temporary.open("r+b") as file:  # on a full disk, writing to mapped memory would end the process
                os.posix_fallocate(file.fileno(), 0, temporary.stat().st_size)
            fill(array)
            array.flush()
    try:
        kept = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadInput(f"{path} is damaged: {error}; remove it, and it is made anew") from error
    if kept.shape != shape or kept.dtype != dtype:
        raise BadInput(f"{path} holds {kept.dtype} of shape {kept.shape}, not {shape}; remove it, and it is made anew")
    return kept
