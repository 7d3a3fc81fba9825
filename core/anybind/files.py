"""Files and folders: atomic writes, listings, content hashes, the user's cache and data folders."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
import time
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from anybind.errors import BadInput, BadOption
from anybind.locks import lock_file as lock_file  # for plugins, as the next ones
from anybind.locks import lock_output as lock_output
from anybind.locks import make_temporary_folder
from anybind.locks import remove_leftovers as remove_leftovers

if TYPE_CHECKING:
    import PIL.Image

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
IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
MAX_IMAGE_PIXELS = 1 << 26
"""Default limit of the pixels of an image (8192x8192): a file of kilobytes may declare gigabytes."""

FileMark = tuple[int, int, int, int, int]
"""Size, times of modification and of change in nanoseconds, inode and device: equal only if a file was not written."""
_MAX_CACHED_FILES = 100_000
_MIN_AGE_NS = 2_000_000_000
"""Age in nanoseconds from which a hash is cached: a younger file may change within one tick of the file system."""
_WAIT_SECONDS = 30.0
"""How long a writer waits for another process that writes the same file."""
_hashes: dict[str, tuple[FileMark, bytes]] = {}
_lock = threading.Lock()
_n_opening = _n_reading = 0
_image_filters: list[Any] = []
_pillow_limit: int | None = None


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Provide a temporary path of the same name; the file replaces `path` when the block ends without an error.

    If the block raises, the temporary file is removed and `path` stays unchanged. If the process is killed, the next
    one that writes into the folder removes it. `path` is locked against writers in other processes: see `lock_output`.
    A link is followed, not replaced.

    Raises:
        BadInput: as `check_output`, the disk is full, or another process is writing the file and does not end soon.
    """
    target = check_output(path)
    try:
        # A folder of its own: some writers make further files beside theirs.
        with lock_output(path, wait_seconds=_WAIT_SECONDS), make_temporary_folder(target) as folder:
            temporary = folder / target.name
            # `mkstemp` would create a file that only the owner can read.
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            yield temporary
            temporary.replace(target)
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Provide a temporary folder that is renamed to the new folder `path` when the block ends without an error.

    Raises:
        BadInput: `path` exists, or cannot be written; else as `atomic_path`.
    """
    target = Path(os.path.realpath(path))
    try:
        remove_leftovers(target.parent)
        with lock_output(path), make_temporary_folder(target) as folder:
            temporary = folder / target.name
            temporary.mkdir()
            yield temporary
            temporary.rename(target)
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror or error}") from error


def check_output(path: str | os.PathLike[str]) -> Path:
    """Check that a file can be written, and return its path with links resolved; remove leftovers beside it.

    Raises:
        BadInput: the folder is missing or not writable, or the path is a folder or a device.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise BadInput(f"cannot write {path}: it is not a regular file; give the name of a file")
    if not target.parent.is_dir():
        raise BadInput(f"cannot write {path}: there is no folder {target.parent}; make it first")
    if not os.access(target.parent, os.W_OK):
        raise BadInput(f"cannot write {path}: no permission to write into {target.parent}")
    remove_leftovers(target.parent)
    return target


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


def portable_name(path: str | os.PathLike[str]) -> str:
    """Return a path as valid UTF-8 text; other bytes become escapes."""
    return os.fsencode(path).decode(errors="backslashreplace")


def open_image(path: str | os.PathLike[str], max_pixels: int = MAX_IMAGE_PIXELS) -> PIL.Image.Image:
    """Open an image file with Pillow, in one of `IMAGE_FORMATS` whatever its name; pixels are decoded when used.

    Other formats are rejected whatever the file's name: some of Pillow's decoders start programs, such as Ghostscript
    for EPS.

    Args:
        path: image file.
        max_pixels: largest width times height that its header may declare, in place of Pillow's own limit.

    Raises:
        BadInput: the file is missing, of another format or not a regular file, its header is damaged, or it declares
            more pixels.
        OSError: the file cannot be read; Pillow raises other types too for some damage.
    """
    import PIL
    import PIL.Image

    check_input(path, folders=False)
    try:
        with lift_pillow_limit():
            image = PIL.Image.open(path, formats=IMAGE_FORMATS)  # noqa: TID251 (the only place that may)
    except PIL.UnidentifiedImageError as error:
        with Path(path).open("rb") as file:
            head = file.read(POINTER_BYTES)
        check_pointer(path, head)
        for name in IMAGE_FORMATS:
            accept = PIL.Image.OPEN[name][1] if name in PIL.Image.OPEN else None
            verdict = accept is not None and accept(head)
            if verdict and not isinstance(verdict, str):  # a string is the reason why Pillow lacks the format
                raise BadInput(f"{os.fspath(path)}: incomplete image: damaged {name} header; save it again") from error
        raise BadInput(
            f"{os.fspath(path)}: expected an image ({', '.join(IMAGE_FORMATS)}), got contents that begin with"
            f" {head[:8]!r}; convert it to PNG"
        ) from error
    try:
        check_pixels(path, image.width, image.height, max_pixels)
    except BaseException:
        image.close()
        raise
    return image


