"""The modality `thermal`: pictures of warmth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anybind.plugin import BadInput, Modality, Reader, ReaderSpec, find_part, modalities


@dataclass(frozen=True, eq=False)
class ThermalImage:
    """A picture of warmth, of a type of its own so that no one takes it for a photograph.

    Attributes:
        pixels: uint8 (height, width, 3), 0 to 255: one gray in all channels, or false colours. Brightness is as the
            camera chose it; temperatures of more than 8 bits are to be stretched to them beforehand.
    """

    pixels: np.ndarray


class ThermalModality(Modality[ThermalImage]):
    """A picture of warmth: a `ThermalPicture`.

    Its files are picture files, which do not say what they are of: a tower of thermal pictures takes any picture file
    as one, `read(path, reader="thermal-picture")` reads one so, and `derive("thermal", picture)` takes a picture in
    memory.
    """

    name = "thermal"

    def accepts(self, item: object) -> bool:
        return isinstance(item, ThermalImage)

    def check(self, sample: ThermalImage) -> None:
        image_modality = modalities.find_modality("image")
        if not image_modality.accepts(sample.pixels):
            raise BadInput("a thermal picture holds a uint8 array (height, width, 3)")
        image_modality.check(sample.pixels)

    def show(self, sample: ThermalImage) -> np.ndarray:
        return sample.pixels

    def derive(self, sample: np.ndarray, source: str, *, seed: int) -> ThermalImage:
        """A picture, taken as one of warmth: nothing is changed, and no chance is in it."""
        return ThermalImage(sample)


class ThermalReader(Reader):
    """Picture files, taken as pictures of warmth."""

    def sniff(self, head: bytes) -> bool | None:
        """None for pictures: they are of warmth only where that is asked for."""
        return None if _load_image_reader().sniff(head) else False

    def read(self, path: Path, *, box: Sequence[int] | None = None) -> ThermalImage:
        """The picture in the file, or the part of it in a box, as the reader of pictures reads it and raises."""
        return ThermalImage(_load_image_reader().read(path, box=box))

    def write(self, sample: ThermalImage, path: Path) -> None:
        _load_image_reader().write(sample.pixels, path)


def _load_image_reader() -> Reader:
    return find_part(ReaderSpec, "picture").load()()
