"""Video files and frame annotations of video datasets; annotations become spans of abnormal frames."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from anybind.plugin import BadInput, files

SUFFIXES = (".avi", ".mkv", ".mov", ".mp4", ".webm")
EVENT_SUFFIXES = (".aedat", ".aedat4", ".bin", ".dat", ".es", ".h5", ".hdf5", ".npz", ".raw")
"""Suffixes of event recordings that no annotation file has."""
Spans = list[list[int]]
"""Abnormal spans of a video: first frame and end frame (exclusive), counted from 0."""


def find_videos(root: Path, suffixes: tuple[str, ...] = SUFFIXES) -> dict[str, Path]:
    """Find the video files below a folder, by name without suffix; of duplicates the first by path."""
    paths: dict[str, Path] = {}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            paths.setdefault(path.stem, path)
    return paths


def list_subfolders(folder: Path) -> list[Path]:
    """List a folder's subfolders by name; none if the folder is missing."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def read_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Read line number and whitespace-separated fields of each non-blank line; raise `BadInput`."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read {path}: {error}") from error
    return ((number, line.split()) for number, line in enumerate(lines, start=1) if line.strip())


def convert_spans(pairs: Iterable[Sequence[int]], location: str) -> Spans:
    """Convert spans counted from 1 with inclusive ends to spans from 0 with exclusive ends; raise `BadInput`."""
    spans = []
    for pair in pairs:
        is_pair = len(pair) == 2 and all(isinstance(number, int) for number in pair)
        if not is_pair or not 0 <= pair[0] <= pair[1]:
            raise BadInput(f"{location}: expected an abnormal span as first and last frame, got {list(pair)}")
        spans.append([max(pair[0] - 1, 0), pair[1]])
    return spans


def parse_spans(fields: Sequence[str], location: str) -> Spans:
    """Parse spans counted from 1, as in `convert_spans`, from text fields; pairs of -1 are ignored."""
    try:
        numbers = [int(float(field)) for field in fields]
    except (ValueError, OverflowError):
        raise BadInput(f"{location}: expected frame numbers, got {' '.join(fields)!r}") from None
    if len(numbers) % 2:
        raise BadInput(f"{location}: expected first and last frames in pairs, got {' '.join(fields)!r}")
    pairs = [numbers[position : position + 2] for position in range(0, len(numbers), 2)]
    return convert_spans([pair for pair in pairs if pair != [-1, -1]], location)


def find_spans(mask: np.ndarray) -> Spans:
    """Find the spans of nonzero frames in a mask (n,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(mask) != 0, [0]])))
    return [[int(first), int(stop)] for first, stop in edges.reshape(-1, 2)]


def read_mask_images(folder: Path) -> Spans:
    """Read a folder of BMP masks, one a frame, as spans of frames with any nonzero pixel; raise `BadInput`."""
    marks = []
    for path in sorted(folder.glob("*.bmp")):
        try:
            with files.open_image(path) as mask:
                marks.append(np.asarray(mask).any())
        except (OSError, SyntaxError) as error:
            raise BadInput(f"{path}: not a readable mask: {error}") from error
    return find_spans(np.array(marks))


def read_matlab_script(path: Path) -> list[Spans]:
    """Read the spans of each video from a MATLAB script with `TestVideoFile{end+1}.gt_frame = [5:90, 140:200];`."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from error
    spans = []
    for number, line in enumerate(text.splitlines(), start=1):
        match = re.search(r"gt_frame\s*=\s*\[(.*?)\]", line)
        if match and not line.lstrip().startswith("%"):
            pairs = [re.findall(r"\d+", part) for part in re.split(r"[,;]", match[1]) if part.strip()]
            bounds = [[int(part[0]), int(part[-1])] for part in pairs if part]
            spans.append(convert_spans(bounds, f"{path}, line {number}"))
    return spans


def read_numpy_mask(path: Path) -> Spans:
    """Read a NumPy file with one number a frame as spans of nonzero frames; raise `BadInput`."""
    try:
        mask = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadInput(f"{path}: not a NumPy file of numbers: {error}") from error
    if mask.ndim != 1 or mask.dtype.kind not in "biuf":
        raise BadInput(f"{path}: expected one number per frame, got {mask.dtype} of shape {mask.shape}")
    return find_spans(mask)
