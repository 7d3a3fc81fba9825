"""Measure how many training views a second the simulations of images make.

    python benchmarks/simulation_rate.py [--views N]                                    (make bench-simulation)

A photograph of 240x160 pixels in memory becomes event recordings: by `motion` on a sensor of 160x160 pixels with
background activity (5 Hz a pixel), leak and hot pixels; with all options drawn from the seed, as in training; and by
both kinds of saccades. Printed are CPU milliseconds a view (median, 95th percentile), CPU-bound views a second of one
core, and views a second of two threads, which wait for other processes on a busy machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import PIL.Image
import skimage.data

import anybind
from anybind.commandline import print_table

NOISE: Mapping[str, object] = {"shot_hz": 5.0, "leak_hz": 0.1, "hot_pixels": 2}
SQUARE: Mapping[str, object] = {"model": "motion", "width": 160, "height": 160, **NOISE}
CASES: Mapping[str, Mapping[str, object]] = {
    "motion, 160x160, full, noise": SQUARE,
    "motion, 160x160, object on plain, noise": {**SQUARE, "background": "plain", "object_scale": 0.6},
    "motion, 160x160, full, noise, bandwidth": {**SQUARE, "bandwidth_hz": 200.0, "dark_ratio": 4.0},
    "motion, all options drawn": {"model": "motion", "vary": True},
    "saccades, all options drawn": {"model": "saccades", "vary": True},
    "eased-saccades, all options drawn": {"model": "eased-saccades", "vary": True},
}
TARGET = 75
"""Minimum number of views a second and core, of the noisy motion on 160x160 pixels."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", type=int, default=120, help="views of each case")
    views = parser.parse_args().views
    photo = np.asarray(PIL.Image.fromarray(skimage.data.coffee()).resize((240, 160)))
    rows = [measure_case(name, photo, options, views) for name, options in CASES.items()]
    print_table(("case", "events", "CPU ms", "95 %", "views/s/core", "views/s, 2 threads"), rows)
    print(f"load before: {os.getloadavg()[0]:.1f}; target: {TARGET} views a second and core")


def measure_case(name: str, photo: np.ndarray, options: Mapping[str, object], views: int) -> list[str]:
    """Measure one case: cells of the table."""

    def derive(seed: int) -> int:
        return len(anybind.derive("event", photo, seed=seed, **options))

    derive(0)  # compiles
    durations, events = [], []
    for seed in range(views):
        start = time.process_time()
        events.append(derive(seed))
        durations.append(1e3 * (time.process_time() - start))
    start = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(derive, range(views)))
    both = views / (time.perf_counter() - start)
    late = float(np.percentile(durations, 95))
    mean = statistics.fmean(durations)
    median = statistics.median(durations)
    return [
        name,
        f"{statistics.median(events):.0f}",
        f"{median:.1f}",
        f"{late:.1f}",
        f"{1e3 / mean:.0f}",
        f"{both:.0f}",
    ]


if __name__ == "__main__":
    main()
