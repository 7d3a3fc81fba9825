"""Run time of event windows over decoding their video: `make bench-vad`.

Decoding alone and making windows alternate on the same videos in one process; videos and decoders are those of
`video_rate.py`. Windows are made as a video is decoded: without images, as heads on events need them, and with the
middle frame, small as on a page and whole as the head `image` needs it. Prints a table and writes vad.json and vad.md.
Ratios are comparable between machines, rates are not.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
from video_rate import (
    BASELINES,
    CODECS,
    N_FRAMES,
    RESULTS,
    SIZE,
    decode_by_pyav,
    encode_video,
    load_frames,
    measure_time,
)

from anybind.commandline import print_table
from anybind_vad.opening import open_video
from anybind_vad.presets import WindowSettings
from anybind_vad.snapshots import SNAPSHOT_SIDE
from anybind_vad.windows import VideoWindows

ROUNDS = 9
WINDOWS = ("windows of 16 frames", "with small images", "with whole images", "stride 4")
METHODS = (*BASELINES, *WINDOWS)
SHORT = ("/ PyAV", "/ threads", "/ gray")
"""Column names of the ratios to the methods of `BASELINES`."""


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=RESULTS.parent, help="folder of the results")
    parser.add_argument("--quick", action="store_true", help="use two rounds of the first codec, and print only")
    options = parser.parse_args()
    rounds = 2 if options.quick else ROUNDS
    source, frames = load_frames(N_FRAMES)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for codec, (name, encoder) in list(CODECS.items())[: 1 if options.quick else None]:
            if encoder in av.codecs_available:
                path = encode_video(Path(folder) / name, encoder, frames)
                rows += [{"codec": codec, **row} for row in measure_methods(path, rounds)]
    columns = ("codec", "method", "fps", "CPU ms", *SHORT)
    table = [
        (
            row["codec"],
            row["method"],
            f"{row['rate']:.0f}",
            f"{row['cpu_ms']:.2f}",
            *(f"{row[each]:.2f}" for each in BASELINES),
        )
        for row in rows
    ]
    print_table(columns, table)
    if options.quick:
        return
    options.output.mkdir(parents=True, exist_ok=True)
    results = {
        "frames": N_FRAMES,
        "size": SIZE,
        "of": source,
        "rounds": rounds,
        "cores": os.cpu_count(),
        "rows": rows,
    }
    (options.output / "vad.json").write_text(json.dumps(results, indent=1) + "\n")
    lines = [" | ".join(row) for row in (columns, ["---"] * len(columns), *table)]
    title = f"{N_FRAMES} frames of {SIZE[0]}x{SIZE[1]} ({source}); medians of {rounds} rounds; {os.cpu_count()} cores."
    note = (
        f"CPU ms per frame. {', '.join(SHORT)}: rate over that of {', '.join(BASELINES)}, median of the rounds' ratios."
    )
    (options.output / "vad.md").write_text("\n".join([title, "", *(f"| {line} |" for line in lines), "", note, ""]))


def measure_methods(path: Path, n_rounds: int) -> list[dict[str, Any]]:
    """Return median rates, CPU times and ratios of all methods, which alternate after a warm-up."""
    methods: list[Callable[[], int]] = [
        lambda: decode_by_pyav(path, "SLICE"),
        lambda: decode_by_pyav(path, "AUTO"),
        lambda: decode_by_pyav(path, "AUTO", gray=True),
        lambda: count_events(path, images=False),
        lambda: count_events(path, max_side=SNAPSHOT_SIDE),
        lambda: count_events(path),
        lambda: count_events(path, stride=4, images=False),
    ]
    for method in methods:
        method()
    rounds = np.array([[measure_time(method) for method in methods] for _ in range(n_rounds)])
    seconds, cpu_seconds = rounds[..., 0], rounds[..., 1]
    return [
        {
            "method": method,
            "rate": float(N_FRAMES / np.median(seconds[:, number])),
            "cpu_ms": float(1000 * np.median(cpu_seconds[:, number]) / N_FRAMES),
            **{other: float(np.median(seconds[:, k] / seconds[:, number])) for k, other in enumerate(BASELINES)},
        }
        for number, method in enumerate(METHODS)
    ]


def count_events(path: Path, stride: int = 16, **options: Any) -> int:
    """Decode a video; return the number of events of its windows."""
    settings = WindowSettings(stride=stride)
    return sum(len(window.events) for window in VideoWindows(open_video(path), settings, **options))


if __name__ == "__main__":
    main()
