"""The digits of MNIST as pictures beside the spoken digits of the Free Spoken Digit Dataset."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from anybind.plugin import BadInput, Dataset, Item

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PICTURES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
MOST = 1 << 26
"""Bytes of an idx file that are read: MNIST has 8 million, and what is longer is not MNIST's."""
TEST_INDICES = range(5)
"""Recordings that the Free Spoken Digit Dataset holds out."""


class SpokenDigits(Dataset):
    """Written and spoken digits: two lists of samples with the same ten classes, `zero` to `nine`.

    The folder `mnist` holds MNIST's test digits as published (idx, packed by gzip or not); `speech` holds the Free
    Spoken Digit Dataset's recordings, `7_jackson_3.wav` being digit, speaker and index. There are no pairs: ask
    `retrieval` with `relevance=class`. Pictures are turned to dark on white where `paper` is true, else they are white
    on black as published.
    """

    name = "spoken-digits"
    licence = "MNIST: as published; Free Spoken Digit Dataset: CC-BY-SA-4.0"
    size = "10,000 pictures and 3,000 sounds"
    splits: ClassVar = {"train": 12_700, "test": 10_300}
    """The pictures, all of them MNIST's test digits, are in both; the sounds of index 0 to 4 are in `test`."""
    split = "test"
    published = (
        "https://yann.lecun.org/exdb/mnist/ and https://github.com/Jakobovski/free-spoken-digit-dataset "
        "(put the first into mnist, recordings of the second into speech)"
    )
    sample_modalities = ("image", "sound")

    options = ("paper",)
    paper: bool = False

    def class_names(self) -> Mapping[str, str]:
        return {word: word for word in WORDS}

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        for kind, samples in (("image", self._pictures()), ("sound", self._sounds(splits))):
            if kind in self.selected_modalities:
                yield from samples

    def select(self, items: Sequence[Item], limit: int | None) -> list[Item]:
        """About `limit` items of each modality."""
        sounds = [item for item in items if isinstance(item.source, Path)]
        images = [item for item in items if not isinstance(item.source, Path)]
        if items and not all({"image": images, "sound": sounds}[kind] for kind in self.selected_modalities):
            self.record_missing(self.missing("it holds no samples of what was asked for"))
        return [*super().select(images, limit), *super().select(sounds, limit)]

    def _pictures(self) -> Iterator[Item]:
        pictures, labels = self._idx(PICTURES, 3), self._idx(LABELS, 1)
        if len(pictures) != len(labels) or (labels > 9).any():
            raise self.missing(f"{len(pictures)} pictures and {len(labels)} labels from 0 to 9 do not belong together")
        shown = 255 - pictures if self.paper else pictures
        for number, (picture, label) in enumerate(zip(shown, labels, strict=True)):
            yield Item(f"mnist/{number:05d}", np.repeat(picture[..., None], 3, axis=2), WORDS[label])

    def _idx(self, name: str, axes: int) -> np.ndarray:
        """An array of bytes in the format that MNIST is published in: big-endian sizes behind a mark."""
        paths = (self.root / "mnist" / f"{name}{ending}" for ending in (".gz", ""))
        path = next((each for each in paths if each.is_file()), None)
        if path is None:
            raise self.missing(f"there is no file mnist/{name}.gz")
        try:
            with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
                data = file.read(MOST)
        except (OSError, EOFError, zlib.error) as error:
            raise self.missing(f"{path} cannot be read: {error}") from error
        start = 4 + 4 * axes
        if data[:4] != bytes([0, 0, 8, axes]) or len(data) < start:
            raise self.missing(f"{path} does not begin as an idx file of {axes} axes does")
        shape = np.frombuffer(data, ">u4", axes, 4).tolist()
        if len(data) != start + int(np.prod(shape, dtype=object)):
            raise self.missing(f"{path} holds {len(data)} bytes, which are not those of {shape}")
        return np.frombuffer(data, np.uint8, offset=start).reshape(shape)

    def _sounds(self, splits: Sequence[str]) -> Iterator[Item]:
        folder = self.root / "speech"
        files = sorted(folder.glob("*.wav")) if folder.is_dir() else []
        if not files:
            raise self.missing(f"{folder} holds no .wav files")
        for path in files:
            found = re.fullmatch(r"(\d)_([a-z]+)_(\d+)", path.stem)
            if not found:
                raise self.missing(f"{path.name} is no digit_speaker_index.wav")
            if ("test" if int(found[3]) in TEST_INDICES else "train") in splits:
                yield Item(self.make_id(path), path, WORDS[int(found[1])], notes={"speaker": found[2]})
