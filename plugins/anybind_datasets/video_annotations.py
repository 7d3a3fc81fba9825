"""Files of datasets of videos: the videos, and annotations that become spans of abnormal frames."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from anybind.plugin import BadInput, files

SUFFIXES = (".avi", ".mkv", ".mov", ".mp4", ".webm")
Spans = list[list[int]]
"""Abnormal parts of a video: first frame and the frame behind the last, counted from 0."""


def films_by_name(root: Path) -> dict[str, Path]:
    """The video files in and below a folder, by their names without the ending; of doubles the first by path."""
    found: dict[str, Path] = {}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            found.setdefault(path.stem, path)
    return found


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, by name; none where it is missing."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def read_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and fields, parted by blanks, of each line of a text that is not blank; raises `BadInput`."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read {path}: {error}") from error
    return ((number, line.split()) for number, line in enumerate(lines, start=1) if line.strip())


def spans_from_one(pairs: Iterable[Sequence[int]], where: str) -> Spans:
    """Spans of frames that are counted from 1, the last included, as spans from 0; raises `BadInput`."""
    spans = []
    for pair in pairs:
        whole = len(pair) == 2 and all(isinstance(number, int) for number in pair)
        if not whole or not 0 <= pair[0] <= pair[1]:
            raise BadInput(f"{where}: an abnormal part is a first and a last frame, got {list(pair)}")
        spans.append([max(pair[0] - 1, 0), pair[1]])
    return spans


def fields_as_spans(fields: Sequence[str], where: str) -> Spans:
    """As `spans_from_one`, of numbers in a line of text; pairs of -1 stand for none."""
    try:
        numbers = [int(float(field)) for field in fields]
    except (ValueError, OverflowError):
        raise BadInput(f"{where}: expected numbers of frames, got {' '.join(fields)!r}") from None
    if len(numbers) % 2:
        raise BadInput(f"{where}: expected first and last frames in pairs, got {' '.join(fields)!r}")
    pairs = [numbers[place : place + 2] for place in range(0, len(numbers), 2)]
    return spans_from_one([pair for pair in pairs if pair != [-1, -1]], where)


def spans_of_mask(mask: np.ndarray) -> Spans:
    """The parts of a video whose frames have a mark other than 0, of (n,) marks."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(mask) != 0, [0]])))
    return [[int(first), int(behind)] for first, behind in edges.reshape(-1, 2)]


def spans_of_masks(folder: Path) -> Spans:
    """The frames of which any pixel is set, of a folder with a mask in BMP for each frame; raises `BadInput`."""
    marks = []
    for path in sorted(folder.glob("*.bmp")):
        try:
            with files.open_image(path) as mask:
                marks.append(np.asarray(mask).any())
        except (OSError, SyntaxError) as error:
            raise BadInput(f"{path} is no readable mask: {error}") from error
    return spans_of_mask(np.array(marks))


def spans_of_script(path: Path) -> list[Spans]:
    """The videos' spans in a MATLAB script of lines such as `TestVideoFile{end+1}.gt_frame = [5:90, 140:200];`."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from error
    films = []
    for number, line in enumerate(text.splitlines(), start=1):
        found = re.search(r"gt_frame\s*=\s*\[(.*?)\]", line)
        if found and not line.lstrip().startswith("%"):
            pairs = [re.findall(r"\d+", part) for part in re.split(r"[,;]", found[1]) if part.strip()]
            whole = [[int(part[0]), int(part[-1])] for part in pairs if part]
            films.append(spans_from_one(whole, f"{path}, line {number}"))
    return films


def spans_of_marks(path: Path) -> Spans:
    """The frames whose number is not 0, of a NumPy file with one for each frame; raises `BadInput`."""
    try:
        mask = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadInput(f"{path} is no NumPy file of numbers: {error}") from error
    if mask.ndim != 1 or mask.dtype.kind not in "biuf":
        raise BadInput(f"{path} must hold one number for each frame, got {mask.dtype} of shape {mask.shape}")
    return spans_of_mask(mask)
