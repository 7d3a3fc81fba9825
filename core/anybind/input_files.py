"""Checks of paths and of input files before they are opened: pipes and devices, pointers of Git LFS and git-annex."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from anybind.errors import BadInput

SPECIAL_FILES = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
POINTERS = {
    b"version https://git-lfs.github.com/spec/": ("a Git LFS pointer", "git lfs pull"),
    b"version https://hawser.github.com/spec/": ("a Git LFS pointer", "git lfs pull"),
    b"/annex/objects/": ("a git-annex pointer", "git annex get"),
}
POINTER_BYTES = 64
_POINTER_SIGNS = tuple(POINTERS)


def list_paths(paths: object) -> list[str | os.PathLike[str]]:
    """Return paths as a list; a single one becomes a list of one.

    Raises:
        BadInput: one of them is not a path, such as a sample in memory.
    """
    if isinstance(paths, str | os.PathLike):
        return [paths]
    listed: list[str | os.PathLike[str]] = []
    for path in paths if isinstance(paths, Iterable) and not isinstance(paths, Mapping) else (paths,):
        if not isinstance(path, str | os.PathLike):
            what = type(paths if isinstance(paths, Mapping) else path).__name__
            raise BadInput(f"expected paths of files, got {what}; Binder.embed takes samples in memory")
        listed.append(path)
    return listed


def check_input(path: str | os.PathLike[str], folders: bool = True) -> None:
    """Check that an input file or folder exists; it is not opened, which would wait for the writer of a pipe.

    Args:
        path: the file or folder.
        folders: accept folders.

    Raises:
        BadInput: it does not exist, or a folder above it cannot be searched; or it is a pipe or a device.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 (many times a second)
    except (OSError, ValueError) as error:  # `ValueError`: a null character
        raise BadInput(f"cannot read {path}: {getattr(error, 'strerror', error)}; check the path") from error
    if stat.S_ISDIR(mode):
        if not folders:
            raise BadInput(f"{path} is a folder; give a file")
    elif not stat.S_ISREG(mode):
        kind = next((noun for is_kind, noun in SPECIAL_FILES if is_kind(mode)), "a special file")
        raise BadInput(f"{path}: expected a regular file, got {kind}; write the data to a file first")


def check_pointer(path: str | os.PathLike[str], head: bytes | None = None) -> None:
    """Raise `BadInput` for a pointer that Git LFS or git-annex leaves in the place of a file that was not fetched.

    Args:
        path: the file.
        head: its first bytes. [default: they are read]
    """
    if head is None:
        try:
            with Path(path).open("rb") as file:
                head = file.read(POINTER_BYTES)
        except OSError:
            return  # whoever opens the file reports the error
    if head.startswith(_POINTER_SIGNS):
        what, command = next(POINTERS[sign] for sign in POINTERS if head.startswith(sign))
        raise BadInput(f"{path}: expected the file itself, got {what}; fetch it: {command}")
