"""Measure the cost of event simulation from video, relative to decoding.

Decoding and simulation alternate on the same videos in one process. Baselines are PyAV with its default threads, with
all threads, and with conversion to gray arrays, the input of a simulation. Videos are 640x480 in H.264 and MPEG-4, with
frames of UCSD Ped2 from $ANYBIND_TEST_DATA, or else of moving shapes. Ratios are comparable between machines, rates are
not; CPU time depends less on other load.
"""

from __future__ import annotations

import argparse
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

N_ROUNDS, N_FRAMES = 9, 300
SIZE = (640, 480)
CODECS = {"H.264": ("video.mp4", "libx264"), "MPEG-4": ("video.avi", "mpeg4")}
BIT_RATE = 2_000_000
ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "video.json"
BASELINES = ("PyAV", "PyAV threads", "PyAV gray")
METHODS = (*BASELINES, "gray frames", "frame-difference", "contrast")
COLUMNS = ("codec", "method", "frames per s", "CPU ms per frame", "events per frame", "/ PyAV", "/ threads", "/ gray")


def main() -> None:
    """Measure; print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--output",
        type=Path,
        help="JSON report, with a .md table beside it [default: video.json in results]",
    )
    parser.add_argument("--quick", action="store_true", help="30 frames, 2 rounds; write only to a given --output")
    arguments = parser.parse_args()
    output = arguments.output or (None if arguments.quick else RESULTS)
    n_rounds, n_frames = (2, 30) if arguments.quick else (N_ROUNDS, N_FRAMES)
    source, frames = load_frames(n_frames)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for codec, (name, encoder) in CODECS.items():
            if encoder in av.codecs_available:
                path = encode_video(Path(folder) / name, encoder, frames)
                rows += [{"codec": codec, **row} for row in compare_methods(path, n_rounds, n_frames)]
    table = [
        (
            row["codec"],
            row["method"],
            f"{row['rate']:.0f}",
            f"{row['cpu_ms']:.2f}",
            f"{row['events']:.0f}",
            *(f"{row[baseline]:.2f}" for baseline in BASELINES),
        )
        for row in rows
    ]
    # Each codec is a table of its own, without the column of the codec: the terminal may have 80 columns.
    for codec in dict.fromkeys(row[0] for row in table):
        print_table(COLUMNS[1:], [row[1:] for row in table if row[0] == codec], codec)
    if output:
        settings = {"frames": n_frames, "size": SIZE, "of": source, "rounds": n_rounds, "cores": os.cpu_count()}
        output.write_text(json.dumps({**settings, "rows": rows}, indent=1) + "\n")
        lines = ["| " + " | ".join(row) + " |" for row in (COLUMNS, ["---"] * len(COLUMNS), *table)]
        video = f"{n_frames} frames of {SIZE[0]}x{SIZE[1]} ({source})"
        title = f"{video}; medians of {n_rounds} alternating rounds; {os.cpu_count()} cores."
        note = "Columns with / are median ratios of the rates of a method and a baseline."
        output.with_suffix(".md").write_text("\n".join([title, "", *lines, "", note, ""]))


def load_frames(n_frames: int) -> tuple[str, list[np.ndarray]]:
    """Load RGB frames; return the name of their source and the frames."""
    folder = Path(os.environ.get("ANYBIND_TEST_DATA", ROOT.parent / "shared" / "data")) / "ucsd_ped2" / "frames"
    paths = sorted(folder.glob("*/*.jpg"))[:n_frames]
    if len(paths) < n_frames:
        return "moving shapes", list(render_shapes(n_frames))
    return "UCSD Ped2", [np.asarray(PIL.Image.open(path).convert("RGB").resize(SIZE)) for path in paths]


def render_shapes(n_frames: int) -> Iterator[np.ndarray]:
    """Render twelve discs that move over a textured background."""
    random = np.random.default_rng(0)
    width, height = SIZE
    background = random.integers(60, 120, (height // 8, width // 8)).repeat(8, axis=0).repeat(8, axis=1)
    y, x = np.mgrid[:height, :width]
    positions, speeds = random.uniform(0, SIZE, (12, 2)), random.uniform(-6, 6, (12, 2))
    radii, levels = random.uniform(15, 50, 12), random.integers(0, 256, 12)
    for number in range(n_frames):
        gray = background.copy()
        for (left, top), radius, level in zip((positions + number * speeds) % SIZE, radii, levels, strict=True):
            gray[(x - left) ** 2 + (y - top) ** 2 < radius**2] = level
        yield np.repeat(gray[..., None], 3, axis=2).astype(np.uint8)


def encode_video(path: Path, encoder: str, frames: list[np.ndarray]) -> Path:
    """Encode frames as a video of 25 Hz."""
    with av.open(path, "w") as container:
        stream: Any = container.add_stream(encoder, rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        if encoder == "mpeg4":
            stream.bit_rate = BIT_RATE
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def compare_methods(path: Path, n_rounds: int, n_frames: int) -> list[dict[str, Any]]:
    """Measure all methods in alternation after a warm-up round; return median rates, CPU times, events and ratios."""
    methods: list[Callable[[], int]] = [
        lambda: decode_by_pyav(path, "SLICE"),
        lambda: decode_by_pyav(path, "AUTO"),
        lambda: decode_by_pyav(path, "AUTO", gray=True),
        lambda: sum(0 for _ in anybind.read(path).frames()),
        lambda: sum(map(len, frame_difference(anybind.read(path)))),
        lambda: sum(map(len, contrast(anybind.read(path)))),
    ]
    events = [method() for method in methods]
    rounds = np.array([[measure_time(method) for method in methods] for _ in range(n_rounds)])
    seconds, cpu_seconds = rounds[..., 0], rounds[..., 1]
    return [
        {
            "method": method,
            "rate": float(n_frames / np.median(seconds[:, number])),
            "cpu_ms": float(1000 * np.median(cpu_seconds[:, number]) / n_frames),
            "events": events[number] / n_frames,
            **{name: float(np.median(seconds[:, k] / seconds[:, number])) for k, name in enumerate(BASELINES)},
        }
        for number, method in enumerate(METHODS)
    ]


def decode_by_pyav(path: Path, threads: str, gray: bool = False) -> int:
    """Decode a video with PyAV only; thread type SLICE is its default, AUTO allows all threads."""
    with av.open(path) as container:
        container.streams.video[0].thread_type = threads
        for frame in container.decode(video=0):
            if gray:
                frame.to_ndarray(format="gray")
    return 0


def measure_time(call: Callable[[], object]) -> tuple[float, float]:
    """Measure the duration and the CPU time of a call, in seconds."""
    start, cpu_start = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - start, time.process_time() - cpu_start


if __name__ == "__main__":
    main()
