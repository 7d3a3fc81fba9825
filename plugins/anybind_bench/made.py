"""Data sets that make their data: each gets a folder of its own, and what is in it is made once."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anybind.plugin import BadInput, Dataset, DatasetSpec, create, find_part, tables
from anybind_bench.identity import package_stamp
from anybind_bench.lock import file_lock


def make_dataset(root: Path, name: str, kinds: tuple[str, ...], options: Mapping[str, Any]) -> Dataset:
    """A data set that makes its data, in a folder below `root` that depends on the options and the plugin's files.

    The first time that folder is empty; later it holds what the same data set with the same options made before. What
    a run that was ended has left half-made goes first. Of several processes one makes, and the others wait.

    Raises:
        BadInput: nothing can be written below `root`.
        AnybindError: as the data set raises.
    """
    folder = _folder(root, name, kinds, options)
    whole = _whole(folder)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with file_lock(folder.with_name(f"{folder.name}.lock")):
            if not whole.exists():
                shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(exist_ok=True)
            made = create("dataset", name, folder, modalities=kinds, **options)
            whole.touch()
            return made
    except OSError as error:
        raise BadInput(f"cannot write below {root}: {error.strerror or error}") from error


def is_made(root: Path, name: str, kinds: tuple[str, ...], options: Mapping[str, Any]) -> bool:
    """Whether the data are there already."""
    return _whole(_folder(root, name, kinds, options)).exists()


def _folder(root: Path, name: str, kinds: tuple[str, ...], options: Mapping[str, Any]) -> Path:
    package = find_part(DatasetSpec, name).spec.target.partition(":")[0].partition(".")[0]
    return root / f"{name}-{tables.settings_hash([name, kinds, dict(options), package_stamp(package)])}"


def _whole(folder: Path) -> Path:
    """A file that says that all was made."""
    return folder.with_name(f"{folder.name}.whole")
