"""Weight files by path or from the model hub; cached files are used without network access."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from anybind.errors import BadInput, BadOption
from anybind.files import check_pointer

REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


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
) -> Path:
    """Return the folder of a repository at one revision, downloading files if it is incomplete.

    Args:
        repository: `ORG/REPO`.
        patterns: groups of file names (or patterns such as `*.json`), downloaded in turn until the folder is complete.
        is_complete: returns whether a folder has all required files.
        revision: commit, tag or branch. [default: the main branch]

    Returns:
        the folder in the hub's cache, named after the commit.

    Raises:
        BadInput: the hub cannot be reached, or does not have the files.
        BadOption: the repository's name is invalid.
        ModuleNotFoundError: as `find_weights_file`.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(repository, revision=revision, local_files_only=True))
        if is_complete(folder):
            return folder
    except LocalEntryNotFoundError:
        pass
    except ValueError as error:
        raise BadOption(f"{repository!r} is not the name of a repository of the hub (ORG/REPO): {error}") from error
    unavailable = _make_unavailable_error(repository, [name for group in patterns for name in group], revision)
    for group in patterns:
        try:
            # snapshot_download fails after one request; hf_hub_download retries for most of a minute.
            folder = Path(snapshot_download(repository, revision=revision, allow_patterns=list(group)))
        except (HfHubHTTPError, OSError, ValueError) as error:
            raise unavailable from error
        if is_complete(folder):
            return folder
    raise unavailable


def _make_unavailable_error(repository: str, names: Sequence[str], revision: str | None) -> BadInput:
    at = f" at {revision}" if revision else ""
    return BadInput(
        f"cannot fetch {repository}{at}: the hub cannot be reached, or does not have {' or '.join(names)};"
        " download it elsewhere and give its path, or put it into a folder and give local-dir:FOLDER"
    )
