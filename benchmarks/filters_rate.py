"""Measure the speed of event filters, and how they separate noise, beside other packages: `make bench-filters`.

Speed: 1e7 events of a sensor of 640x480 pixels in one second, at uniformly drawn pixels (the worst case for caches) and
of moving edges, in one process, in turns, each after a warm-up call, on one thread. Rates are events over the CPU time
of the process, the best of several rounds, so that other work on the machine counts little; they are not comparable
between machines, ratios are. dv-processing's low pass is a refractory period; eventcv's hot pixels are those of a mean
of the whole recording; evlab runs in Python, on the first 1e5 events. `RAYON_NUM_THREADS=1` limits eventcv.

Noise: simulated motion of photographs (scikit-image's), by 30 % of the sensor's width in 0.3 s, is the signal: an
object before a plain background, or a photograph that fills the sensor. Noise of 1, 5 and 10 Hz a pixel is added
(`background-noise` of `anybind corrupt`). The area under the curve of kept signal over kept noise is that of 12
durations of the background activity filters from 0.2 to 400 ms, by the trapezoidal rule.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
from filters_peers import Calls, PeerInputs, filter_noise_by_dv, make_dv_store
from processor import read_processor
from recordings import moving_edges, uniform_pixels

import anybind
from anybind.commandline import print_table
from anybind.plugin import files, list_parts
from anybind_events import corrupt_events, filter_events
from anybind_events.stream import EventStream

OUTPUT = Path(__file__).parent / "results" / "filters.json"
EVENTS, WIDTH, HEIGHT = 10_000_000, 640, 480
ROUNDS = 5
DURATION_US, PERIOD_US, REGION = 20_000, 1_000, (160, 120, 320, 240)
FILTERS: Mapping[str, str] = {
    "refractory": f"refractory:period_us={PERIOD_US}",
    "region": "region:x={}:y={}:width={}:height={}".format(*REGION),
    "polarity": "polarity:keep=on",
    "rate-limit": "rate-limit:rate=5000000.0",
    "undistort": "undistort:focal=[500,500]:centre=[320,240]:distortion=[-0.3,0.1,0,0]:size=[640,480]",
}
"""Filters with options; the others have their defaults."""
TARGET_RATE = 50e6
WITH_TARGET = ("background-activity", "refractory", "hot-pixel", "region")
"""Filters that must reach the target rate, and, with `polarity`, the rate of the fastest peer."""
SENSORS = ((128, 128), (346, 260))
DURATIONS_US = np.unique(np.geomspace(200, 400_000, 12).astype(int)).tolist()
MIN_AUC = 0.9
"""Smallest area for an object before a plain background."""


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the events; write results only to --output")
    parser.add_argument("--output", type=Path, help=f"JSON report [default: {OUTPUT}]")
    options = parser.parse_args()
    rates = []
    for make_recording in (uniform_pixels, moving_edges):
        stream = make_recording(EVENTS // 10 if options.quick else EVENTS, WIDTH, HEIGHT, seed=0)
        rates += measure_rates(make_recording.__name__.replace("_", " "), stream)
    print_table(
        ("recording", "filter", "kept", "Mev/s", *PEERS, "x fastest"), [format_rate(row) for row in rates]
    )  # fmt: skip
    noise = [
        measure_noise(background, size, severity)
        for background in ("plain", "full")
        for size in SENSORS
        for severity in (1, 2, 3)
    ]
    columns = ("background", "sensor", "Hz/pixel", "signal", "noise", "AUC", "dv-processing")
    print_table(columns, [format_noise(row) for row in noise])
    missed = [f"{row['filter']} ({row['recording']})" for row in rates if not row["reached"]] + [
        f"AUC of {row['background']}, {row['sensor'][0]}x{row['sensor'][1]}, {row['hz']:g} Hz"
        for row in noise
        if not row["reached"]
    ]
    print("targets missed: " + ("; ".join(missed) or "none"))
    output = options.output or (None if options.quick else OUTPUT)
    if output:
        packages = {each: version(each) for each in ("numpy", "numba", *PEERS)}
        settings = {
            "processor": read_processor(), "python": platform.python_version(), "packages": packages,
            "events": EVENTS // 10 if options.quick else EVENTS, "size": [WIDTH, HEIGHT], "rounds": ROUNDS,
            "target_rate": TARGET_RATE, "min_auc": MIN_AUC, "load": round(os.getloadavg()[0], 1),
        }  # fmt: skip
        with files.atomic_path(output) as temporary:
            temporary.write_text(json.dumps({**settings, "rates": rates, "noise": noise}, indent=1) + "\n")


PEERS = ("dv-processing", "eventcv", "evlab")


def check_events(stream: EventStream) -> None:
    """Check that filters of one definition keep as many events as eventcv's."""
    calls = PeerInputs(stream).list_calls(DURATION_US, PERIOD_US, REGION)
    classic = f"background-activity:duration_us={DURATION_US}:support=1:same_polarity=false"
    for name in ("background-activity", "refractory", "region", "polarity"):
        ours = filter_events(stream, classic if name == "background-activity" else FILTERS[name])
        assert len(ours) == len(calls[name]["eventcv"][0]()), name


