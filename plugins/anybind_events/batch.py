"""Processing of the recordings in folders, each to a file of its own: resumable, with the folders' structure."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from anybind import AnybindError
from anybind.plugin import BadInput, BadOption, errors, files, loops, readers

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
Sources = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""A file or folder, or several."""


@dataclass(frozen=True)
class Batch(Generic[R_co]):
    """What became of several files.

    Attributes:
        results: one result per file that this call wrote, in the order of the files.
        up_to_date: outputs of earlier calls that are newer than their files.
    """

    results: Sequence[R_co]
    up_to_date: Sequence[str]


def plan_outputs(sources: Sources, folder: Path, suffix: str) -> dict[Path, Path]:
    """Return the file to write for each source file: its path below its folder, with another suffix.

    Args:
        sources: files, and folders whose recordings are meant.
        folder: the output folder, whose recordings are skipped.
        suffix: suffix of the outputs, with the dot.

    Raises:
        BadInput: a source is missing or has no recordings, two files have the same output, or an output is a source.
        BadOption: the output folder has the name of a file.
    """
    if folder.suffix.lower() in readers.list_suffixes() and not folder.is_dir():
        raise BadOption(f"{folder}: expected a folder for the outputs of several recordings, got the name of a file")
    paths = [Path(source) for source in files.list_paths(sources)]
    plan: dict[Path, Path] = {}
    for path in paths:
        files.check_input(path)
        for file in _list_recordings(path, folder) if path.is_dir() else [path]:
            below = file.relative_to(path) if path.is_dir() else Path(file.name)
            plan[file] = folder / below.with_suffix(suffix)
    origins = {file.resolve() for file in plan}
    first: dict[Path, Path] = {}
    for file, output in plan.items():
        other = first.setdefault(output, file)
        if other.resolve() != file.resolve():
            raise BadInput(f"{other} and {file} would both be written to {output}; convert them to different folders")
        if output.resolve() in origins:
            raise BadInput(f"{output} would replace a recording that is to be read; give another output folder")
    return plan


def _list_recordings(source: Path, output: Path) -> Iterable[Path]:
    """List the recordings in and below a folder, without those in the output folder unless it is the same."""
    inner = output.resolve() != source.resolve()
    paths = readers.list_samples(source, ["event"])
    return [path for path in paths if not (inner and path.resolve().is_relative_to(output.resolve()))]


def process_files(
    plan: Mapping[Path, Path],
    process: Callable[[Path, Path], R],
    description: str,
    *,
    is_complete: Callable[[Path], bool],
    overwrite: bool = False,
    on_bad: errors.OnBad | None = None,
) -> Batch[R]:
    """Process the files one after the other, with a progress bar, and keep the outputs of earlier calls.

    Args:
        plan: the output of each file.
        process: reads a file and writes its output, completely or not at all.
        description: text of the progress bar.
        is_complete: whether an output that is newer than its file is the requested one.
        overwrite: replace existing outputs.
        on_bad: called with the file and the error of one that cannot be processed; without it, the error is raised.

    Raises:
        UnwritableOutput: an output cannot be written, or its folder cannot be made.
    """
    results: list[R] = []
    up_to_date: list[str] = []
    with loops.progress_bar(len(plan), description) as advance:
        for file, output in plan.items():
            if not overwrite and _is_newer(output, file) and is_complete(output):
                up_to_date.append(str(output))
            else:
                try:
                    _make_folder(output.parent)
                    results.append(process(file, output))
                except AnybindError as error:
                    if on_bad is None or isinstance(error, errors.UnwritableOutput):
                        raise
                    on_bad(files.portable_name(file), error)
            advance(1, file.name)
    return Batch(results, up_to_date)


def _is_newer(output: Path, file: Path) -> bool:
    """Return whether an output exists and was written after its file. Writing is atomic, so it is whole."""
    try:
        return output.is_file() and output.stat().st_mtime_ns >= file.stat().st_mtime_ns
    except OSError:  # reading the file reports the error
        return False


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"cannot make the folder {folder}: {error.strerror}; give another output folder"
        raise errors.UnwritableOutput(reason) from error


def require_single_file(source: str | os.PathLike[str], function: str) -> None:
    """Raise `BadOption` for a folder, and name the function that takes one."""
    if Path(source).is_dir():
        raise BadOption(f"{source} is a folder; its recordings are processed by {function}, or by the command with -o")
