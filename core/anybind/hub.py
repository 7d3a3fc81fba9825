"""Weight files by path or from the model hub; cached files are used without network access."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from anybind.download import Fingerprint, download_file, fetch_json
from anybind.errors import BadInput, BadOption
from anybind.files import atomic_path, check_pointer
from anybind.transfer import TransferError

REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
REPOSITORY_NAME = re.compile(r"(\w[\w.-]{0,94}/)?\w([\w.-]{0,94}\w)?", re.ASCII)
REVISION = re.compile(r"[\w./+-]{1,200}", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")
LOCK_SECONDS = 3600


def find_weights_file(
    source: str | os.PathLike[str], *, file: str | Sequence[str], revision: str | None = None
) -> Path:
    """Return the local path of a weight file, downloaded from the hub if it is not cached.

    Args:
        source: a file; a folder, optionally with `local-dir:` before it; or a repository of the hub, `ORG/REPO`.
        file: file name in the folder or repository; of several names, the first that exists.
        revision: commit, tag or branch of the repository; only a commit always has the same weights. Ignored for
            paths. [default: the main branch]

    Returns:
        the file. From the hub it is in the hub's cache, in a folder named after the commit.

    Raises:
        BadInput: there is no such file, or the hub cannot be reached.
        BadOption: the source is neither a path nor the name of a repository.
        ModuleNotFoundError: huggingface_hub is required and not installed; for a part with an extra, `create_part`
            raises `MissingExtra`.
    """
    names = (file,) if isinstance(file, str) else tuple(file)
    text = os.fspath(source)
    named = text.removeprefix("local-dir:")
    path = Path(named).expanduser()
    if path.is_file():
        check_pointer(path)
        return path
    if named and path.is_dir():
        return _find_in_folder(path, names)
    if text.startswith("local-dir:"):
        raise BadInput(f"{named!r} is not a folder; check the path")
    if isinstance(source, os.PathLike) or path.is_absolute() or text.startswith((".", "~")):
        raise BadInput(f"{path} does not exist; check the path")
    if not REPOSITORY.fullmatch(text):
        raise BadOption(f"{text!r} is neither a file, nor a folder, nor a repository of the hub (ORG/REPO)")
    folder = download_snapshot(
        text, [[name] for name in names], lambda folder: find_first_file(folder, names) is not None, revision
    )
    return _find_in_folder(folder, names)


def find_first_file(folder: Path, names: Sequence[str]) -> Path | None:
    """Return the first existing file of these names in a folder; None if there is none."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _find_in_folder(folder: Path, names: Sequence[str]) -> Path:
    if path := find_first_file(folder, names):
        check_pointer(path)
        return path
    raise BadInput(f"{folder} holds no {' and no '.join(names)}; put the file there, or name the file itself")


def download_snapshot(
    repository: str,
    patterns: Sequence[Sequence[str]],
    is_complete: Callable[[Path], bool],
    revision: str | None = None,
    *,
    max_bytes: int | None = None,
) -> Path:
    """Return the folder of a repository at one revision, downloading files if it is incomplete.

    A complete folder of the cache is returned without network access; its files are not hashed again. Every file is
    verified when it is downloaded, by the size and hash that the hub lists, and appears in the folder only then. The
    hub's answers choose no path outside the cache.

    Args:
        repository: `ORG/REPO`, or `REPO`.
        patterns: groups of file names (or patterns such as `*.json`), downloaded in turn until the folder is complete.
        is_complete: returns whether a folder has all required files.
        revision: commit, tag or branch. [default: the main branch]
        max_bytes: largest size of a downloaded file. [default: that of the disk]

    Returns:
        the folder in the hub's cache, named after the commit.

    Raises:
        BadInput: the hub cannot be reached, does not have the files, or sends other contents, too slowly, or without
            hashes; or the cache cannot be written.
        BadOption: the name of the repository or revision is invalid, or ANYBIND_DOWNLOAD_TIMEOUT.
        ModuleNotFoundError: as `find_weights_file`.
    """
    if not REPOSITORY_NAME.fullmatch(repository) or ".." in repository or "--" in repository:
        raise BadOption(f"{repository!r} is not the name of a repository of the hub (ORG/REPO)")
    revision = revision or "main"
    if not _is_safe_path(revision) or not REVISION.fullmatch(revision):
        raise BadOption(f"{revision!r} is not a commit, tag or branch of {repository}")
    from huggingface_hub import constants

    root = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    folder = _find_cached(root, revision)
    if folder and is_complete(folder):
        return folder
    try:
        if constants.HF_HUB_OFFLINE:
            raise TransferError("it is not in the cache, and HF_HUB_OFFLINE is set")
        return _Repository(repository, root, constants.ENDPOINT).download(patterns, is_complete, revision, max_bytes)
    except TransferError as error:
        at = "" if revision == "main" else f" at {revision}"
        raise BadInput(
            f"cannot fetch {repository}{at} ({' or '.join(name for group in patterns for name in group)}): {error};"
            " otherwise download it elsewhere and give its path, or local-dir:FOLDER"
        ) from error
    except OSError as error:
        raise BadInput(
            f"cannot write {error.filename or root}: {error.strerror or error}; HF_HUB_CACHE sets another folder"
        ) from error


