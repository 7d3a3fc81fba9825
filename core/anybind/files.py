"""Writing files whole or not at all, and hashing what identifies a part."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anybind.errors import BadInput


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`; what was written there takes its place when the block ends well.

    When the block raises, the temporary file goes and whatever stood at `path` stays as it was. The
    temporary name keeps the suffix, for writers that go by it.

    Raises:
        BadInput: the folder does not exist or cannot be written to.
    """
    path = Path(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise BadInput(
            f"cannot write {path}: {error.strerror}; give a path in a folder that you can write to"
        ) from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes files that only the owner can read
        temporary.replace(path)
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


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


def settings_hash(settings: Any) -> str:
    """Hash of JSON-like settings, 12 hexadecimal digits, independent of the order of keys."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