def check_pixels(path: str | os.PathLike[str], width: int, height: int, max_pixels: int) -> None:
    """Raise `BadInput` for an image or a frame whose header declares more than `max_pixels` pixels.

    Raises:
        BadInput: the header declares more pixels.
        BadOption: `max_pixels` is less than 1.
    """
    if max_pixels < 1:
        raise BadOption(f"max_pixels: expected at least 1, got {max_pixels}")
    if width * height > max_pixels:
        raise BadInput(
            f"{os.fspath(path)}: {width}x{height} pixels exceed the limit of {max_pixels}; save a smaller image, or"
            f" raise the limit: max_pixels={width * height}"
        )


@contextmanager
def ignore_image_warnings() -> Iterator[None]:
    """Ignore Pillow's warnings on damaged metadata while any thread reads an image; damaged pixels are errors.

    `warnings.catch_warnings` would not do: with several threads, its filters could stay.
    """
    global _n_reading
    with _lock:
        if not _n_reading:
            warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
            _image_filters[:] = warnings.filters[:1]
        _n_reading += 1
    try:
        yield
    finally:
        with _lock:
            _n_reading -= 1
            if not _n_reading and _image_filters[0] in warnings.filters:
                cast("list[Any]", warnings.filters).remove(_image_filters[0])


@contextmanager
def lift_pillow_limit() -> Iterator[None]:
    """Lift Pillow's limit of pixels, one per process, while any thread reads a header; `open_image` has its own.

    Pillow checks TIFF files again when they are decoded.
    """
    import PIL.Image

    global _n_opening, _pillow_limit
    with _lock:
        if not _n_opening:
            _pillow_limit, PIL.Image.MAX_IMAGE_PIXELS = PIL.Image.MAX_IMAGE_PIXELS, None
        _n_opening += 1
    try:
        yield
    finally:
        with _lock:
            _n_opening -= 1
            if not _n_opening:
                PIL.Image.MAX_IMAGE_PIXELS = _pillow_limit


def list_files(folder: str | os.PathLike[str], suffixes: Collection[str]) -> list[Path]:
    """List the files in and below a folder with one of the suffixes (lower case, with the dot), by path.

    Hidden files and folders are skipped.

    Raises:
        BadInput: the folder is missing, or holds no such file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BadInput(f"{folder} is not a folder; check the path")
    paths = [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes
        and not any(name.startswith(".") for name in path.relative_to(folder).parts)
        and path.is_file()
    ]
    if not paths:
        raise BadInput(f"{folder} holds no samples (files ending in {', '.join(sorted(suffixes))})")
    return sorted(paths)


def get_cache_folder(name: str = "") -> Path:
    """Return a folder in the user's cache folder for anybind, such as `~/.cache/anybind/NAME`; it is not created."""
    import platformdirs

    return platformdirs.user_cache_path("anybind", appauthor=False) / name


def get_data_folder(name: str = "") -> Path:
    """Return a folder in the user's data folder for anybind, `~/.local/share/anybind/NAME`; it is not created."""
    import platformdirs

    return platformdirs.user_data_path("anybind", appauthor=False) / name


def get_file_mark(path: str | os.PathLike[str]) -> FileMark | None:
    """Return the metadata that changes when a file is written; None for a folder, a pipe or a device.

    Raises:
        OSError: there is no such file.
    """
    info = os.stat(path)  # noqa: PTH116 (many times a second)
    if not stat.S_ISREG(info.st_mode):
        return None
    return info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino, info.st_dev


def hash_file(path: str | os.PathLike[str], mark: FileMark | None = None) -> bytes:
    """Hash a file's bytes, 16 bytes; a process reads an unchanged file once.

    Args:
        path: the file.
        mark: its `get_file_mark`, if available.

    Raises:
        OSError: the file is missing, cannot be read, or is not a regular file.
    """
    mark = mark or get_file_mark(path)
    if mark is None:
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    if (cached := find_cached_file_key(path, mark)) is not None:
        return cached
    now = time.time_ns()
    with Path(path).open("rb") as file:
        key = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()
    if max(mark[1], mark[2]) < now - _MIN_AGE_NS and mark == get_file_mark(path):
        cache_file_key(path, mark, key)
    return key


def find_cached_file_key(path: str | os.PathLike[str], mark: FileMark) -> bytes | None:
    """Return a file's hash from this process's cache; None if it is missing or the file has changed."""
    entry = _hashes.get(os.path.abspath(path))  # noqa: PTH100 (as a text, and many times a second)
    return entry[1] if entry is not None and entry[0] == mark else None


def cache_file_key(path: str | os.PathLike[str], mark: FileMark, key: bytes) -> None:
    """Cache a file's hash, valid as long as its mark stays the same."""
    with _lock:
        if len(_hashes) >= _MAX_CACHED_FILES:
            _hashes.clear()
        _hashes[os.path.abspath(path)] = (mark, key)  # noqa: PTH100
