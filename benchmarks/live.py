"""Measure `watch` on a recording that is replayed in a loop at an event rate: `make bench-live`.

    python benchmarks/live.py [RECORDING] [--rate 2e6] [--seconds 60] [--window 100ms] [--chart FILE.png]

The latency is from the end of a window, by the schedule of the replay, to its answer: chunks of 5 ms, queue, activity,
representation and encoder included. Every 20th window is embedded again, by `Binder.embed`, and compared. Memory is the
resident set of the process. Latencies depend on what else runs on the machine: the load is recorded, and the processor
time for each second of the stream, which depends on it less. Events dropped in the first second are counted apart, too.
Windows as long as a loop of the recording, or longer, contain all of it and have one label; shorter ones have several.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import anybind
from anybind.commandline import print_table, print_text
from anybind.plugin import files
from anybind_classification import WatchSummary, watch
from anybind_classification.demo_images import RECORDING
from anybind_events import EventStream
from anybind_events.live.replay import Replay

RESULTS = Path(__file__).parent / "results" / "live.json"
LABELS = ("a face", "a hand", "a car", "a ball", "a person walking", "a building", "a tree", "a bicycle")
COMPARED = 20
"""Every window of this number is embedded again."""
MAX_COMPARED = 20
SETTLING_S = 5.0
"""Seconds after which memory counts as settled."""
START_S = 1.0
"""Seconds of the start, whose drops are counted apart."""


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", nargs="?", type=Path, default=RECORDING)
    parser.add_argument("--rate", type=float, default=2e6, help="events per second (default: 2e6)")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--window", default="100ms")
    parser.add_argument("--stride", default="100ms")
    parser.add_argument("--chart", type=Path, help="PNG of memory and latency over time to write")
    parser.add_argument("--output", type=Path, help="JSON file (default: benchmarks/results/live.json)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(arguments, Path(folder))
    series = {name: result[name] for name in ("memory_mib", "latency_ms")}
    print_table(("", "value"), [(name, json.dumps(value)) for name, value in result.items() if name not in series])
    if arguments.chart:
        draw_chart(result, arguments.chart)
        print_text(f"chart: {arguments.chart}")
    (arguments.output or RESULTS).write_text(json.dumps(result, indent=1) + "\n")


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Watch the replay for a time; return the figures. Windows to compare are written to a folder."""
    binder = anybind.load("mini")
    source = Replay(arguments.recording, rate=arguments.rate, loop=True)
    summary, latencies, memory, compared, labels = WatchSummary(), [], [], [], set()
    load_before, spent_s = os.getloadavg()[0], 0.0
    first_us = dropped_at_start = None
    for number, answer in enumerate(
        watch(source, LABELS, binding=binder, window=arguments.window, stride=arguments.stride)
    ):
        elapsed_s = time.monotonic() - source.start_s
        spent_s = spent_s or time.process_time()  # loading ends with the first answer
        first_us = answer.end_us if first_us is None else first_us
        summary.add(answer)
        labels.update(each.label for each in answer.answer.scores[:1])
        latencies.append(1e3 * (elapsed_s - answer.end_us / 1e6))
        if dropped_at_start is None and elapsed_s >= START_S:
            dropped_at_start = answer.counts["dropped"]
        memory.append((round(elapsed_s, 2), round(read_memory_mib(), 1)))
        if number % COMPARED == 0 and len(compared) < MAX_COMPARED and answer.embedding is not None:
            compared.append(answer.embedding.vectors)
            save_sample(answer.sample, folder / f"{len(compared)}.npz")  # in memory, it would count as the program's
        if elapsed_s >= arguments.seconds:
            break
    assert summary.last is not None
    assert first_us is not None
    stream_s = (summary.last.end_us - first_us) / 1e6
    spent_s = (time.process_time() - spent_s) / stream_s
    windows = (load_sample(folder / f"{number}.npz") for number in range(1, len(compared) + 1))
    offline = np.concatenate([binder.embed("event", [window]).vectors for window in windows])
    difference = np.abs(offline - np.concatenate(compared)).max()
    settled = [mib for at, mib in memory if at >= min(SETTLING_S, arguments.seconds / 2)]
    p50, p99, largest = np.percentile(latencies, (50, 99, 100)).round(1).tolist()
    latency = {"p50": p50, "p99": p99, "max": largest, "first": round(latencies[0], 1)}
    figures = summary.to_dict()
    return {
        "recording": arguments.recording.name,
        "sensor": f"{summary.last.sample.width}x{summary.last.sample.height}",
        "rate_events_per_s": arguments.rate,
        "seconds": arguments.seconds,
        "window": arguments.window,
        "stride": arguments.stride,
        "windows": figures["windows"],
        "answers_per_s": round(len(latencies) / memory[-1][0], 2),
        "window_end_to_answer_ms": latency,
        "cpu_s_per_stream_s": round(spent_s, 2),
        "encoder_calls": figures["encoder_calls"],
        "counts": figures["counts"],
        "dropped_in_first_second": dropped_at_start,
        "different_labels": len(labels),
        "answers": dict(summary.answers.most_common()),
        "embeddings_compared": len(compared),
        "largest_difference": float(f"{difference:.2g}"),
        "memory_range_mib": round(max(settled) - min(settled), 1),
        "memory_mib": memory[:: max(1, len(memory) // 60)],
        "latency_ms": find_largest(latencies, memory[-1][0]),
        "load_average": [load_before, os.getloadavg()[0]],
        "cpus": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "packages": {name: version(name) for name in ("numpy", "numba", "onnxruntime")},
    }


def find_largest(latencies: list[float], seconds: float) -> list[tuple[float, float]]:
    """Return the end, in seconds, and the largest latency of 60 parts of the time."""
    parts = np.array_split(np.array(latencies), min(60, len(latencies)))
    ends = np.cumsum([len(part) for part in parts]) * seconds / len(latencies)
    return [(round(float(end), 2), round(float(part.max()), 1)) for end, part in zip(ends, parts, strict=True)]


def draw_chart(result: Mapping[str, Any], path: Path) -> None:
    """Plot memory and the largest latencies over time."""
    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    latency = result["window_end_to_answer_ms"]
    upper.plot(*zip(*result["memory_mib"], strict=True))
    upper.set(ylabel="memory, MiB", ylim=(0, None))
    upper.set_title(
        f"{result['rate_events_per_s'] / 1e6:g} million events/s, {result['sensor']}: p50 {latency['p50']:g} ms,"
        f" p99 {latency['p99']:g} ms, {result['counts']['dropped']} dropped",
        fontsize="medium",
    )
    lower.plot(*zip(*result["latency_ms"], strict=True), color="tab:orange")
    lower.set(xlabel="seconds", ylabel="largest latency, ms", ylim=(0, None))
    for axis in (upper, lower):
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    with files.atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130, format="png")


def save_sample(sample: EventStream, path: Path) -> None:
    """Write the events of a window."""
    np.savez(path, x=sample.x, y=sample.y, t=sample.t, p=sample.p, size=(sample.width, sample.height))


def load_sample(path: Path) -> EventStream:
    """Read the events of a window."""
    with np.load(path) as columns:
        return EventStream(*(columns[name] for name in "xytp"), *columns["size"].tolist())


def read_memory_mib() -> float:
    """Return the resident memory of this process, MiB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
