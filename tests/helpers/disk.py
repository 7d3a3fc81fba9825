"""Full disks and read-only folders."""

from __future__ import annotations

import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def limit_file_size(left: int) -> Iterator[None]:
    """Limit the size of files in bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def mount_disk(folder: Path, size: str = "1m") -> Iterator[None]:
    """Mount a file system in memory of this size on a folder; skip the test where that is not allowed."""
    folder.mkdir(exist_ok=True)
    _run_or_skip("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def make_read_only(folder: Path) -> Iterator[None]:
    """Remount the file system of `mount_disk` read-only, which also stops the superuser."""
    _run_or_skip("mount", "-o", "remount,ro", str(folder))
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)


def fill_disk(folder: Path) -> None:
    """Fill a file system to its last block with the file `ballast`; empty files can still be made."""
    with pytest.raises(OSError, match="No space left"), (folder / "ballast").open("wb", buffering=0) as file:
        while file.write(bytes(1024)):
            pass


def _run_or_skip(*command: str) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"needs the program {command[0]}")
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        pytest.skip(f"mounting is not possible here: {process.stderr.strip()}")
