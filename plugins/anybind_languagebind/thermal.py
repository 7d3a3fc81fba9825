"""The modality `thermal`: thermal images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anybind.plugin import BadInput, Modality, Reader, ReaderSpec, find_part, modalities


@dataclass(frozen=True, eq=False)
class ThermalImage:
    """A thermal image; a separate type, which distinguishes it from photographs.

    Attributes:
        pixels: uint8 (height, width, 3), 0 to 255: grayscale in all channels, or false colours. The brightness scale is
            the camera's; temperatures of more than 8 bits have to be rescaled to 8 bits beforehand.
    """

    pixels: np.ndarray


class ThermalModality(Modality[ThermalImage]):
    """The modality of `ThermalImage`.

    Image files do not state whether they are thermal: encoders of thermal images read any image file as one, so does
    `read(path, reader="thermal-image")`; `derive("thermal", image)` converts an image in memory.
    """

    name = "thermal"

    def accepts(self, item: object) -> bool:
        return isinstance(item, ThermalImage)

    def check(self, sample: ThermalImage) -> None:
        image_modality = modalities.find_modality("image")
        if not image_modality.accepts(sample.pixels):
            raise BadInput("pixels of a thermal image: expected a uint8 array (height, width, 3)")
        image_modality.check(sample.pixels)

    def show(self, sample: ThermalImage) -> np.ndarray:
        return sample.pixels

    def derive(self, sample: np.ndarray, source: str, *, seed: int) -> ThermalImage:
        """Wrap an image as a thermal image, unchanged; `seed` has no effect."""
        return ThermalImage(sample)


class ThermalReader(Reader):
    """A reader of image files as thermal images."""

    def sniff(self, head: bytes) -> bool | None:
        """Return None for image files, which are read as thermal images on request only, and False for others."""
        return None if _load_image_reader().sniff(head) else False

    def read(self, path: Path, *, box: Sequence[int] | None = None) -> ThermalImage:
        """Read the image, or a box of it; box and errors as in the image reader."""
        return ThermalImage(_load_image_reader().read(path, box=box))

    def write(self, sample: ThermalImage, path: Path) -> None:
        _load_image_reader().write(sample.pixels, path)


def _load_image_reader() -> Reader:
    return find_part(ReaderSpec, "image").instance
