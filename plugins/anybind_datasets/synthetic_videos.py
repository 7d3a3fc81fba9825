"""Films that are made on the spot: people walk along a wall, and in some of them one runs."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import av
import numpy as np

from anybind.plugin import BadInput, Dataset, Item, files

WIDTH, HEIGHT = 240, 180
FPS = 25
FRAMES = 200
LUMA = (299, 587, 114)
"""Thousandths of red, green and blue in a gray level (Rec. 601)."""
NOBODY = range(0)
TEST = {
    "walk-1": (9, NOBODY),
    "walk-2": (5, NOBODY),
    "run-1": (6, range(48, 80)),
    "run-2": (4, range(112, 144)),
    "run-3": (8, range(24, 56)),
    "run-4": (7, range(144, 176)),
}
"""Films of the test part: how many people walk, and in which frames another one runs."""
TRAIN = {"walk-3": (4, NOBODY), "walk-4": (6, NOBODY), "walk-5": (8, NOBODY), "walk-6": (9, NOBODY)}
"""Films of the training part: everyone walks."""
FILMS = TEST | TRAIN


class MadeFilms(Dataset):
    """Ten videos of eight seconds, made by a program: four to nine people walk to and fro; in four of them one runs.

    Labels are `normal` and `running`; notes hold the split and the abnormal frames (see `Item`). The split `train` has
    normal videos only. They are written into the folder once, gray and lossless, the same pixels on every machine.
    """

    name = "made-films"
    licence = "Apache-2.0, as the program that makes them"
    published = "nowhere: they are made (any folder will do)"
    size = "10 films of 200 frames, 5 MB when made"
    splits: ClassVar = {"train": 4, "test": 6}
    sample_modalities = ("video",)
    derived = True

    def class_names(self) -> Mapping[str, str]:
        return {"normal": "normal", "running": "running"}

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        for name, (_, runner) in FILMS.items():
            split = "test" if name in TEST else "train"
            if split in splits:
                notes = {"split": split, "abnormal": [[runner.start, runner.stop]] if runner else []}
                yield Item(name, self.root / f"{name}.mkv", "running" if runner else "normal", notes=notes)

    def complete_item(self, item: Item) -> Iterator[Item | BadInput]:
        if not item.source.is_file():
            walkers, runner = FILMS[item.id]
            _save(item.source, street(FRAMES, runner, list(FILMS).index(item.id), walkers))
        yield item


def street(frames: int, runner: range, seed: int, walkers: int = 6) -> list[np.ndarray]:
    """RGB frames, (180, 240, 3) uint8 each: people walk to and fro at about a pixel a frame, a runner at seven.

    Args:
        frames: how many.
        runner: numbers of those in which someone runs past; none, if it is empty.
        seed: of the wall, and of where people are, how fast, and of which colour.
        walkers: how many walk.
    """
    random = np.random.default_rng(seed)
    coarse = random.integers(90, 140, (HEIGHT // 6, WIDTH // 6, 3))
    wall = coarse.repeat(6, axis=0).repeat(6, axis=1).astype(np.uint8)
    starts, speeds = random.uniform(0, WIDTH, walkers), random.uniform(0.6, 1.3, walkers)
    speeds *= random.choice([-1, 1], walkers)
    tops, colours = random.integers(20, HEIGHT - 60, walkers + 1), random.integers(0, 60, (walkers + 1, 3))
    made = []
    for number in range(frames):
        picture = wall.copy()
        for top, colour, start, speed in zip(tops, colours, starts, speeds, strict=False):  # the runner's come last
            _person(picture, start + speed * number, top, colour, number * abs(speed))
        if number in runner:
            _person(picture, 7.0 * (number - runner.start), tops[-1], colours[-1], 3.0 * number)
        made.append(picture)
    return made


def _person(picture: np.ndarray, x: float, top: int, colour: np.ndarray, step: float) -> None:
    """A head, a body, and two legs that swing."""
    x %= WIDTH
    left = max(0, round(x) - 12)
    rows, columns = np.ogrid[:44, left : min(WIDTH, left + 24)]
    head = (columns - x) ** 2 + (rows - 5) ** 2 < 20
    body = (np.abs(columns - x) < 5) & (np.abs(rows - 18) < 9)
    lean = (rows - 27) / 15 * 5 * np.sin(step / 4)
    legs = (rows >= 27) & (rows < 42) & ((np.abs(columns - x - lean) < 2.5) | (np.abs(columns - x + lean) < 2.5))
    picture[top : top + 44, left : left + 24][head | body | legs] = colour


def _save(path: Path, frames: Iterable[np.ndarray]) -> None:
    """Write RGB frames as a gray film without loss: FFV1 in Matroska, the same bytes for the same FFmpeg."""
    held = io.BytesIO()
    with av.open(held, "w", format="matroska", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("ffv1", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "gray"
        stream.thread_count = 1
        for frame in frames:
            gray = (frame @ np.array(LUMA) // 1000).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(gray, format="gray")))
        container.mux(stream.encode())
    with files.atomic_path(path) as target:
        target.write_bytes(held.getvalue())
