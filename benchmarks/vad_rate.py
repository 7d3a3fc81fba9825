"""What windows of events cost over decoding the film that they are of: `make bench-vad`.

Decoding alone and making windows run by turns on the same films in one process; films and ways to decode are those of
`video_rate.py`. Windows come as a film plays: without pictures, as heads that read events need them, and each with
the frame in its middle, small as a page shows it and whole as the head `image` reads it. Prints a table and writes
benchmarks/results/vad.json and vad.md. Ratios travel between machines, rates do not.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
from video_rate import CODECS, FRAMES, RESULTS, SIZE, decoded, encode, pictures, timed

from anybind.commandline import print_table
from anybind_vad.snapshots import SNAPSHOT_SIDE
from anybind_vad.presets import WindowSettings
from anybind_vad.windows import VideoWindows, open_video

ROUNDS = 9
ALONE = ("PyAV", "PyAV in threads", "PyAV to gray arrays")
WINDOWS = ("windows of 16 frames", "with small pictures", "with whole pictures", "stride 4")
WAYS = (*ALONE, *WINDOWS)


def main() -> None:
    """Measure, print and write."""
    source, frames = pictures()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for codec, (name, encoder) in CODECS.items():
            if encoder in av.codecs_available:
                rows += [{"codec": codec, **row} for row in contest(encode(Path(folder) / name, encoder, frames))]
    columns = ("codec", "way", "frames per s", "CPU ms a frame", *(f"/ {way}" for way in ALONE))
    table = [
        (row["codec"], row["way"], f"{row['rate']:.0f}", f"{row['cpu_ms']:.2f}", *(f"{row[way]:.2f}" for way in ALONE))
        for row in rows
    ]
    print_table(columns, table)
    about = {"frames": FRAMES, "size": SIZE, "of": source, "rounds": ROUNDS, "cores": os.cpu_count(), "rows": rows}
    (RESULTS / "vad.json").write_text(json.dumps(about, indent=1) + "\n")
    lines = [" | ".join(row) for row in (columns, ["---"] * len(columns), *table)]
    film = f"{FRAMES} frames of {SIZE[0]}x{SIZE[1]} ({source})"
    head = f"{film}; medians of {ROUNDS} rounds by turns; {os.cpu_count()} cores."
    told = "A column with / is a way's rate over that of the way it names, the median of the rounds' ratios."
    (RESULTS / "vad.md").write_text("\n".join([head, "", *(f"| {line} |" for line in lines), "", told, ""]))


def contest(path: Path) -> list[dict[str, Any]]:
    """Median rates and CPU times of all ways, by turns after one round that does not count; median ratios."""
    ways: list[Callable[[], int]] = [
        lambda: decoded(path, "SLICE"),
        lambda: decoded(path, "AUTO"),
        lambda: decoded(path, "AUTO", gray=True),
        lambda: windows(path, images=False),
        lambda: windows(path, side=SNAPSHOT_SIDE),
        lambda: windows(path),
        lambda: windows(path, stride=4, images=False),
    ]
    for way in ways:
        way()
    rounds = np.array([[timed(way) for way in ways] for _ in range(ROUNDS)])
    seconds, busy = rounds[..., 0], rounds[..., 1]
    return [
        {
            "way": way,
            "rate": float(FRAMES / np.median(seconds[:, number])),
            "cpu_ms": float(1000 * np.median(busy[:, number]) / FRAMES),
            **{other: float(np.median(seconds[:, k] / seconds[:, number])) for k, other in enumerate(ALONE)},
        }
        for number, way in enumerate(WAYS)
    ]


def windows(path: Path, stride: int = 16, **options: Any) -> int:
    """Decode a video; how many events its windows hold."""
    settings = WindowSettings(stride=stride)
    return sum(len(window.events) for window in VideoWindows(open_video(path), settings, **options))


if __name__ == "__main__":
    main()
