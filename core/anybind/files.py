"""Writing files whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from anybind.errors import BadInput

if TYPE_CHECKING:
    import PIL.Image

IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`; what was written there takes its place when the block ends well.

    When the block raises, the temporary file goes and whatever stood at `path` stays as it was. The
    temporary name keeps the suffix, for writers that go by it. A link is followed, not replaced.

    Raises:
        BadInput: as `check_output`, or the disk is full.
    """
    target = check_output(path)
    temporary = target.with_name(f".anybind-{secrets.token_hex(8)}{target.suffix}")
    try:
        # Opened by hand, since `mkstemp` makes files that only the owner can read.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        temporary.replace(target)
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def check_output(path: str | os.PathLike[str]) -> Path:
    """The file that a path stands for, links followed, once it is sure that it can be written.

    Raises:
        BadInput: the folder is missing or cannot be written to, or the path is a folder or a device.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise BadInput(f"cannot write {path}: it is no regular file; give the name of a file")
    if not target.parent.is_dir():
        raise BadInput(f"cannot write {path}: there is no folder {target.parent}; make it first")
    if not os.access(target.parent, os.W_OK):
        raise BadInput(f"cannot write {path}: no permission to write into {target.parent}")
    return target


def name_of_path(path: str | os.PathLike[str]) -> str:
    """A path as text that can be printed and saved: bytes that are no UTF-8 are shown as escapes."""
    return os.fsencode(path).decode(errors="backslashreplace")


def open_image(path: str | os.PathLike[str]) -> PIL.Image.Image:
    """Open an image file by Pillow, in one of `IMAGE_FORMATS` whatever its name; pixels are decoded when used.

    Others are refused, since Pillow has decoders that start programs, such as Ghostscript for EPS.
    """
    import PIL.Image

    return PIL.Image.open(path, formats=IMAGE_FORMATS)


def list_files(folder: str | os.PathLike[str], suffixes: Collection[str]) -> list[Path]:
    """The files in and below a folder with one of the endings (lower case, with the dot), by path.

    Hidden files and folders are passed over.

    Raises:
        BadInput: the folder is missing, or holds no such file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder; check the path")
    found = [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes
        and not any(name.startswith(".") for name in path.relative_to(folder).parts)
        and path.is_file()
    ]
    if not found:
        raise BadInput(f"{folder} holds no samples (files ending in {', '.join(sorted(suffixes))})")
    return sorted(found)
