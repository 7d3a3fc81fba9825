"""Images: the modality `image`, and the reader of image files."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps

from anybind.plugin import BadInput, BadOption, Modality, Reader, files, readers
from anybind_media.reduction import estimate_bytes, find_factor, read_reduced

MAX_ASPECT_RATIO = 100
"""Largest ratio of the sides: encoders resize by the short side, and an extreme ratio would exhaust the memory."""
BAND_PIXELS = 1 << 22
"""Number of pixels that are converted to RGB at once."""
MAGIC_BYTES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"II*\x00", b"MM\x00*")
BITMAP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
"""Valid header sizes of BMP files."""
_pillow_lock = threading.Lock()


class Image(Modality[np.ndarray]):
    """The modality of images: uint8 RGB array (height, width, 3). Pillow's images are converted as their files are."""

    name = "image"
    sample_type = "a uint8 RGB array (height, width, 3), or an image of Pillow"

    def accepts(self, item: object) -> bool:
        if isinstance(item, PIL.Image.Image):
            return True
        return isinstance(item, np.ndarray) and item.ndim == 3 and item.shape[2] == 3 and item.dtype == np.uint8

    def as_sample(self, item: object) -> np.ndarray:
        return convert_image(item) if isinstance(item, PIL.Image.Image) else super().as_sample(item)

    def check(self, sample: np.ndarray) -> None:
        if sample.size == 0:
            raise BadInput(f"empty image (shape {sample.shape})")
        height, width = sample.shape[:2]
        if max(height, width) > MAX_ASPECT_RATIO * min(height, width):
            raise BadInput(f"image of {width}x{height} pixels: expected an aspect ratio up to {MAX_ASPECT_RATIO}")

    def show(self, sample: np.ndarray) -> np.ndarray:
        return sample

    def augment(
        self,
        sample: np.ndarray,
        /,
        *,
        seed: int,
        crop: Sequence[float] = (1.0, 1.0),
        flip: bool = False,
        gray: bool = False,
    ) -> np.ndarray:
        """Augment an image by a random crop, a horizontal flip and conversion to gray.

        Args:
            sample: image.
            seed: seed of crop and flip.
            crop: smallest and largest fraction of each side, in (0, 1]; aspect ratios change by up to 4/3, positions
                are uniform.
            flip: flip horizontally with probability 1/2.
            gray: always convert to Rec. 601 luma in all three channels, as event cameras record no colour and the
                paper's teacher gets gray images.

        Raises:
            BadOption: `crop` is not a range in (0, 1].
        """
        if len(crop) != 2 or not 0 < crop[0] <= crop[1] <= 1:
            raise BadOption(f"crop: expected smallest and largest fraction of a side in (0, 1], got {crop}")
        random = np.random.default_rng(seed)
        fraction = random.uniform(crop[0], crop[1])
        aspect = np.exp(random.uniform(-0.5, 0.5) * np.log(4 / 3))
        fractions = np.clip([fraction * aspect, fraction / aspect], crop[0], crop[1])
        sides = np.maximum(1, np.rint(fractions * sample.shape[:2]).astype(int))
        top, left = (int(random.integers(0, margin + 1)) for margin in sample.shape[:2] - sides)
        cropped = sample[top : top + sides[0], left : left + sides[1]]
        if gray:
            cropped = np.asarray(PIL.Image.fromarray(np.ascontiguousarray(cropped)).convert("L").convert("RGB"))
        return np.ascontiguousarray(cropped[:, ::-1] if flip and random.random() < 0.5 else cropped)


