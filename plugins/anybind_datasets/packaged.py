"""Datasets from installed packages, without downloads."""

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
SIDE_PX, MARGIN_PX = 96, 8
"""Side of a digit's image, and its black margin, needed for simulated camera motion."""

IMAGES = {
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
"""Images of scikit-image's wheel: class name and caption, both written for this project."""

TILES = 3, 4
"""Rows and columns of tiles of the stereo scene."""
FX_PX, BASELINE_M, OFFSET_PX = 994.978, 0.193001, 31.086
"""Published calibration of the stereo scene: focal length, baseline, and offset of the principal points."""


class Digits8x8(Dataset):
    """scikit-learn's 1,797 handwritten digits: 8x8 pixels, 17 levels, ten classes `zero` to `nine`, no splits.

    Selected digits are written to the folder once, as gray images of 96x96 pixels, white on black, scaled by bicubic
    interpolation.
    """

    name = "digits-8x8"
    licence = "CC-BY-4.0: UCI, Optical Recognition of Handwritten Digits, test split"
    published = "https://archive.ics.uci.edu/dataset/80 (included in scikit-learn; any folder works)"
    size = "1,797 images, in scikit-learn"
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
        _write_missing(item.source, lambda: render_digit(self._levels[int(item.id[:4])].reshape(8, 8)))
        yield item


def render_digit(levels: np.ndarray) -> np.ndarray:
    """Render a digit of 8x8 levels from 0 to 16 as an image, (96, 96, 3) uint8."""
    small = PIL.Image.fromarray(np.rint(levels * (255 / 16)).astype(np.uint8))
    side = SIDE_PX - 2 * MARGIN_PX
    inner = np.asarray(small.resize((side, side), PIL.Image.Resampling.BICUBIC))
    return np.repeat(np.pad(inner, MARGIN_PX)[..., None], 3, axis=2)


class SkimageImages(Dataset):
    """21 images of scikit-image's wheel, each with its own class and a caption as partner `text`.

    Photos, textures, microscope and telescope images; nothing is written.
    """

    name = "skimage-images"
    licence = "CC0 or public domain; the motorcycle: Middlebury stereo 2014; some unstated by scikit-image"
    published = "https://scikit-image.org (included in its wheel; any folder works)"
    size = "21 images, in scikit-image"
    splits: ClassVar = {"all": 21}
    sample_modalities = ("image", "text")

    def class_names(self) -> Mapping[str, str]:
        return {label: label for label, _ in IMAGES.values()}

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        folder = find_skimage_data()
        for name, (label, caption) in IMAGES.items():
            yield Item(name, folder / name, label, partners={"text": caption})

    def complete_item(self, item: Item) -> Iterator[Item | BadInput]:
        _check_installed(item.source)
        yield item


class StereoTiles(Dataset):
    """The motorcycle of Middlebury's 2014 stereo scenes, included in scikit-image, as twelve tiles.

    Each item is an image with its depth map as partner, or the reverse if only `depth` is selected. Tiles of one scene
    differ in shape, not in camera or place. Both are written to the folder once.
    """

    name = "stereo-tiles"
    licence = "as published: Middlebury stereo data of 2014"
    published = "https://vision.middlebury.edu/stereo/data/scenes2014 (included in scikit-image; any folder works)"
    size = "12 images with depth maps, in scikit-image"
    splits: ClassVar = {"all": 12}
    sample_modalities = ("image", "depth")

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        folder = find_skimage_data()
        for name in ("motorcycle_left.png", "motorcycle_disp.npz"):
            _check_installed(folder / name)
        with files.open_image(folder / "motorcycle_left.png") as file:
            image = np.asarray(file.convert("RGB"))
        with np.load(folder / "motorcycle_disp.npz", allow_pickle=False) as file:
            disparity = file["arr_0"]  # infinite where unknown
        metres = FX_PX * BASELINE_M / (np.where(np.isfinite(disparity), disparity, np.nan) + OFFSET_PX)
        height, width = (side // count for side, count in zip(metres.shape, TILES, strict=True))
        for row, column in np.ndindex(*TILES):
            id = f"{row}-{column}"
            tile = slice(row * height, (row + 1) * height), slice(column * width, (column + 1) * width)
            paths = {"image": self.root / f"{id}.png", "depth": self.root / f"{id}.npy"}
            _write_missing(paths["image"], lambda tile=tile: image[tile])
            _write_missing(paths["depth"], lambda tile=tile: modalities.make_sample("depth", metres[tile]))
            partners = {modality: path for modality, path in paths.items() if modality != self.selected_modalities[0]}
            yield Item(id, paths[self.selected_modalities[0]], partners=partners)


def find_skimage_data() -> Path:
    """Return the folder of scikit-image's images; raise `MissingExtra` if it is not installed."""
    spec = importlib.util.find_spec("skimage")  # finds the package without importing it
    if spec is None or spec.origin is None:
        raise errors.MissingExtra("scikit-image is not installed: pip install 'anybind[datasets]'")
    return Path(spec.origin).parent / "data"


def _check_installed(path: Path) -> None:
    if not path.is_file():
        raise BadInput(f"the installed scikit-image has no {path.name}; install a wheel of 0.24 or later")


def _write_missing(path: Path, make: Callable[[], object]) -> None:
    """Write a sample unless its file exists."""
    if not path.is_file():
        write(make(), path)
