"""Data sets that installed packages carry: nothing is downloaded, and no folder has to be filled beforehand."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import PIL.Image

from anybind import write
from anybind.plugin import BadInput, Dataset, Item, errors, files, modalities

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


class Digits8x8(Dataset):
    """The 1,797 handwritten digits that scikit-learn carries: 8x8 pixels, 17 levels, ten classes `zero` to `nine`.

    They are written into the folder as gray pictures of 96x96 pixels, white on black, scaled by bicubic interpolation:
    those that are asked for, once. There are no parts.
    """

    name = "digits-8x8"
    licence = "CC-BY-4.0: UCI, Optical Recognition of Handwritten Digits, its test part"
    published = "https://archive.ics.uci.edu/dataset/80 (scikit-learn carries it; any folder will do)"
    size = "1,797 pictures, in scikit-learn"
    splits: ClassVar = {"all": 1797}
    sample_modalities = ("image",)

    def class_names(self) -> Mapping[str, str]:
        return {name: name for name in DIGITS}

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        from sklearn.datasets import load_digits  # a second to import

        self._levels, labels = load_digits(return_X_y=True)
        for number, label in enumerate(labels):
            yield Item(f"{number:04d}.png", self.root / f"{number:04d}.png", DIGITS[label])

    def complete_item(self, item: Item) -> Iterator[Item | BadInput]:
        _write_once(item.source, lambda: digit_picture(self._levels[int(item.id[:4])].reshape(8, 8)))
        yield item


def digit_picture(levels: np.ndarray) -> np.ndarray:
    """A digit of 8x8 levels from 0 to 16 as a picture: (96, 96, 3) uint8."""
    small = PIL.Image.fromarray(np.rint(levels * (255 / 16)).astype(np.uint8))
    side = SIDE - 2 * MARGIN
    inner = np.asarray(small.resize((side, side), PIL.Image.Resampling.BICUBIC))
    return np.repeat(np.pad(inner, MARGIN)[..., None], 3, axis=2)


class SkimagePictures(Dataset):
    """The 21 images in scikit-image's wheel that can be described, each with a caption as its partner of `text`.

    A label is what an image shows, so that no two have the same. Photos, textures, and images from microscope and
    telescope; nothing is written.
    """

    name = "skimage-pictures"
    licence = "CC0 or public domain, but for the motorcycle (Middlebury stereo 2014) and where scikit-image knows none"
    published = "https://scikit-image.org (its wheel carries them; any folder will do)"
    size = "21 pictures, in scikit-image"
    splits: ClassVar = {"all": 21}
    sample_modalities = ("image", "text")

    def class_names(self) -> Mapping[str, str]:
        return {label: label for label, _ in PICTURES.values()}

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        folder = skimage_data()
        for name, (label, caption) in PICTURES.items():
            yield Item(name, folder / name, label, partners={"text": caption})

    def complete_item(self, item: Item) -> Iterator[Item | BadInput]:
        _check_carried(item.source)
        yield item


class StereoTiles(Dataset):
    """The motorcycle of Middlebury's stereo scenes of 2014, which scikit-image carries, cut into twelve tiles.

    Each is an image with its depth map as partner, or the depth map with its image if only `depth` is asked for: one
    scene in twelve parts, so that what distinguishes them is their shape and not where they were taken. Both are
    written into the folder, once.
    """

    name = "stereo-tiles"
    licence = "as published: Middlebury stereo data of 2014"
    published = "https://vision.middlebury.edu/stereo/data/scenes2014 (scikit-image carries it; any folder will do)"
    size = "12 pictures with depth maps, in scikit-image"
    splits: ClassVar = {"all": 12}
    sample_modalities = ("image", "depth")

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        folder = skimage_data()
        for name in ("motorcycle_left.png", "motorcycle_disp.npz"):
            _check_carried(folder / name)
        with files.open_image(folder / "motorcycle_left.png") as file:
            image = np.asarray(file.convert("RGB"))
        with np.load(folder / "motorcycle_disp.npz", allow_pickle=False) as file:
            disparity = file["arr_0"]  # infinite where it is not known
        metres = FX * BASELINE / (np.where(np.isfinite(disparity), disparity, np.nan) + OFFSET)
        height, width = (side // count for side, count in zip(metres.shape, TILES, strict=True))
        for row, column in np.ndindex(*TILES):
            id = f"{row}-{column}"
            tile = slice(row * height, (row + 1) * height), slice(column * width, (column + 1) * width)
            paths = {"image": self.root / f"{id}.png", "depth": self.root / f"{id}.npy"}
            _write_once(paths["image"], lambda tile=tile: image[tile])
            _write_once(paths["depth"], lambda tile=tile: modalities.make_sample("depth", metres[tile]))
            partners = {kind: path for kind, path in paths.items() if kind != self.selected_modalities[0]}
            yield Item(id, paths[self.selected_modalities[0]], partners=partners)


def skimage_data() -> Path:
    """The folder of scikit-image's pictures; raises `MissingExtra` where it is not installed."""
    spec = importlib.util.find_spec("skimage")  # finds the package without importing it
    if spec is None or spec.origin is None:
        raise errors.MissingExtra("these pictures come with scikit-image: pip install 'anybind[mini]'")
    return Path(spec.origin).parent / "data"


def _check_carried(path: Path) -> None:
    if not path.is_file():
        raise BadInput(f"the installed scikit-image lacks {path.name}; install a wheel of 0.24 or later")


def _write_once(path: Path, make: Callable[[], object]) -> None:
    """Write a sample, where it is not there yet."""
    if not path.is_file():
        write(make(), path)
