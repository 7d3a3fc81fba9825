"""Memory that the header of a file honestly declares: its pixels, samples or events, within the limits of the readers."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PIXEL_BYTES = 16
"""Largest memory per pixel that the image reader states."""
VIDEO_PIXEL_BYTES = 40
"""Memory per pixel of a video: frames in the decoder and in the queue, and the one that is converted."""
EVENT_BYTES = 64
SAMPLE_BYTES = 16


def count_declared_bytes(path: Path, options: Mapping[str, Any]) -> int:
    """Return the bytes that reading what the header declares takes; 0 if no header can be read."""
    total = 0
    for count in (_count_image, _count_exr, _count_video, _count_arrays, _count_hdf5):
        with warnings.catch_warnings(), contextlib.suppress(Exception):
            warnings.simplefilter("ignore")
            total = max(total, count(path))
    return total


def _count_image(path: Path) -> int:
    from anybind.plugin import files

    with files.open_image(path) as image:
        # An animation also has the canvas and the frame before.
        is_animated = getattr(image, "is_animated", False)
        return image.width * image.height * (VIDEO_PIXEL_BYTES if is_animated else PIXEL_BYTES)


def _count_exr(path: Path) -> int:
    import OpenEXR

    with OpenEXR.File(os.fspath(path), header_only=True) as file:
        (left, top), (right, bottom) = file.header()["dataWindow"]
        return int(right - left + 1) * int(bottom - top + 1) * PIXEL_BYTES * len(file.header()["channels"])


def _count_video(path: Path) -> int:
    import av

    from anybind_media.video_decoder import MAX_PIXELS

    with av.open(os.fspath(path), metadata_errors="replace") as container:
        stream = container.streams.best("video")
        context = getattr(stream, "codec_context", None)
        pixels = max(context.coded_width * context.coded_height, context.width * context.height) if context else 0
        return min(pixels, MAX_PIXELS) * VIDEO_PIXEL_BYTES


def _count_arrays(path: Path) -> int:
    import zipfile

    with zipfile.ZipFile(path) as archive:
        return sum(member.file_size for member in archive.infolist()) * 8


def _count_hdf5(path: Path) -> int:
    import h5py

    sizes: list[int] = []
    with h5py.File(path) as file:
        file.visititems(lambda name, item: sizes.append(item.size) if isinstance(item, h5py.Dataset) else None)
    return sum(sizes) * EVENT_BYTES
