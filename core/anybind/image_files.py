"""Opening image files with Pillow: allowed formats, limits of pixels, warnings."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from anybind.errors import BadInput, BadOption
from anybind.input_files import POINTER_BYTES, check_input, check_pointer

if TYPE_CHECKING:
    import PIL.Image

IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
MAX_IMAGE_PIXELS = 1 << 26
"""Default limit of the pixels of an image (8192x8192): a file of kilobytes may declare gigabytes."""
_lock = threading.Lock()
_n_opening = _n_reading = 0
_image_filters: list[object] = []
_pillow_limit: int | None = None


def open_image(path: str | os.PathLike[str], max_pixels: int = MAX_IMAGE_PIXELS) -> PIL.Image.Image:
    """Open an image file with Pillow, in one of `IMAGE_FORMATS` whatever its name; pixels are decoded when used.

    Other formats are rejected whatever the file's name: some of Pillow's decoders start programs, such as Ghostscript
    for EPS.

    Args:
        path: image file.
        max_pixels: largest width times height that its header may declare, in place of Pillow's own limit.

    Raises:
        BadInput: the file is missing, of another format or not a regular file, its header is damaged, or it declares
            more pixels.
        OSError: the file cannot be read; Pillow raises other types too for some damage.
    """
    import PIL
    import PIL.Image

    check_input(path, folders=False)
    try:
        with lift_pillow_limit():
            image = PIL.Image.open(path, formats=IMAGE_FORMATS)  # noqa: TID251 (the only place that may)
    except PIL.UnidentifiedImageError as error:
        with Path(path).open("rb") as file:
            head = file.read(POINTER_BYTES)
        check_pointer(path, head)
        for name in IMAGE_FORMATS:
            accept = PIL.Image.OPEN[name][1] if name in PIL.Image.OPEN else None
            verdict = accept is not None and accept(head)
            if verdict and not isinstance(verdict, str):  # a string is the reason why Pillow lacks the format
                raise BadInput(f"{os.fspath(path)}: incomplete image: damaged {name} header; save it again") from error
        raise BadInput(
            f"{os.fspath(path)}: expected an image ({', '.join(IMAGE_FORMATS)}), got contents that begin with"
            f" {head[:8]!r}; convert it to PNG"
        ) from error
    try:
        check_pixels(path, image.width, image.height, max_pixels)
    except BaseException:
        image.close()
        raise
    return image


def check_pixels(path: str | os.PathLike[str], width: int, height: int, max_pixels: int) -> None:
    """Raise `BadInput` for an image or a frame whose header declares more than `max_pixels` pixels.

    Raises:
        BadInput: the header declares more pixels.
        BadOption: `max_pixels` is less than 1.
    """
    if max_pixels < 1:
        raise BadOption(f"max_pixels: expected at least 1, got {max_pixels}")
    if width * height > max_pixels:
        raise BadInput(
            f"{os.fspath(path)}: {width}x{height} pixels exceed the limit of {max_pixels}; save a smaller image, or"
            f" raise the limit: max_pixels={width * height}"
        )


@contextmanager
def ignore_image_warnings() -> Iterator[None]:
    """Ignore Pillow's warnings on damaged metadata while any thread reads an image; damaged pixels are errors.

    `warnings.catch_warnings` would not do: with several threads, its filters could stay.
    """
    global _n_reading
    with _lock:
        if not _n_reading:
            warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
            _image_filters[:] = warnings.filters[:1]
        _n_reading += 1
    try:
        yield
    finally:
        with _lock:
            _n_reading -= 1
            if not _n_reading and _image_filters[0] in warnings.filters:
                cast("list[Any]", warnings.filters).remove(_image_filters[0])


@contextmanager
def lift_pillow_limit() -> Iterator[None]:
    """Lift Pillow's limit of pixels, one per process, while any thread reads a header; `open_image` has its own.

    Pillow checks TIFF files again when they are decoded.
    """
    import PIL.Image

    global _n_opening, _pillow_limit
    with _lock:
        if not _n_opening:
            _pillow_limit, PIL.Image.MAX_IMAGE_PIXELS = PIL.Image.MAX_IMAGE_PIXELS, None
        _n_opening += 1
    try:
        yield
    finally:
        with _lock:
            _n_opening -= 1
            if not _n_opening:
                PIL.Image.MAX_IMAGE_PIXELS = _pillow_limit
