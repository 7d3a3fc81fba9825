"""Seeds: small valid files of every format that a reader supports, and files given by name."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Seed:
    """A valid file that mutations begin with.

    Attributes:
        name: format and variant, such as `evt3` or `npz-table`.
        suffix: suffix of its name.
        content: the file.
        structure: name of its structure in `structure.STRUCTURES`.
        options: arguments of `anybind.read`, such as `reader`.
    """

    name: str
    suffix: str
    content: bytes
    structure: str = "binary"
    options: Mapping[str, Any] = field(default_factory=dict)


def make_seeds(family: str) -> list[Seed]:
    """Make the seeds of a family, the same ones at each call."""
    from helpers.fuzzing import archive_seeds, column_seeds, event_seeds, media_seeds, video_seeds

    makers: dict[str, Callable[[], list[Seed]]] = {
        "event-binary": event_seeds.make_binary_seeds,
        "event-aedat": event_seeds.make_aedat_seeds,
        "event-columns": column_seeds.make_column_seeds,
        "event-text": column_seeds.make_text_seeds,
        "event-archive": archive_seeds.make_archive_seeds,
        "image": media_seeds.make_image_seeds,
        "sound": media_seeds.make_sound_seeds,
        "depth": media_seeds.make_depth_seeds,
        "video": video_seeds.make_video_seeds,
    }
    return makers[family]()


FAMILIES = (
    "event-binary",
    "event-aedat",
    "event-columns",
    "event-text",
    "event-archive",
    "image",
    "sound",
    "depth",
    "video",
)
STRUCTURES_BY_SUFFIX = {
    ".aedat": "aedat", ".aedat4": "aedat4", ".avi": "riff", ".csv": "text", ".dat": "lines", ".flac": "flac",
    ".jpg": "jpeg", ".m4a": "mp4", ".mat": "mat5", ".mkv": "matroska", ".mov": "mp4", ".mp4": "mp4", ".npy": "npy",
    ".npz": "zip", ".ogg": "ogg", ".opus": "ogg", ".png": "png", ".raw": "lines", ".ts": "mpegts", ".txt": "text",
    ".wav": "riff", ".webm": "matroska", ".webp": "riff",
}  # fmt: skip
"""Structures of files given by name."""


def load_seed(path: Path, options: Mapping[str, Any]) -> Seed:
    """Load a file as a seed."""
    suffix = path.suffix.lower()
    return Seed(path.name, suffix, path.read_bytes(), STRUCTURES_BY_SUFFIX.get(suffix, "binary"), options)


def write_content(suffix: str, write: Callable[[Path], object]) -> bytes:
    """Return the content of a file that a function writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"seed{suffix}"
        write(path)
        return path.read_bytes()
