"""What simulating events of a film costs over decoding it: `make bench-video`.

Decoding alone and simulating run by turns on the same films in one process. PyAV decodes as it does by itself, in as
many threads as it may, and to gray arrays, which is what a simulation starts from. The films are 640x480 in H.264 and
MPEG-4, made of the frames of UCSD Ped2 where the test data are (ANYBIND_TEST_DATA names the folder), else of moving
shapes. Prints a table and writes benchmarks/results/video.json and video.md. Ratios travel between machines, rates
do not; of the time of the processor, a busy machine changes less.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import PIL.Image

import anybind
from anybind.commandline import print_table
from anybind_events.simulation.video import contrast, frame_difference

ROUNDS = 9
FRAMES = 300
SIZE = (640, 480)
CODECS = {"H.264": ("film.mp4", "libx264"), "MPEG-4": ("film.avi", "mpeg4")}
BIT_RATE = 2_000_000
ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
ALONE = ("PyAV", "PyAV in threads", "PyAV to gray arrays")
WAYS = (*ALONE, "gray frames", "frame-difference", "contrast")


def main() -> None:
    """Measure, print and write."""
    source, frames = pictures()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for codec, (name, encoder) in CODECS.items():
            if encoder in av.codecs_available:
                path = encode(Path(folder) / name, encoder, frames)
                rows += [{"codec": codec, **row} for row in contest(path)]
    columns = ("codec", "way", "frames per s", "CPU ms a frame", "events a frame", *(f"/ {way}" for way in ALONE))
    table = [
        (
            row["codec"],
            row["way"],
            f"{row['rate']:.0f}",
            f"{row['cpu_ms']:.2f}",
            f"{row['events']:.0f}",
            *(f"{row[way]:.2f}" for way in ALONE),
        )
        for row in rows
    ]
    print_table(columns, table)
    about = {"frames": FRAMES, "size": SIZE, "of": source, "rounds": ROUNDS, "cores": os.cpu_count(), "rows": rows}
    (RESULTS / "video.json").write_text(json.dumps(about, indent=1) + "\n")
    lines = [" | ".join(row) for row in (columns, ["---"] * len(columns), *table)]
    film = f"{FRAMES} frames of {SIZE[0]}x{SIZE[1]} ({source})"
    head = f"{film}; medians of {ROUNDS} rounds by turns; {os.cpu_count()} cores."
    told = "A column with / is a way's rate over that of the way it names, the median of the rounds' ratios."
    (RESULTS / "video.md").write_text("\n".join([head, "", *(f"| {line} |" for line in lines), "", told, ""]))


def pictures() -> tuple[str, list[np.ndarray]]:
    """Where the frames are from, and the frames, RGB."""
    folder = Path(os.environ.get("ANYBIND_TEST_DATA", ROOT.parent / "shared" / "data")) / "ucsd_ped2" / "frames"
    paths = sorted(folder.glob("*/*.jpg"))[:FRAMES]
    if len(paths) < FRAMES:
        return "moving shapes", list(shapes())
    return "UCSD Ped2", [np.asarray(PIL.Image.open(path).convert("RGB").resize(SIZE)) for path in paths]


def shapes() -> Iterator[np.ndarray]:
    """Twelve discs that wander over a textured ground."""
    random = np.random.default_rng(0)
    width, height = SIZE
    ground = random.integers(60, 120, (height // 8, width // 8)).repeat(8, axis=0).repeat(8, axis=1)
    y, x = np.mgrid[:height, :width]
    places, speeds = random.uniform(0, SIZE, (12, 2)), random.uniform(-6, 6, (12, 2))
    radii, levels = random.uniform(15, 50, 12), random.integers(0, 256, 12)
    for number in range(FRAMES):
        gray = ground.copy()
        for (left, top), radius, level in zip((places + number * speeds) % SIZE, radii, levels, strict=True):
            gray[(x - left) ** 2 + (y - top) ** 2 < radius**2] = level
        yield np.repeat(gray[..., None], 3, axis=2).astype(np.uint8)


def encode(path: Path, encoder: str, frames: list[np.ndarray]) -> Path:
    """A film of these frames, 25 a second."""
    with av.open(path, "w") as container:
        stream: Any = container.add_stream(encoder, rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        if encoder == "mpeg4":
            stream.bit_rate = BIT_RATE
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def contest(path: Path) -> list[dict[str, Any]]:
    """Median rates, CPU times and events of all ways, by turns after one round that does not count; median ratios."""
    ways: list[Callable[[], int]] = [
        lambda: decoded(path, "SLICE"),
        lambda: decoded(path, "AUTO"),
        lambda: decoded(path, "AUTO", gray=True),
        lambda: sum(0 for _ in anybind.read(path).frames()),
        lambda: sum(map(len, frame_difference(anybind.read(path)))),
        lambda: sum(map(len, contrast(anybind.read(path)))),
    ]
    events = [way() for way in ways]
    rounds = np.array([[timed(way) for way in ways] for _ in range(ROUNDS)])
    seconds, busy = rounds[..., 0], rounds[..., 1]
    return [
        {
            "way": way,
            "rate": float(FRAMES / np.median(seconds[:, number])),
            "cpu_ms": float(1000 * np.median(busy[:, number]) / FRAMES),
            "events": events[number] / FRAMES,
            **{other: float(np.median(seconds[:, k] / seconds[:, number])) for k, other in enumerate(ALONE)},
        }
        for number, way in enumerate(WAYS)
    ]


def decoded(path: Path, threads: str, gray: bool = False) -> int:
    """Decode a film by PyAV alone; SLICE is its own choice, AUTO as many threads as it may."""
    with av.open(path) as container:
        container.streams.video[0].thread_type = threads
        for frame in container.decode(video=0):
            if gray:
                frame.to_ndarray(format="gray")
    return 0


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds that a call takes, and those of the processor."""
    start, busy = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - start, time.process_time() - busy


if __name__ == "__main__":
    main()
