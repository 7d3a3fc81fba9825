"""Reduced decoding of large images: a box mean of square blocks, computed while decoding, without all pixels in memory.

PNG is inflated, and TIFF decoded, a band of rows at a time; JPEG is scaled in its decoder; WebP without transparency is
decoded by FFmpeg, without colour planes in full resolution. Pillow decodes other files completely, and only then is
their memory reduced.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps

from anybind.plugin import BadInput, readers
from anybind_media import png_bands

LARGE_PIXELS = 1 << 25
"""Number of pixels from which an image is reduced, if a reader may: 5793x5793."""
BAND_PIXELS = 1 << 20
BAND_BYTES = 1 << 26
"""About the peak memory of decoding in bands."""
ORIENTATION = 0x0112
WIDTH, HEIGHT, STRIP_OFFSETS, ROWS_PER_STRIP, STRIP_BYTES = 256, 257, 273, 278, 279
TIFF_LAYOUT = (258, 259, 262, 266, 277, 284, 292, 293, 317, 320, 338, 339, 347, 530, 532)
"""TIFF tags that describe how pixels are stored; they are equal for all strips."""
TILE_WIDTH, PLANAR = 322, 284

ToRgb = Callable[[PIL.Image.Image], np.ndarray]


def find_factor(width: int, height: int, min_side: int) -> int:
    """Return the side of the blocks to reduce a large image by, so that its short side stays `min_side`; or 1."""
    return max(1, min(width, height) // min_side) if width * height > LARGE_PIXELS else 1


def read_reduced(path: Path, image: PIL.Image.Image, factor: int, to_rgb: ToRgb) -> np.ndarray:
    """Decode an opened image, reduced by the mean over blocks of `factor` x `factor` pixels, and upright.

    Args:
        path: the file.
        image: the image, not yet decoded.
        factor: side of the blocks; those at the right and lower edges may be smaller.
        to_rgb: converts a band of rows to RGB, uint8 (rows, width, 3).

    Raises:
        BadInput: the file is truncated or corrupt.
    """
    exif = _read_png_exif(path) if image.format == "PNG" else image.getexif()  # Pillow's decodes a PNG file
    orientation = exif.get(ORIENTATION, 1)
    if image.format == "PNG" and (png_bands := _decode_png(path, image)) is not None:
        readers.reserve_memory(BAND_BYTES)
        reduced = _reduce_bands(png_bands, factor, to_rgb)
    elif image.format == "TIFF" and _has_strips(image):
        readers.reserve_memory(BAND_BYTES)
        reduced = _reduce_bands(_decode_strips(path, image), factor, to_rgb)
    elif image.format == "WEBP" and (decoded := _reduce_webp(path, image, factor)) is not None:
        reduced = decoded
    else:
        if image.format == "JPEG":
            size = image.size
            image.draft(None, (-(-size[0] // factor), -(-size[1] // factor)))
            factor = max(1, factor * image.width // size[0])
        readers.reserve_memory(estimate_bytes(image) + BAND_BYTES)
        image.load()
        PIL.ImageOps.exif_transpose(image, in_place=True)
        orientation, rows = 1, max(1, BAND_PIXELS // image.width)
        bands = (
            image.crop((0, top, image.width, min(top + rows, image.height))) for top in range(0, image.height, rows)
        )
        reduced = _reduce_bands(bands, factor, to_rgb)
    upright = PIL.Image.fromarray(reduced)
    upright.getexif()[ORIENTATION] = orientation
    return np.asarray(PIL.ImageOps.exif_transpose(upright))


def estimate_bytes(image: PIL.Image.Image) -> int:
    """Estimate the memory of an image that Pillow decodes completely, by its header."""
    pixels = image.width * image.height
    if image.format == "WEBP":
        return 16 * pixels  # four copies with an alpha channel
    coefficients = 6 * pixels if image.info.get("progressive") else 0
    return coefficients + pixels * (1 if image.mode in ("1", "L", "P") else 2 if image.mode.startswith("I;") else 4)


def _reduce_bands(bands: Iterator[PIL.Image.Image], factor: int, to_rgb: ToRgb) -> np.ndarray:
    """Reduce consecutive bands of rows as if they were one image."""
    reduced: list[np.ndarray] = []
    rest: np.ndarray | None = None
    for band in bands:
        pixels = to_rgb(band)
        pixels = pixels if rest is None else np.concatenate([rest, pixels])
        complete = len(pixels) // factor * factor
        if complete:
            reduced.append(np.asarray(PIL.Image.fromarray(pixels[:complete]).reduce(factor)))
        rest = pixels[complete:].copy()
    if rest is not None and len(rest):
        reduced.append(np.asarray(PIL.Image.fromarray(rest).reduce(factor)))
    return np.concatenate(reduced)


def _read_png_exif(path: Path) -> PIL.Image.Exif:
    exif = PIL.Image.Exif()
    with path.open("rb") as file:
        file.seek(8)
        while len(header := file.read(8)) == 8:
            length = int.from_bytes(header[:4], "big")
            if header[4:] == b"eXIf":
                exif.load(file.read(length))
                break
            file.seek(length + 4, io.SEEK_CUR)
    return exif


def _decode_png(path: Path, image: PIL.Image.Image) -> Iterator[PIL.Image.Image] | None:
    """Decode a PNG file in bands; None for one that is interlaced or animated, or without numba."""
    if image.info.get("interlace") or getattr(image, "is_animated", False):
        return None
    if importlib.util.find_spec("numba") is None:  # which is in extras
        return None
    return png_bands.decode_bands(path, image, max(1, BAND_PIXELS // image.width))


def _has_strips(image: PIL.Image.Image) -> bool:
    """Return whether a TIFF image is stored in several strips of interleaved channels."""
    tags = image.tag_v2  # pyright: ignore[reportAttributeAccessIssue]
    return TILE_WIDTH not in tags and tags.get(PLANAR, 1) == 1 and len(tags.get(STRIP_BYTES, ())) > 1


def _decode_strips(path: Path, image: PIL.Image.Image) -> Iterator[PIL.Image.Image]:
    """Decode a TIFF file a few strips at a time: these, with the tags of the file, are a TIFF file of fewer rows."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2  # loaded for TIFF only

    tags = image.tag_v2  # pyright: ignore[reportAttributeAccessIssue]
    width, height = tags[WIDTH], tags[HEIGHT]
    strip_rows, offsets, lengths = tags[ROWS_PER_STRIP], tags[STRIP_OFFSETS], tags[STRIP_BYTES]
    n_strips = max(1, BAND_PIXELS // (width * strip_rows))
    with path.open("rb") as file:
        order = file.read(2)
        for first in range(0, len(lengths), n_strips):
            rows = min(n_strips * strip_rows, height - first * strip_rows)
            magic = b"*\0" if order == b"II" else b"\0*"
            directory = ImageFileDirectory_v2(order + magic + bytes(4))
            for tag in TIFF_LAYOUT:
                if tag in tags:
                    directory.tagtype[tag] = tags.tagtype[tag]
                    directory[tag] = tags[tag]
            chosen = lengths[first : first + n_strips]
            directory[WIDTH], directory[HEIGHT], directory[ROWS_PER_STRIP] = width, rows, strip_rows
            directory.tagtype[STRIP_OFFSETS] = directory.tagtype[STRIP_BYTES] = 4  # unsigned 32 bits
            directory[STRIP_BYTES] = tuple(chosen)
            directory[STRIP_OFFSETS] = tuple(int(each) for each in np.cumsum([0, *chosen[:-1]]))
            content = io.BytesIO()
            directory.save(content)  # adds the position after the directory to the offsets
            for offset, length in zip(offsets[first : first + n_strips], chosen, strict=True):
                file.seek(offset)
                content.write(file.read(length))
            content.seek(0)
            with PIL.Image.open(content, formats=("TIFF",)) as band:  # noqa: TID251 (the file's own strips)
                if band.mode != image.mode:
                    raise BadInput(f"{path}: incomplete image: its strips differ; save it again")
                band.load()
                yield band


def _reduce_webp(path: Path, image: PIL.Image.Image, factor: int) -> np.ndarray | None:
    """Reduce a WebP image without transparency by FFmpeg; None for others, or without PyAV."""
    if image.has_transparency_data or getattr(image, "is_animated", False):
        return None
    try:
        import av
    except ModuleNotFoundError:  # an extra
        return None
    readers.reserve_memory(4 * image.width * image.height)  # of a lossless image; of others 1.5
    width, height = -(-image.width // factor), -(-image.height // factor)
    with av.open(f"file:{path}") as container:
        frame = next(container.decode(video=0)).reformat(
            width, height, "rgb24", src_colorspace="ITU601", interpolation="AREA"
        )
    return frame.to_ndarray()  # after the decoder's own frame is freed