def _is_safe_path(path: str) -> bool:
    """Return whether a relative path stays in its folder, on every system."""
    return not re.search(r"[\\:\x00-\x1f]", path) and not any(
        part in ("", ".", "..") or len(os.fsencode(part)) > 200 for part in path.split("/")
    )


def _find_cached(root: Path, revision: str) -> Path | None:
    """Return the cached folder of a revision, complete or not; None if there is none."""
    commit = revision
    if not COMMIT.fullmatch(revision):
        try:
            commit = (root / "refs" / revision).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return None
    folder = root / "snapshots" / commit
    return folder if COMMIT.fullmatch(commit) and folder.is_dir() else None


class _Repository:
    """A repository of the hub, and its folder in the cache, in the layout of huggingface_hub."""

    def __init__(self, name: str, root: Path, endpoint: str) -> None:
        import huggingface_hub

        self.name, self.root, self.endpoint = name, root, endpoint.rstrip("/")
        self.token = huggingface_hub.get_token()

    def download(
        self,
        patterns: Sequence[Sequence[str]],
        is_complete: Callable[[Path], bool],
        revision: str,
        max_bytes: int | None,
    ) -> Path:
        """Download groups of files until the folder is complete; return the folder."""
        commit, files = self._list_files(revision)
        folder = self.root / "snapshots" / commit
        for group in patterns:
            names = [name for name in files if any(fnmatch.fnmatchcase(name, pattern) for pattern in group)]
            # All names before the first file: a hub that lists one impossible name is not to be trusted.
            expected = {name: _read_fingerprint(name, files[name]) for name in names}
            for name, fingerprint in expected.items():
                if max_bytes is not None and fingerprint.size > max_bytes:
                    raise TransferError(
                        f"expected at most {max_bytes} bytes of {name}, the hub lists {fingerprint.size}"
                    )
            for name, fingerprint in expected.items():
                self._download_file(commit, name, fingerprint)
            if folder.is_dir() and is_complete(folder):
                if revision != commit:
                    _write_reference(self.root / "refs" / revision, commit)
                return folder
        raise TransferError("the hub does not have it")

    def _list_files(self, revision: str) -> tuple[str, Mapping[str, Mapping[str, object]]]:
        """Return the commit of a revision, and the hub's record of each of its files by name."""
        url = f"{self.endpoint}/api/models/{self.name}/revision/{quote(revision, safe='')}?blobs=true"
        listing = fetch_json(url, self.token)
        commit = listing.get("sha") if isinstance(listing, dict) else None
        if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
            raise TransferError(f"expected a commit of 40 hexadecimal digits from the hub, got {commit!r:.80}")
        if COMMIT.fullmatch(revision) and commit != revision:
            raise TransferError(f"the hub answers with another commit, {commit}")
        siblings = listing.get("siblings")
        if not isinstance(siblings, list) or not all(isinstance(each, dict) for each in siblings):
            raise TransferError("expected a list of files from the hub, got none")
        return commit, {name: each for each in siblings if isinstance(name := each.get("rfilename"), str)}

    def _download_file(self, commit: str, name: str, expected: Fingerprint) -> None:
        """Place a file in the folder of a commit: a link to its contents, which are named by their hash."""
        path = self.root / "snapshots" / commit / name
        blob = self.root / "blobs" / expected.digest
        if path.is_file():
            return
        lock = self.root.parent / ".locks" / self.root.name / f"{expected.digest}.lock"
        for each in (path, blob, lock):
            each.parent.mkdir(parents=True, exist_ok=True)
        with _lock(lock):
            if not expected.matches(blob):
                url = f"{self.endpoint}/{self.name}/resolve/{commit}/{quote(name)}"
                download_file(url, blob, expected, self.token)
            path.unlink(missing_ok=True)  # a dangling link
            try:
                path.symlink_to(os.path.relpath(blob, path.parent))
            except OSError:  # a file system without links, or Windows without the right to make them
                blob.replace(path)


def _read_fingerprint(name: str, record: Mapping[str, object]) -> Fingerprint:
    """Read the size and hash of a file from the hub's record of it; raise `TransferError` if they are missing."""
    if not _is_safe_path(name):
        raise TransferError(f"the hub lists a file of an unsafe name, {name!r:.80}")
    large = record.get("lfs")
    size, digest = (
        (large.get("size"), large.get("sha256"))
        if isinstance(large, dict)
        else (record.get("size"), record.get("blobId"))
    )
    digits = 64 if isinstance(large, dict) else 40
    if (
        type(size) is not int
        or size < 0
        or not isinstance(digest, str)
        or not re.fullmatch(f"[0-9a-f]{{{digits}}}", digest)
    ):
        raise TransferError(f"the hub gives no size and hash of {name}, by which to verify it")
    return Fingerprint(size, digest)


def _write_reference(path: Path, commit: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(commit, encoding="ascii")


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Wait until no other process downloads the same file."""
    import filelock  # takes 50 ms

    try:
        with filelock.FileLock(path, timeout=LOCK_SECONDS):
            yield
    except filelock.Timeout as error:
        raise TransferError(f"another process has been downloading it for {LOCK_SECONDS} s ({path})") from error
    except NotImplementedError as error:
        raise TransferError(f"cannot lock {path}: use another file system for HF_HUB_CACHE") from error
