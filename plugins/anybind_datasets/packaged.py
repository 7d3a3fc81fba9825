"""Data sets that installed packages carry: nothing is downloaded, and no folder has to be filled beforehand."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import PIL.Image

from anybind import write
from anybind.plugin import BadInput, Item, errors, modalities
from anybind_datasets.local_dataset import LocalDataset

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SIDE, MARGIN = 96, 8
"""Pixels of a digit's picture, and of the black around it: a camera that moves needs edges on all sides."""

PICTURES = {
    "astronaut.png": ("astronaut", "a woman in an orange space suit in front of a flag"),
    "brick.png": ("brick wall", "a wall of bricks"),
    "camera.png": ("photographer", "a man with a camera on a tripod on a lawn"),
    "cell.png": ("cell", "a single round cell under a microscope"),
    "chelsea.png": ("cat", "the face of a tabby cat"),
    "chessboard_GRAY.png": ("chessboard", "the black and white squares of a chessboard"),
    "coffee.png": ("cup of coffee", "a cup of coffee with a spoon on a wooden table"),
    "coins.png": ("coins", "old coins in rows"),
    "color.png": ("colour wheel", "a wheel of all colours"),
    "grass.png": ("grass", "blades of grass from above"),
    "gravel.png": ("gravel", "many small stones of gravel"),
    "horse.png": ("horse", "the black silhouette of a horse"),
    "hubble_deep_field.jpg": ("galaxies", "many galaxies in the night sky"),
    "ihc.png": ("tissue", "a stained slice of tissue under a microscope"),
    "moon.png": ("moon", "craters on the moon"),
    "motorcycle_left.png": ("motorcycle", "a motorcycle in a garage"),
    "page.png": ("printed page", "a printed page of a book"),
    "phantom.png": ("head scan", "a scan of a head, drawn in ellipses"),
    "retina.jpg": ("retina", "the retina of an eye with its blood vessels"),
    "rocket.jpg": ("rocket", "a rocket on its launch pad"),
    "text.png": ("handwriting", "formulas in handwriting on paper"),
}
"""Pictures in scikit-image's wheel: what each shows in a word or two, and in a phrase. Both are ours."""

TILES = 3, 4
"""Rows and columns that the stereo scene is cut into."""
FX, BASELINE, OFFSET = 994.978, 0.193001, 31.086
"""Of the stereo scene, as its publishers give them: focal length in pixels, metres between the eyes, and pixels that
both principal points lie apart."""


class Digits8x8(LocalDataset):
    """The 1,797 handwritten digits that scikit-learn carries: 8x8 pixels, 17 levels, ten classes `zero` to `nine`.

    They are written into the folder as gray pictures of 96x96 pixels, white on black, scaled by bicubic interpolation:
    those that are asked for, once. There are no parts.
    """

    name = "digits-8x8"
    licence = "CC-BY-4.0: UCI, Optical Recognition of Handwritten Digits, its test part"
    published = "https://archive.ics.uci.edu/dataset/80 (scikit-learn carries it; any folder will do)"
    size = "1,797 pictures, in scikit-learn"
    parts: ClassVar = {"all": 1797}
    kinds = ("image",)

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        modalities: Iterable[str] | None = None,
        classes: Iterable[str] | None = None,
        limit: int | None = None,
    ) -> None:
        """List the digits, and write the pictures that are not in the folder yet.

        Args:
            folder: where pictures are written; an empty one will do.
            modalities: `image`.
            classes: keep only these, `zero` to `nine`.
            limit: keep about this many, spread evenly over the classes, the first of each.

        Raises:
            BadInput: there is no such folder, or it cannot be written into.
            BadOption: no such class, or a limit below 1.
        """
        from sklearn.datasets import load_digits  # a second to import

        super().__init__(folder, modalities)
        self.keep_classes({name: name for name in DIGITS}, classes)
        levels, labels = load_digits(return_X_y=True)
        ids = [f"{number:04d}.png" for number in range(len(labels))]
        self.hold((Item(id, self.root / id, DIGITS[label]) for id, label in zip(ids, labels, strict=True)), limit)
        for item in self.items:
            _written(item.source, lambda id=item.id: digit_picture(levels[int(id[:4])].reshape(8, 8)))


def digit_picture(levels: np.ndarray) -> np.ndarray:
    """A digit of 8x8 levels from 0 to 16 as a picture: (96, 96, 3) uint8."""
    small = PIL.Image.fromarray(np.rint(levels * (255 / 16)).astype(np.uint8))
    side = SIDE - 2 * MARGIN
    inner = np.asarray(small.resize((side, side), PIL.Image.Resampling.BICUBIC))
    return np.repeat(np.pad(inner, MARGIN)[..., None], 3, axis=2)


