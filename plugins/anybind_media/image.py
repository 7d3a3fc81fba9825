"""Pictures: the modality `image`, and the reader of picture files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps

from anybind import BadInput, Modality, Reader

MARKS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")


class Image(Modality):
    """A picture: uint8 array (height, width, 3), red green blue, 0 to 255."""

    name = "image"

    def accepts(self, item: object) -> bool:
        return isinstance(item, np.ndarray) and item.ndim == 3 and item.shape[2] == 3 and item.dtype == np.uint8

    def check(self, sample: Any) -> None:
        if sample.size == 0:
            raise BadInput(f"the picture has no pixels (shape {sample.shape})")

    def show(self, sample: Any) -> np.ndarray:
        return sample


class PictureReader(Reader):
    """Picture files by Pillow, as a viewer shows them: turned upright, transparency laid on white.

    Of animations and multi-page files the first frame is read. 16-bit gray is scaled to 8 bits.
    """

    def sniff(self, head: bytes) -> bool:
        return head.startswith(MARKS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")

    def read(self, path: Path, **options: Any) -> np.ndarray:
        """The picture as an `image` sample; raises `BadInput` when the file is truncated or corrupt."""
        try:
            with PIL.Image.open(path) as picture:
                picture.load()
                return np.asarray(_to_rgb(PIL.ImageOps.exif_transpose(picture)))
        # Pillow's decoders raise these on damaged files; struct.error comes through some as SyntaxError.
        except (OSError, SyntaxError, ValueError, EOFError, PIL.Image.DecompressionBombError) as error:
            raise BadInput(f"{os.fspath(path)} is no complete picture: {_reason(error)}; save it again") from error

    def write(self, sample: Any, path: Path) -> None:
        PIL.Image.fromarray(sample).save(path)


def _to_rgb(picture: PIL.Image.Image) -> PIL.Image.Image:
    if picture.mode.startswith("I;16"):
        return PIL.Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        paper = PIL.Image.new("RGBA", layer.size, "white")
        return PIL.Image.alpha_composite(paper, layer).convert("RGB")
    return picture.convert("RGB")


def _reason(error: Exception) -> str:
    return "its contents are damaged" if isinstance(error, PIL.UnidentifiedImageError) else str(error)
