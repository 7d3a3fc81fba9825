"""Weight files by path or from the model hub; what is already here is used without asking the network."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from anybind.errors import BadInput, BadOption

REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


def find_weights_file(
    source: str | os.PathLike[str], *, file: str | Sequence[str], revision: str | None = None
) -> Path:
    """The path of a weight file on this machine, fetched from the hub only where it is not there yet.

    Args:
        source: a file; a folder, which `local-dir:` may precede; or a repository of the hub, `ORG/REPO`.
        file: what the file is called in a folder or repository; of several names, the first that is there.
        revision: of the repository: a commit, tag or branch; its main branch by default. A commit always
            names the same weights. Paths have none.

    Returns:
        the file. From the hub it lies in the hub's own cache, in a folder named after the commit.

    Raises:
        BadInput: there is no such file, or the hub cannot be reached or has none.
        BadOption: the source is neither a path nor the name of a repository.
        ModuleNotFoundError: the hub is needed, and the package huggingface_hub is not installed; for a part
            with an extra, `anybind.create` makes a `MissingExtra` of it.
    """
    names = (file,) if isinstance(file, str) else tuple(file)
    text = os.fspath(source)
    named = text.removeprefix("local-dir:")
    path = Path(named).expanduser()
    if path.is_file():
        return path
    if named and path.is_dir():
        return _of_folder(path, names)
    if text.startswith("local-dir:"):
        raise BadInput(f"{named!r} is no folder; check the path")
    if isinstance(source, os.PathLike) or path.is_absolute() or text.startswith((".", "~")):
        raise BadInput(f"{path} is no file and no folder; check the path")
    if not REPOSITORY.fullmatch(text):
        raise BadOption(f"{text!r} is neither a file, nor a folder, nor a repository of the hub (ORG/REPO)")
    folder = download_snapshot(
        text, [[name] for name in names], lambda folder: find_first_file(folder, names) is not None, revision
    )
    return _of_folder(folder, names)


def find_first_file(folder: Path, names: Sequence[str]) -> Path | None:
    """Return the first of some files that a folder has."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _of_folder(folder: Path, names: Sequence[str]) -> Path:
    if path := find_first_file(folder, names):
        return path
    raise BadInput(f"{folder} holds no {' and no '.join(names)}; put the file there, or name the file itself")


def download_snapshot(
    repository: str,
    patterns: Sequence[Sequence[str]],
    is_complete: Callable[[Path], bool],
    revision: str | None = None,
) -> Path:
    """Return the folder of a repository's files at one revision, fetching only where it is not complete yet.

    Args:
        repository: `ORG/REPO`.
        patterns: groups of file names (or patterns such as `*.json`), fetched one after the other until the folder is
            complete.
        is_complete: whether a folder has all the files needed.
        revision: a commit, tag or branch; the main branch by default.

    Returns:
        the folder in the hub's own cache, named after the commit.

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
    lacking = _lacking(repository, [name for group in patterns for name in group], revision)
    for group in patterns:
        try:
            # snapshot_download asks the hub once and gives up at once; hf_hub_download tries for most of a minute.
            folder = Path(snapshot_download(repository, revision=revision, allow_patterns=list(group)))
        except (HfHubHTTPError, OSError, ValueError) as error:
            raise lacking from error
        if is_complete(folder):
            return folder
    raise lacking


def _lacking(repository: str, names: Sequence[str], revision: str | None) -> BadInput:
    at = f" at {revision}" if revision else ""
    return BadInput(
        f"cannot fetch {repository}{at}: the hub cannot be reached, or does not have {' or '.join(names)};"
        " download it elsewhere and give its path, or put it into a folder and give local-dir:FOLDER"
    )