class ImageReader(Reader):
    """A reader of image files by Pillow: upright by EXIF orientation, transparency on white, 16-bit gray as 8 bits.

    The first frame of animations and multi-page files is read; the reader `video` reads all frames of an animation.
    """

    def sniff(self, head: bytes) -> bool:
        return (
            head.startswith(MAGIC_BYTES)
            or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
            # The two magic letters of BMP are ambiguous, so its header size is checked too.
            or (head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in BITMAP_HEADERS)
        )

    @files.ignore_image_warnings()
    def read(
        self,
        path: Path,
        *,
        box: Sequence[int] | None = None,
        max_pixels: int = files.MAX_IMAGE_PIXELS,
        min_side: int | None = None,
    ) -> np.ndarray:
        """Read an image, or a crop of it.

        Args:
            path: image file.
            box: left, top, right and bottom of a crop of the upright image, in pixels; right and bottom are exclusive.
                [default: the complete image]
            max_pixels: largest width times height that the file may declare, checked before decoding; decoding takes
                about 4 to 8 bytes per pixel, of WebP 16. [default: 67,108,864]
            min_side: reduce an image of more than 33,554,432 pixels while decoding, by the mean over square blocks, to
                a short side of at least this many pixels, which saves memory. Not with `box`. [default: all pixels]

        Raises:
            BadInput: the file is truncated or corrupt, or has more pixels.
            BadOption: the box is empty or exceeds the image, or `max_pixels` or `min_side` is less than 1.
        """
        if min_side is not None and min_side < 1:
            raise BadOption(f"min_side: expected at least 1, got {min_side}")
        try:
            with files.lift_pillow_limit(), files.open_image(path, max_pixels) as image:
                factor = 1 if min_side is None or box is not None else find_factor(*image.size, min_side)
                if factor > 1:
                    return read_reduced(path, image, factor, functools.partial(convert_to_rgb, path))
                # The result, and a copy by the encoder.
                readers.reserve_memory(estimate_bytes(image) + 7 * image.width * image.height)
                image.load()
                PIL.ImageOps.exif_transpose(image, in_place=True)
                pixels = convert_to_rgb(path, image)
        except (BadInput, BadOption):
            raise
        except Exception as error:  # Pillow's decoders raise various types for damaged files
            raise BadInput(f"{os.fspath(path)}: incomplete image: {error}; save it again") from error
        return pixels if box is None else _crop_box(path, pixels, box)

    def write(self, sample: np.ndarray, path: Path) -> None:
        PIL.Image.fromarray(sample).save(path)


def _crop_box(path: Path, pixels: np.ndarray, box: Sequence[int]) -> np.ndarray:
    height, width = pixels.shape[:2]
    corners = [int(each) for each in box]
    if len(corners) != 4 or not (0 <= corners[0] < corners[2] <= width and 0 <= corners[1] < corners[3] <= height):
        expected = f"left, top, right, bottom within {width}x{height} pixels"
        raise BadOption(f"{path}: box: expected {expected}, got {list(box)}")
    left, top, right, bottom = corners
    return np.ascontiguousarray(pixels[top:bottom, left:right])


def convert_image(image: PIL.Image.Image) -> np.ndarray:
    """Convert an image of Pillow to RGB, uint8 (height, width, 3), upright, as `ImageReader` converts its file.

    Raises:
        BadInput: its file is incomplete, or it has floating-point pixels or integers of more than 16 bits.
    """
    try:
        with _pillow_lock:  # it decodes its file at its first use, which may be in several threads
            image.load()
        return convert_to_rgb(Path("Pillow image"), PIL.ImageOps.exif_transpose(image))
    except BadInput:
        raise
    except Exception as error:  # Pillow's decoders raise various types for damaged files
        raise BadInput(f"incomplete image: {error}") from error


def convert_to_rgb(path: Path, image: PIL.Image.Image) -> np.ndarray:
    """Convert an image to RGB, uint8 (height, width, 3): transparency on white, 16-bit gray as 8 bits.

    Large images are converted in bands of rows, so that the peak memory is that of the image and the result.

    Raises:
        BadInput: floating-point pixels, or integers of more than 16 bits.
    """
    rows = max(1, BAND_PIXELS // max(1, image.width))
    if rows >= image.height:
        return np.asarray(_convert_band(path, image))
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        pixels[top:bottom] = np.asarray(_convert_band(path, image.crop((0, top, image.width, bottom))))
    return pixels


def _convert_band(path: Path, image: PIL.Image.Image) -> PIL.Image.Image:
    if image.mode.startswith("I"):
        return _convert_16_bit(path, image)
    if image.mode == "F":
        raise BadInput(
            f"{os.fspath(path)}: unsupported floating-point pixels without a defined range; save it as PNG, or"
            " read it as a depth map (reader='depth')"
        )
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        background = PIL.Image.new("RGBA", layer.size, "white")
        return PIL.Image.alpha_composite(background, layer).convert("RGB")
    return image.convert("RGB")


def _convert_16_bit(path: Path, image: PIL.Image.Image) -> PIL.Image.Image:
    levels = np.asarray(image)
    if levels.min() < 0 or levels.max() > 65535:
        raise BadInput(f"{os.fspath(path)}: expected levels of up to 16 bits; save it as PNG")
    gray = (levels >> 8).astype(np.uint8)
    gray[levels == image.info.get("transparency", -1)] = 255
    return PIL.Image.fromarray(gray).convert("RGB")