class SkimagePictures(LocalDataset):
    """The 21 pictures in scikit-image's wheel that can be told in words, each with a phrase as its partner of `text`.

    A label is what a picture shows, so that no two have the same. Photographs, textures, and pictures from microscope
    and telescope; nothing is written.
    """

    name = "skimage-pictures"
    licence = "CC0 or public domain, but for the motorcycle (Middlebury stereo 2014) and where scikit-image knows none"
    published = "https://scikit-image.org (its wheel carries them; any folder will do)"
    size = "21 pictures, in scikit-image"
    parts: ClassVar = {"all": 21}
    kinds = ("image", "text")

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        modalities: Iterable[str] | None = None,
        classes: Iterable[str] | None = None,
        limit: int | None = None,
    ) -> None:
        """List the pictures.

        Args:
            folder: taken for the sake of other data sets; nothing is read from it.
            modalities: `image`, with `text` or without; the phrases are partners of the pictures in any case.
            classes: keep only these, by what pictures show.
            limit: keep this many, the first by file name.

        Raises:
            BadInput: there is no such folder, or the installed scikit-image lacks a picture.
            BadOption: no such class, or a limit below 1.
            MissingExtra: scikit-image is not installed.
        """
        super().__init__(folder, modalities)
        self.keep_classes({shown: shown for shown, _ in PICTURES.values()}, classes)
        held = skimage_data()
        self.hold(
            (Item(name, held / name, shown, partners={"text": told}) for name, (shown, told) in PICTURES.items()), limit
        )
        for item in self.items:
            _check_carried(item.source)


class StereoTiles(LocalDataset):
    """The motorcycle of Middlebury's stereo scenes of 2014, which scikit-image carries, cut into twelve tiles.

    Each is a picture with its depth map as partner: one scene in twelve parts, so that what tells them apart is their
    shape and not where they were taken. Both are written into the folder, once.
    """

    name = "stereo-tiles"
    licence = "as published: Middlebury stereo data of 2014"
    published = "https://vision.middlebury.edu/stereo/data/scenes2014 (scikit-image carries it; any folder will do)"
    size = "12 pictures with depth maps, in scikit-image"
    parts: ClassVar = {"all": 12}
    kinds = ("image", "depth")

    def __init__(
        self, folder: str | os.PathLike[str], *, modalities: Iterable[str] | None = None, limit: int | None = None
    ) -> None:
        """List the tiles, row by row, and write those that are not in the folder yet.

        Args:
            folder: where pictures and depth maps are written; an empty one will do.
            modalities: `image`, `depth` or both: the source of each item is its picture, where that is asked for.
            limit: keep this many.

        Raises:
            BadInput: there is no such folder, it cannot be written into, or the installed scikit-image lacks the scene.
            BadOption: a limit below 1.
            MissingExtra: scikit-image is not installed.
        """
        super().__init__(folder, modalities)
        self.hold(self._tiles(), limit)

    def _tiles(self) -> Iterator[Item]:
        held = skimage_data()
        for name in ("motorcycle_left.png", "motorcycle_disp.npz"):
            _check_carried(held / name)
        with PIL.Image.open(held / "motorcycle_left.png") as file:
            picture = np.asarray(file.convert("RGB"))
        with np.load(held / "motorcycle_disp.npz", allow_pickle=False) as file:
            disparity = file["arr_0"]  # infinite where it is not known
        metres = FX * BASELINE / (np.where(np.isfinite(disparity), disparity, np.nan) + OFFSET)
        height, width = (side // count for side, count in zip(metres.shape, TILES, strict=True))
        for row, column in np.ndindex(*TILES):
            part = slice(row * height, (row + 1) * height), slice(column * width, (column + 1) * width)
            paths = {kind: self.root / f"{row}-{column}{end}" for kind, end in (("image", ".png"), ("depth", ".npy"))}
            _written(paths["image"], lambda part=part: picture[part])
            _written(paths["depth"], lambda part=part: modalities.make_sample("depth", metres[part]))
            source = self.asked[0]
            partners = {kind: path for kind, path in paths.items() if kind != source}
            yield Item(f"{row}-{column}", paths[source], partners=partners)


def skimage_data() -> Path:
    """The folder of scikit-image's pictures; raises `MissingExtra` where it is not installed."""
    spec = importlib.util.find_spec("skimage")  # finds the package without importing it
    if spec is None or spec.origin is None:
        raise errors.MissingExtra("these pictures come with scikit-image: pip install 'anybind[mini]'")
    return Path(spec.origin).parent / "data"


def _check_carried(path: Path) -> None:
    if not path.is_file():
        raise BadInput(f"the installed scikit-image lacks {path.name}; install a wheel of 0.24 or later")


def _written(path: Path, make: Callable[[], Any]) -> None:
    """Write a sample, where it is not there yet."""
    if not path.is_file():
        write(make(), path)
