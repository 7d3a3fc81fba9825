"""Pictures: the modality `image`, and the reader of picture files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps

from anybind.plugin import BadInput, BadOption, Modality, Reader, files

NARROWEST = 100
"""Largest ratio of the sides: towers scale the short one up, and a thread of pixels would fill the memory."""
MARKS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"II*\x00", b"MM\x00*")
BITMAP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
"""Sizes that the header behind a bitmap's two letters may say it has."""


class Image(Modality[np.ndarray]):
    """A picture: uint8 array (height, width, 3), red green blue, 0 to 255."""

    name = "image"

    def accepts(self, item: object) -> bool:
        return isinstance(item, np.ndarray) and item.ndim == 3 and item.shape[2] == 3 and item.dtype == np.uint8

    def check(self, sample: np.ndarray) -> None:
        if sample.size == 0:
            raise BadInput(f"the picture has no pixels (shape {sample.shape})")
        height, width = sample.shape[:2]
        if max(height, width) > NARROWEST * min(height, width):
            raise BadInput(f"a picture of {width}x{height} pixels is too narrow to show anything")

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
        """A part of the picture, perhaps mirrored, perhaps without its colours.

        Args:
            sample: the picture.
            seed: the same seed gives the same part.
            crop: least and greatest share of each side that is kept, above 0 and at most 1; both sides draw their own
                share within 3/4 to 4/3 of one another, and the place evenly.
            flip: mirror left and right in half of all cases.
            gray: Rec. 601 luma in all three channels, always: an event camera sees no colours, and the paper's
                teacher is shown none.

        Raises:
            BadOption: the shares are no range inside (0, 1].
        """
        if len(crop) != 2 or not 0 < crop[0] <= crop[1] <= 1:
            raise BadOption(f"crop must be the least and greatest share of a side, inside (0, 1], got {crop}")
        random = np.random.default_rng(seed)
        share = random.uniform(crop[0], crop[1])
        aspect = np.exp(random.uniform(-0.5, 0.5) * np.log(4 / 3))
        shares = np.clip([share * aspect, share / aspect], crop[0], crop[1])
        sides = np.maximum(1, np.rint(shares * sample.shape[:2]).astype(int))
        top, left = (int(random.integers(0, room + 1)) for room in sample.shape[:2] - sides)
        part = sample[top : top + sides[0], left : left + sides[1]]
        if gray:
            part = np.asarray(PIL.Image.fromarray(np.ascontiguousarray(part)).convert("L").convert("RGB"))
        return np.ascontiguousarray(part[:, ::-1] if flip and random.random() < 0.5 else part)


class PictureReader(Reader):
    """Picture files by Pillow, as a viewer shows them: turned upright, transparency laid on white.

    Of animations and multi-page files the first frame is read. 16-bit gray is scaled to 8 bits.
    """

    def sniff(self, head: bytes) -> bool:
        return head.startswith(MARKS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP") or _is_bitmap(head)

    def read(self, path: Path, *, box: Sequence[int] | None = None) -> np.ndarray:
        """The picture as an `image` sample, or the part of it that lies in a box.

        Args:
            path: the file.
            box: left, top, right and bottom of a part of the upright picture, in pixels from its left upper corner;
                right and bottom are behind the last pixel. The whole picture by default.

        Raises:
            BadInput: the file is truncated or corrupt.
            BadOption: the box is none, or not inside the picture.
        """
        try:
            with files.open_image(path) as picture:
                picture.load()
                whole = np.asarray(_to_rgb(path, PIL.ImageOps.exif_transpose(picture)))
        except BadInput:
            raise
        except Exception as error:  # Pillow's many decoders raise what they like on damaged files
            raise BadInput(f"{os.fspath(path)} is no complete picture: {_reason(error)}; save it again") from error
        return whole if box is None else _part(path, whole, box)

    def write(self, sample: np.ndarray, path: Path) -> None:
        PIL.Image.fromarray(sample).save(path)


def _part(path: Path, whole: np.ndarray, box: Sequence[int]) -> np.ndarray:
    height, width = whole.shape[:2]
    numbers = [int(each) for each in box]
    if len(numbers) != 4 or not (0 <= numbers[0] < numbers[2] <= width and 0 <= numbers[1] < numbers[3] <= height):
        raise BadOption(f"{path} is {width}x{height} pixels; left, top, right, bottom of a part in it, not {list(box)}")
    left, top, right, bottom = numbers
    return np.ascontiguousarray(whole[top:bottom, left:right])


def _is_bitmap(head: bytes) -> bool:
    """Two letters would claim many a file of another kind, so the header's own size is looked at too."""
    return head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in BITMAP_HEADERS


def _to_rgb(path: Path, picture: PIL.Image.Image) -> PIL.Image.Image:
    if picture.mode.startswith("I"):
        return _from_16_bits(path, picture)
    if picture.mode == "F":
        raise BadInput(
            f"{os.fspath(path)} holds floating-point pixels, whose brightness no one agreed on; save it as PNG"
        )
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        paper = PIL.Image.new("RGBA", layer.size, "white")
        return PIL.Image.alpha_composite(paper, layer).convert("RGB")
    return picture.convert("RGB")


def _from_16_bits(path: Path, picture: PIL.Image.Image) -> PIL.Image.Image:
    levels = np.asarray(picture)
    if levels.min() < 0 or levels.max() > 65535:
        raise BadInput(f"{os.fspath(path)} holds levels of more than 16 bits; save it as PNG")
    gray = (levels >> 8).astype(np.uint8)
    gray[levels == picture.info.get("transparency", -1)] = 255
    return PIL.Image.fromarray(gray).convert("RGB")


def _reason(error: Exception) -> str:
    return "its contents are damaged" if isinstance(error, PIL.UnidentifiedImageError) else str(error)