def measure_rates(recording: str, stream: EventStream) -> list[dict[str, Any]]:
    """Return a row a filter."""
    check_events(stream.head(100_000))
    peers = PeerInputs(stream).list_calls(DURATION_US, PERIOD_US, REGION)
    rows = []
    for name in (part.name for part in list_parts("filter") if part.plugin == "events"):
        text = FILTERS.get(name, name)
        calls: Calls = {"anybind": (lambda text=text: filter_events(stream, text), len(stream)), **peers.get(name, {})}
        rates = measure_calls(calls)
        fastest = max((rate for peer, rate in rates.items() if peer != "anybind"), default=None)
        ratio = None if fastest is None else rates["anybind"] / fastest
        reached = (ratio is None or ratio >= 1) and (name not in WITH_TARGET or rates["anybind"] >= TARGET_RATE)
        rows.append(
            {
                "recording": recording, "filter": name, "kept": len(filter_events(stream, text)) / len(stream),
                "rates": rates, "times_fastest": ratio, "reached": reached,
            }
        )  # fmt: skip
    return rows


def measure_calls(calls: Calls) -> dict[str, float]:
    """Return events per CPU second of each call, the best of several rounds in turns."""
    best = dict.fromkeys(calls, np.inf)
    for call, _ in calls.values():
        call()
    for _ in range(ROUNDS):
        for name, (call, _) in calls.items():
            best[name] = min(best[name], time_call(call))
    return {name: events / best[name] for name, (_, events) in calls.items()}


def time_call(call: Callable[[], object]) -> float:
    """Return the CPU seconds of a call, of all threads; its result is freed afterwards."""
    start = time.process_time()
    result = call()
    seconds = time.process_time() - start
    del result
    return seconds


def measure_noise(background: str, size: tuple[int, int], severity: int) -> dict[str, Any]:
    """Return how background activity filters separate signal and noise on one sensor."""
    width, height = size
    counts = {name: np.zeros((len(DURATIONS_US) + 1, 2)) for name in ("anybind", "dv-processing")}
    hz = 0.0
    for seed, photo in enumerate((skimage.data.coffee(), skimage.data.chelsea(), skimage.data.astronaut())):
        clean = anybind.derive(
            "event", photo, seed=seed, model="motion", width=width, height=height, background=background,
            object_scale=0.6 if background == "plain" else 1.0, amplitude=0.3 * width, speed="constant",
        )  # fmt: skip
        corrupted = corrupt_events(clean, "background-noise", severity=severity, seed=seed)
        hz, noisy = corrupted.settings["shot_hz"], corrupted.stream
        store, codes = make_dv_store(noisy), encode_events(noisy)
        for row, duration in enumerate(DURATIONS_US):
            ours = filter_events(noisy, f"background-activity:duration_us={duration}")
            for name, output in (("anybind", ours), ("dv-processing", filter_noise_by_dv(store, size, duration))):
                counts[name][row] += count_labels(corrupted.is_signal[np.isin(codes, encode_events(output))])
        for each in counts.values():
            each[-1] += count_labels(corrupted.is_signal)
    areas = {name: compute_area(each) for name, each in counts.items()}
    noise, signal = counts["anybind"][-1].astype(int).tolist()
    reached = areas["anybind"] >= max(MIN_AUC if background == "plain" else 0, areas["dv-processing"])
    return {
        "background": background, "sensor": size, "hz": hz, "signal": signal, "noise": noise, "auc": areas,
        "reached": bool(reached),
    }  # fmt: skip


def encode_events(stream: EventStream) -> np.ndarray:
    """Return a number for each event; the same for the same time, pixel and polarity."""
    pixels = stream.y.astype(np.int64) * stream.width + stream.x
    return 2 * (stream.t * (stream.width * stream.height) + pixels) + stream.p


def count_labels(labels: np.ndarray) -> tuple[int, int]:
    """Return the numbers of noise and of signal events."""
    signal = int(np.count_nonzero(labels))
    return len(labels) - signal, signal


def compute_area(counts: np.ndarray) -> float:
    """Return the area under the curve of kept signal over kept noise; the last row has all events."""
    shares = np.vstack([[0.0, 0.0], counts / counts[-1]])
    return float(np.trapezoid(shares[:, 1], shares[:, 0]))


def format_rate(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Format a row of the table of rates."""
    rates = {name: f"{rate / 1e6:.3g}" for name, rate in row["rates"].items()}
    ratio = "" if row["times_fastest"] is None else f"{row['times_fastest']:.2f}"
    return (
        row["recording"], row["filter"], f"{row['kept']:.3f}", rates["anybind"],
        *(rates.get(peer, "") for peer in PEERS), ratio,
    )  # fmt: skip


def format_noise(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Format a row of the table of noise."""
    areas = (f"{row['auc'][name]:.4f}" for name in ("anybind", "dv-processing"))
    counts = (str(row["signal"]), str(row["noise"]))
    return (row["background"], "x".join(map(str, row["sensor"])), f"{row['hz']:g}", *counts, *areas)


if __name__ == "__main__":
    main()
