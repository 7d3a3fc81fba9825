"""Locks of outputs between processes, and removal of the temporary files that killed processes leave behind."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anybind.errors import BadInput

PREFIX = ".anybind-"
"""Beginning of the names of temporary files and locks: PREFIX KEY .lock, and PREFIX KEY - and random digits."""
_KEY_DIGITS = 12
_POLL_SECONDS = 0.05
_MAX_AGE_SECONDS = 24 * 3600
"""Age from which a temporary file is taken for a leftover where locks cannot tell."""
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
"""Errors of file systems without locks."""
_NETWORK_TYPES = ("nfs", "cifs", "smb", "9p", "fuse.", "ceph", "lustre", "gpfs", "beegfs", "afs", "gluster", "virtiofs")
_guard = threading.Lock()
_outputs: dict[Path, tuple[int, int]] = {}
"""Descriptor (-1: without a lock) and number of users of each output that this process has locked."""
_cleaned: set[Path] = set()


def _forget_locks() -> None:
    """Forget the locks of the parent process, in a child after a fork; closing their files would not end them."""
    global _guard
    _guard = threading.Lock()
    _outputs.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_locks)


@contextmanager
def lock_file(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Lock a file, made for that, within a `with` block, and remove it; the lock ends with its process at the latest.

    Yields:
        whether the file is locked: False only without `wait`, if it is locked elsewhere, in this process or another.

    Raises:
        BadInput: the file cannot be created, or its file system has no locks.
    """
    try:
        while (descriptor := _try_lock(path)) is None and wait:
            time.sleep(_POLL_SECONDS)
    except OSError as error:
        raise BadInput(f"cannot lock {path}: {error.strerror}; use a folder on another file system") from error
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            _unlock(path, descriptor)


@contextmanager
def lock_output(path: str | os.PathLike[str], wait_seconds: float = 0.0) -> Iterator[None]:
    """Lock an output within a `with` block against writers in other processes; a process can lock it repeatedly.

    The lock is a hidden file beside the output. It ends with its process, and where the file system has no locks,
    nothing is locked.

    Args:
        path: the file or folder to be written; links are followed.
        wait_seconds: how long to wait for another process.

    Raises:
        BadInput: another process is writing the output, or its folder is not writable.
    """
    target = Path(os.path.realpath(path))
    lock, deadline = _get_lock_path(target), time.monotonic() + wait_seconds
    try:
        while not _enter_output(target, lock):
            if time.monotonic() > deadline:
                raise BadInput(
                    f"cannot write {path}: another process is writing it; wait for it to end, or choose another output"
                )
            time.sleep(_POLL_SECONDS)
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror or error}") from error
    try:
        yield
    finally:
        _leave_output(target, lock)


def _enter_output(target: Path, lock: Path) -> bool:
    with _guard:
        descriptor, users = _outputs.get(target, (-1, 0))
        if not users:
            try:
                locked = _try_lock(lock)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                locked = -1
            if locked is None:
                return False
            descriptor = locked
        _outputs[target] = descriptor, users + 1
        return True


def _leave_output(target: Path, lock: Path) -> None:
    with _guard:
        descriptor, users = _outputs.pop(target, (-1, 0))  # a child forked within the block has none
        if users > 1:
            _outputs[target] = descriptor, users - 1
        elif descriptor >= 0:
            _unlock(lock, descriptor)


@contextmanager
def make_temporary_folder(target: Path) -> Iterator[Path]:
    """Make a folder beside an output for its next state, removed at the end of the block.

    The output is to be locked; `remove_leftovers` removes the folder if this process is killed.

    Raises:
        OSError: the folder cannot be made.
    """
    folder = target.with_name(f"{PREFIX}{_get_key(target)}-{os.urandom(6).hex()}")
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files that killed processes left in a folder; a process does so once a folder.

    Those whose output is locked belong to a living process. Where locks are missing, or may not reach processes on
    other machines, only those are removed that have not changed for a day.
    """
    with _guard:
        if folder in _cleaned:
            return
        _cleaned.add(folder)
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.name.startswith(PREFIX)]
    except OSError:
        return  # whoever writes reports the error
    if not names:
        return
    on_network = is_on_network_drive(folder)
    for key in sorted({name.removeprefix(PREFIX)[:_KEY_DIGITS] for name in names}):
        lock = folder / f"{PREFIX}{key}.lock"
        try:
            if (descriptor := _try_lock(lock)) is None:
                continue
        except OSError:
            descriptor = None
        for path in (folder / name for name in names if name.startswith(f"{PREFIX}{key}")):
            # Files of earlier versions, which had no locks, have no dash after the key.
            is_locked = descriptor is not None and not on_network and path.name.startswith(f"{PREFIX}{key}-")
            if path != lock and (is_locked or _is_old(path)):
                _remove(path)
        if descriptor is not None:
            _unlock(lock, descriptor)


def is_on_network_drive(folder: Path) -> bool:
    """Return whether `/proc/mounts` lists a folder's file system as a network one; False on other systems."""
    folder = Path(os.path.realpath(folder))
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return False
    types = {Path(place.replace("\\040", " ")): kind for _, place, kind, *_ in map(str.split, mounts)}
    type = next((types[each] for each in (folder, *folder.parents) if each in types), "")
    return type.startswith(_NETWORK_TYPES)


def _get_key(target: Path) -> str:
    return hashlib.blake2b(os.fsencode(target.name), digest_size=_KEY_DIGITS // 2).hexdigest()


def _get_lock_path(target: Path) -> Path:
    return target.with_name(f"{PREFIX}{_get_key(target)}.lock")


def _try_lock(path: Path) -> int | None:
    """Create and lock a file; return its descriptor, or None if it is locked elsewhere.

    Raises:
        OSError: the file cannot be created, or the file system has no locks.
    """
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except PermissionError:  # another user's
            descriptor = os.open(path, os.O_RDONLY)
        try:
            if not _lock_descriptor(descriptor):
                os.close(descriptor)
                return None
            with contextlib.suppress(FileNotFoundError):
                # Its holder may have removed it after it was opened here: then it excludes nobody.
                if os.path.samestat(os.fstat(descriptor), os.stat(path)):  # noqa: PTH116
                    return descriptor
        except OSError as error:
            os.close(descriptor)
            if error.errno in _NO_LOCKS:
                path.unlink(missing_ok=True)
            raise
        os.close(descriptor)


def _lock_descriptor(descriptor: int) -> bool:
    """Lock an open file; return False if it is locked elsewhere."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK):
            return False
        raise
    return True


def _unlock(path: Path, descriptor: int) -> None:
    """Remove a locked file, and end its lock, also where a forked process has inherited the descriptor."""
    with contextlib.suppress(OSError):  # Windows removes no open file, and another user's may not be removed
        path.unlink()
    if sys.platform != "win32":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _is_old(path: Path) -> bool:
    with contextlib.suppress(OSError):
        times = [each.stat().st_mtime for each in (path, *path.glob("*"))]
        return max(times) < time.time() - _MAX_AGE_SECONDS
    return False


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
