"""The preprocessing of ImageBind's image encoder, without torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anybind.plugin import export, readers

SIDE = 224
"""Side of the input square, in pixels."""
IMAGE_MEAN, IMAGE_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class ImageBindImageInput(export.EncoderInput):
    """The short side resized to 224 (Pillow, bicubic), and the centre cropped."""

    def __init__(self, *, folder: Path | None = None) -> None:
        self.reader_options = {"min_side": readers.REDUCING_GAP * SIDE}
        self.image = export.ImageInput(SIDE, mean=IMAGE_MEAN, std=IMAGE_STD)

    def preprocess(self, sample: np.ndarray) -> np.ndarray:
        """Map (height, width, 3) uint8 to (3, 224, 224) float32."""
        return self.image(sample)
