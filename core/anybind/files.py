"""Files and folders: atomic writes, listings, content hashes, the user's cache and data folders."""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import stat
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from anybind.errors import BadInput, BadOption, UnwritableOutput, WeightsMismatch
from anybind.image_files import MAX_IMAGE_PIXELS as MAX_IMAGE_PIXELS  # for plugins, as the next ones
from anybind.image_files import check_pixels as check_pixels
from anybind.image_files import ignore_image_warnings as ignore_image_warnings
from anybind.image_files import lift_pillow_limit as lift_pillow_limit
from anybind.image_files import open_image as open_image
from anybind.input_files import check_input as check_input
from anybind.input_files import check_pointer as check_pointer
from anybind.input_files import list_paths as list_paths
from anybind.locks import lock_file as lock_file
from anybind.locks import lock_output as lock_output
from anybind.locks import make_temporary_folder
from anybind.locks import remove_leftovers as remove_leftovers

PAGE_SUFFIXES = (".html", ".htm")
"""Suffixes of HTML pages."""
FileMark = tuple[int, int, int, int, int]
"""Size, times of modification and of change in nanoseconds, inode and device: equal only if a file was not written."""
_MAX_CACHED_FILES = 100_000
_MIN_AGE_NS = 2_000_000_000
"""Age in nanoseconds from which a hash is cached: a younger file may change within one tick of the file system."""
_WAIT_SECONDS = 30.0
"""How long a writer waits for another process that writes the same file."""
_hashes: dict[str, tuple[FileMark, bytes]] = {}
_lock = threading.Lock()


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Provide a temporary path of the same name; the file replaces `path` when the block ends without an error.

    If the block raises, the temporary file is removed and `path` stays unchanged. If the process is killed, the next
    one that writes into the folder removes it. `path` is locked against writers in other processes: see `lock_output`.
    A link is followed, not replaced.

    Raises:
        UnwritableOutput: as `check_output`, the disk is full, or another process is writing the file and does not end
            soon.
    """
    target = check_output(path)
    try:
        # A folder of its own: some writers make further files beside theirs.
        with lock_output(path, wait_seconds=_WAIT_SECONDS), make_temporary_folder(target) as folder:
            temporary = folder / target.name
            # `mkstemp` would create a file that only the owner can read.
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            mode = stat.S_IMODE(temporary.stat().st_mode)
            yield temporary
            temporary.chmod(mode)  # safetensors replaces the file by one that only the owner can read
            temporary.replace(target)
    except OSError as error:
        raise UnwritableOutput(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Provide a temporary folder that is renamed to the new folder `path` when the block ends without an error.

    Raises:
        BadInput: `path` exists and is not an empty folder, before the block runs.
        UnwritableOutput: as `atomic_path`.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not (target.is_dir() and next(target.iterdir(), None) is None):
            raise BadInput(f"cannot write {path}: it exists; choose another name, or remove it first")
        remove_leftovers(target.parent)
        with lock_output(path), make_temporary_folder(target) as folder:
            temporary = folder / target.name
            temporary.mkdir()
            yield temporary
            temporary.rename(target)
    except OSError as error:
        raise UnwritableOutput(f"cannot write {path}: {error.strerror or error}") from error


def check_output(
    path: str | os.PathLike[str],
    suffixes: Collection[str] = (),
    inputs: Iterable[str | os.PathLike[str]] = (),
) -> Path:
    """Check that a file can be written, and return its path with links resolved; remove leftovers beside it.

    Args:
        path: the file to write.
        suffixes: accepted suffixes in lower case, with the dot. [default: any]
        inputs: files that the output must not replace.

    Raises:
        BadOption: another suffix.
        UnwritableOutput: the folder is missing or not writable, or the path is a folder, a device or an input.
    """
    target = Path(os.path.realpath(path))
    if any(Path(os.path.realpath(each)) == target for each in inputs):
        raise UnwritableOutput(f"cannot write {path}: it is the input, which would be lost; give another output")
    if target.exists() and not target.is_file():
        raise UnwritableOutput(f"cannot write {path}: it is not a regular file; give the name of a file")
    if suffixes and Path(path).suffix.lower() not in suffixes:
        raise BadOption(f"cannot write {path}: expected a name that ends in {' or '.join(suffixes)}")
    if not target.parent.is_dir():
        raise UnwritableOutput(f"cannot write {path}: there is no folder {target.parent}; make it first")
    if not os.access(target.parent, os.W_OK):
        raise UnwritableOutput(f"cannot write {path}: no permission to write into {target.parent}")
    remove_leftovers(target.parent)
    return target


def portable_name(path: str | os.PathLike[str]) -> str:
    """Return a path as valid UTF-8 text; other bytes become escapes."""
    return os.fsencode(path).decode(errors="backslashreplace")


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


def compute_sha256(path: str | os.PathLike[str]) -> str:
    """Compute the SHA-256 of a file's bytes, 64 hexadecimal digits; raise `OSError` if it cannot be read."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path: str | os.PathLike[str], expected: str, remedy: str) -> None:
    """Check the SHA-256 of a file; an unchanged file is read once in a process.

    Args:
        path: the file.
        expected: its SHA-256, 64 hexadecimal digits.
        remedy: what to do about a changed file, the end of the message.

    Raises:
        BadInput: the file is missing or cannot be read.
        WeightsMismatch: it is truncated or changed.
    """
    check_input(path, folders=False)
    try:
        actual = _compute_unchanged_sha256(os.path.abspath(path), get_file_mark(path))  # noqa: PTH100
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror or error}") from error
    if actual != expected:
        raise WeightsMismatch(
            f"{path}: truncated or changed: expected SHA-256 {expected[:12]}, got {actual[:12]}; {remedy}"
        )


@functools.lru_cache(maxsize=64)
def _compute_unchanged_sha256(path: str, mark: FileMark | None) -> str:
    return compute_sha256(path)


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
