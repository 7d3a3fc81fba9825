"""Rendered videos of people walking along a wall; in some of them one person runs."""

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
LUMA_WEIGHTS = (299, 587, 114)
"""Weights of red, green and blue in luma, thousandths (Rec. 601)."""
NO_RUNNER = range(0)
TEST = {
    "walk-1": (9, NO_RUNNER),
    "walk-2": (5, NO_RUNNER),
    "run-1": (6, range(48, 80)),
    "run-2": (4, range(112, 144)),
    "run-3": (8, range(24, 56)),
    "run-4": (7, range(144, 176)),
}
"""Videos of the split `test`: number of walking people, and frames with a runner."""
TRAIN = {"walk-3": (4, NO_RUNNER), "walk-4": (6, NO_RUNNER), "walk-5": (8, NO_RUNNER), "walk-6": (9, NO_RUNNER)}
"""Videos of the split `train`, without a runner."""
VIDEOS = TEST | TRAIN


class SyntheticVideos(Dataset):
    """Ten rendered videos of eight seconds: four to nine people walk to and fro; in four videos one person runs.

    Labels are `normal` and `running`; notes hold the split and the abnormal frames (see `Item`). The split `train` has
    normal videos only. Videos are written to the folder once, gray and lossless, with the same pixels on every machine.
    """

    name = "synthetic-videos"
    licence = "Apache-2.0, as the program that renders them"
    published = "not published: rendered on first use (any folder works)"
    size = "10 videos of 200 frames, 5 MB"
    splits: ClassVar = {"train": 4, "test": 6}
    sample_modalities = ("video",)
    derived = True

    def class_names(self) -> Mapping[str, str]:
        return {"normal": "normal", "running": "running"}

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        for name, (_, runner) in VIDEOS.items():
            split = "test" if name in TEST else "train"
            if split in splits:
                notes = {"split": split, "abnormal": [[runner.start, runner.stop]] if runner else []}
                yield Item(name, self.root / f"{name}.mkv", "running" if runner else "normal", notes=notes)

    def complete_item(self, item: Item) -> Iterator[Item | BadInput]:
        if not item.source.is_file():
            walkers, runner = VIDEOS[item.id]
            _save_video(item.source, render_street(FRAMES, runner, list(VIDEOS).index(item.id), walkers))
        yield item


def render_street(n_frames: int, runner: range, seed: int, n_walkers: int = 6) -> list[np.ndarray]:
    """Render RGB frames, (180, 240, 3) uint8: people walk at about one pixel a frame, a runner at seven.

    Args:
        n_frames: number of frames.
        runner: frames with a runner; may be empty.
        seed: seed of the wall and of the people's positions, speeds and colours.
        n_walkers: number of walking people.
    """
    random = np.random.default_rng(seed)
    coarse = random.integers(90, 140, (HEIGHT // 6, WIDTH // 6, 3))
    wall = coarse.repeat(6, axis=0).repeat(6, axis=1).astype(np.uint8)
    starts, speeds = random.uniform(0, WIDTH, n_walkers), random.uniform(0.6, 1.3, n_walkers)
    speeds *= random.choice([-1, 1], n_walkers)
    tops, colours = random.integers(20, HEIGHT - 60, n_walkers + 1), random.integers(0, 60, (n_walkers + 1, 3))
    frames = []
    for number in range(n_frames):
        frame = wall.copy()
        for top, colour, start, speed in zip(tops, colours, starts, speeds, strict=False):  # the runner's come last
            _draw_person(frame, start + speed * number, top, colour, number * abs(speed))
        if number in runner:
            _draw_person(frame, 7.0 * (number - runner.start), tops[-1], colours[-1], 3.0 * number)
        frames.append(frame)
    return frames


def _draw_person(frame: np.ndarray, x: float, top: int, colour: np.ndarray, step: float) -> None:
    """Draw a person: head, body and two swinging legs."""
    x %= WIDTH
    left = max(0, round(x) - 12)
    rows, columns = np.ogrid[:44, left : min(WIDTH, left + 24)]
    head = (columns - x) ** 2 + (rows - 5) ** 2 < 20
    body = (np.abs(columns - x) < 5) & (np.abs(rows - 18) < 9)
    lean = (rows - 27) / 15 * 5 * np.sin(step / 4)
    legs = (rows >= 27) & (rows < 42) & ((np.abs(columns - x - lean) < 2.5) | (np.abs(columns - x + lean) < 2.5))
    frame[top : top + 44, left : left + 24][head | body | legs] = colour


def _save_video(path: Path, frames: Iterable[np.ndarray]) -> None:
    """Write RGB frames as a lossless gray video: FFV1 in Matroska, the same bytes for the same FFmpeg."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("ffv1", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "gray"
        stream.thread_count = 1
        for frame in frames:
            gray = (frame @ np.array(LUMA_WEIGHTS) // 1000).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(gray, format="gray")))
        container.mux(stream.encode())
    with files.atomic_path(path) as target:
        target.write_bytes(buffer.getvalue())
