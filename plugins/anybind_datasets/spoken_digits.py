"""Digit images of MNIST and spoken digits of the Free Spoken Digit Dataset."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from anybind.plugin import BadInput, Dataset, Item

CLASS_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
MAX_BYTES = 1 << 26
"""Maximum size of an idx file; MNIST's have 8 million bytes."""
TEST_INDICES = range(5)
"""Recording indices of the Free Spoken Digit Dataset's test split."""


class SpokenDigits(Dataset):
    """Written and spoken digits: unpaired images and audio clips of the same ten classes, `zero` to `nine`.

    The folder `mnist` contains MNIST's test digits as published (idx, gzipped or not); `speech` contains the Free
    Spoken Digit Dataset's recordings, named by digit, speaker and index, such as `7_jackson_3.wav`. Evaluate
    `retrieval` with `relevance=class`. Images are white on black as published, or inverted with `invert`.
    """

    name = "spoken-digits"
    licence = "MNIST: as published; Free Spoken Digit Dataset: CC-BY-SA-4.0"
    size = "10,000 images and 3,000 audio clips"
    splits: ClassVar = {"train": 12_700, "test": 10_300}
    """The images, all of MNIST's test split, are in both; clips of index 0 to 4 are in `test`."""
    split = "test"
    published = (
        "https://yann.lecun.org/exdb/mnist/ and https://github.com/Jakobovski/free-spoken-digit-dataset "
        "(put the first into mnist, recordings of the second into speech)"
    )
    sample_modalities = ("image", "sound")

    options = ("invert",)
    invert: bool = False

    def class_names(self) -> Mapping[str, str]:
        return {word: word for word in CLASS_NAMES}

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        for modality, samples in (("image", self._list_images()), ("sound", self._list_clips(splits))):
            if modality in self.selected_modalities:
                yield from samples

    def select(self, items: Sequence[Item], limit: int | None) -> list[Item]:
        """Select about `limit` items of each modality."""
        clips = [item for item in items if isinstance(item.source, Path)]
        images = [item for item in items if not isinstance(item.source, Path)]
        if items and not all({"image": images, "sound": clips}[modality] for modality in self.selected_modalities):
            self.record_missing(self.missing(f"no samples of {', '.join(self.selected_modalities)}"))
        return [*super().select(images, limit), *super().select(clips, limit)]

    def _list_images(self) -> Iterator[Item]:
        images, labels = self._read_idx(IMAGES, 3), self._read_idx(LABELS, 1)
        if len(images) != len(labels) or (labels > 9).any():
            raise self.missing(f"expected as many labels from 0 to 9 as images, got {len(labels)} and {len(images)}")
        levels = 255 - images if self.invert else images
        for number, (image, label) in enumerate(zip(levels, labels, strict=True)):
            yield Item(f"mnist/{number:05d}", np.repeat(image[..., None], 3, axis=2), CLASS_NAMES[label])

    def _read_idx(self, name: str, axes: int) -> np.ndarray:
        """Read a byte array in MNIST's idx format: magic number, big-endian sizes, data."""
        paths = (self.root / "mnist" / f"{name}{ending}" for ending in (".gz", ""))
        path = next((each for each in paths if each.is_file()), None)
        if path is None:
            raise self.missing(f"missing file mnist/{name}.gz")
        try:
            with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
                data = file.read(MAX_BYTES)
        except (OSError, EOFError, zlib.error) as error:
            raise self.missing(f"cannot read {path}: {error}") from error
        start = 4 + 4 * axes
        if data[:4] != bytes([0, 0, 8, axes]) or len(data) < start:
            raise self.missing(f"{path}: not an idx file of {axes} axes")
        shape = np.frombuffer(data, ">u4", axes, 4).tolist()
        if len(data) != start + int(np.prod(shape, dtype=object)):
            raise self.missing(f"{path}: expected an array of shape {shape}, got {len(data)} bytes")
        return np.frombuffer(data, np.uint8, offset=start).reshape(shape)

    def _list_clips(self, splits: Sequence[str]) -> Iterator[Item]:
        folder = self.root / "speech"
        files = sorted(folder.glob("*.wav")) if folder.is_dir() else []
        if not files:
            raise self.missing(f"{folder} has no .wav files")
        for path in files:
            match = re.fullmatch(r"(\d)_([a-z]+)_(\d+)", path.stem)
            if not match:
                raise self.missing(f"{path.name}: expected a name such as digit_speaker_index.wav")
            if ("test" if int(match[3]) in TEST_INDICES else "train") in splits:
                yield Item(self.make_id(path), path, CLASS_NAMES[int(match[1])], notes={"speaker": match[2]})
