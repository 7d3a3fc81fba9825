"""Measure the speed of event representations beside tonic, evlib and memory bandwidth: `make bench-events`.

All run in one process, in turns, on the same events, each after one warm-up call; medians are reported. The floor is
the time that memory access needs: 13 bytes per event read once (x and y two each, t eight, p one) and the output twice
(written, and read once more), over the rate of copying. A copy of n bytes reads n and writes n, so its rate is 2 n over
the time of `numpy.copyto` between two arrays of 256 MiB, in the same rounds, on one thread. Small recordings fit the
caches and can be faster than the floor.

The second floor is the time of one random write per event: a loop that writes 4 bytes to each event's cell, OFF and ON
apart, from cell indices that are computed before. It is what an array that does not fit the second-level cache costs on
the processor at hand, for the pixels of the recording.

Recordings run on one thread and are timed by the process's CPU time, which others on the machine change little; batches
run on all threads and are timed by the clock.

Two kinds of recordings: events at uniformly drawn pixels, the worst case for caches, and moving edges, as cameras see
them. Ratios are comparable between machines, rates are not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from events_peers import BINS, TAU, Calls, PeerInputs, check_counts
from processor import read_processor
from recordings import moving_edges, uniform_pixels

from anybind.commandline import print_table
from anybind.plugin import files, kernel
from anybind.registry import create_part
from anybind_events.stream import EventStream

OUTPUT = Path(__file__).parent / "results" / "events.json"

SIZES = ((100_000, 240, 180), (1_000_000, 640, 480), (10_000_000, 1280, 720))
BATCH = (256, 50_000, 240, 180)
COPY_BYTES = 256 << 20
ROUNDS = 9
FAST, SLOW = 0.5, 3.0
"""Seconds per call: calls below the first are measured in all rounds, calls from the second on in one, others in 3."""

# Largest multiple of the floor, and smallest speed-up over tonic.
TARGETS = {
    "paper": (2.5, 40),
    "polarity-histogram": (3.0, None),
    "voxel-grid": (7.0, 5),
    "time-surface": (5.0, 5),
}
BATCH_TARGET = 4.0
NO_TARGET = (None, None)
PEER_OUTPUTS = {"paper": "counts", "polarity-histogram": "counts", "voxel-grid": "voxels", "time-surface": "surface"}
"""The equal or nearest output of the peers."""
OPTIONS: Mapping[str, dict[str, Any]] = {
    "paper": {},
    "polarity-histogram": {},
    "voxel-grid": {"bins": BINS},
    "time-surface": {"tau": TAU},
    "author-code": {"events": None},
    "gray-frame": {},
    "red-blue": {},
    "signed-slices": {},
}


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the two small sizes only; write results only to --output")
    parser.add_argument("--output", type=Path, help=f"JSON report, with a .md table beside it [default: {OUTPUT}]")
    only_help = "these representations only, without peers and batches; write results only to --output"
    parser.add_argument("--only", nargs="+", choices=tuple(OPTIONS), help=only_help)
    sizes_help = "numbers of events of the recordings to measure [default: all]"
    parser.add_argument("--events", nargs="+", type=int, choices=[size[0] for size in SIZES], help=sizes_help)
    options = parser.parse_args()
    print(f"{os.cpu_count()} x {read_processor()}")
    compile_kernels()
    rows = []
    sizes = [size for size in SIZES[: 2 if options.quick else 3] if not options.events or size[0] in options.events]
    for make_recording in (moving_edges, uniform_pixels):
        for events, width, height in sizes:
            rows += measure_recording(make_recording, make_recording(events, width, height, seed=0), options.only)
        if not (options.quick or options.only or options.events):
            rows += measure_batch(make_recording)
        kind = rows[-1]["recording"]
        print_table(SHORT_COLUMNS, [format_short(row) for row in rows if row["recording"] == kind], title=kind)
    missed = [
        f"{row['representation']} ({row['events']} events, {row['recording']})" for row in rows if not row["reached"]
    ]
    print("targets missed: " + ("; ".join(missed) or "none"))
    output = options.output or (None if options.quick or options.only or options.events else OUTPUT)
    if output:
        write_report(output, rows, missed)


def compile_kernels() -> None:
    """Compile all loops: a process begins with loops in NumPy, until they have processed 2 million events or pixels."""
    stream = uniform_pixels(3_000_000, 2048, 1536, seed=0)
    for name, options in OPTIONS.items():
        create_part("representation", name, **options)(stream)


def measure_recording(
    make_recording: Callable[..., EventStream], stream: EventStream, only: Sequence[str] | None
) -> list[dict[str, Any]]:
    """Return one row per representation, for one recording; only of some, without peers, if these are given."""
    names = only or OPTIONS
    representations = {name: create_part("representation", name, **OPTIONS[name]) for name in names}
    calls: Calls = {name: lambda each=each: each(stream) for name, each in representations.items()}
    if not only:
        peers = PeerInputs.convert(stream)
        for output, peer_calls in peers.list_calls().items():
            calls |= {f"{output} by {peer}": call for peer, call in peer_calls.items()}
        check_counts(representations["paper"](stream), representations["polarity-histogram"](stream), peers)
    cells = stream.p.astype(np.uint32) * np.uint32(stream.width * stream.height)
    cells += stream.y.astype(np.uint32) * np.uint32(stream.width) + stream.x
    numbers = np.zeros(2 * stream.width * stream.height, np.uint32)
    calls["random writes"] = lambda: write_cells(cells, numbers)
    seconds, rate = measure_seconds(calls, time.process_time)
    rows = []
    for name, each in representations.items():
        max_floor, min_speedup = TARGETS.get(name, NO_TARGET)
        target = (max_floor, None if only else min_speedup)
        rows.append(build_row(name, make_recording, len(stream), stream, each(stream).nbytes, seconds, rate, target))
    return rows


def measure_batch(make_recording: Callable[..., EventStream]) -> list[dict[str, Any]]:
    """Return one row per representation, for a batch of recordings; peers have no batches and run one by one."""
    number, events, width, height = BATCH
    streams = [make_recording(events, width, height, seed=seed) for seed in range(number)]
    peers = [PeerInputs.convert(stream) for stream in streams]
    representations = {name: create_part("representation", name, **OPTIONS[name]) for name in TARGETS}
    calls: Calls = {name: lambda each=each: each.batch(streams) for name, each in representations.items()}
    for output in dict.fromkeys(PEER_OUTPUTS.values()):
        calls[f"{output} by tonic"] = lambda output=output: np.stack(
            [peer.list_calls()[output]["tonic"]() for peer in peers]
        )
    seconds, rate = measure_seconds(calls, time.perf_counter)
    target = (BATCH_TARGET, None)
    return [
        build_row(name, make_recording, number * events, streams[0], each.batch(streams).nbytes, seconds, rate, target)
        | {"representation": f"{name}, batch of {number}"}
        for name, each in representations.items()
    ]


@kernel
def write_cells(cells: np.ndarray, numbers: np.ndarray) -> None:
    """Write the number of each event to its cell."""
    for i in range(len(cells)):
        numbers[cells[i]] = np.uint32(i)


def measure_seconds(calls: Calls, clock: Callable[[], float]) -> tuple[dict[str, float], float]:
    """Return the median seconds of each call, measured in turns after one warm-up call, and the bytes/s of a copy."""
    source, target = np.ones(COPY_BYTES, np.uint8), np.ones(COPY_BYTES, np.uint8)
    calls = {"copy": lambda: np.copyto(target, source), **calls}
    seconds: dict[str, list[float]] = {}
    rounds = {}
    for name, call in calls.items():
        first = time_call(call, clock)
        if first >= FAST:
            first = time_call(call, clock)  # the first one may have compiled
        rounds[name] = ROUNDS if first < FAST else 3 if first < SLOW else 1
        seconds[name] = [first] if first >= SLOW else []
    for number in range(ROUNDS):
        # Each round starts with another call, so that no call always follows the same one.
        start = number * len(calls) // ROUNDS
        for name in [*calls][start:] + [*calls][:start]:
            if len(seconds[name]) < rounds[name]:
                if rounds[name] == ROUNDS:
                    calls[name]()  # refills the caches that the previous call evicted
                seconds[name].append(time_call(calls[name], clock))
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    return medians, 2 * COPY_BYTES / medians["copy"]


def time_call(call: Callable[[], object], clock: Callable[[], float]) -> float:
    """Return the seconds of a call."""
    start = clock()
    call()
    return clock() - start


def build_row(
    name: str,
    make_recording: Callable[..., EventStream],
    events: int,
    stream: EventStream,
    output: int,
    seconds: Mapping[str, float],
    rate: float,
    target: tuple[float | None, float | None],
) -> dict[str, Any]:
    """Return the results of one representation, and whether its targets are reached."""
    floor = (13 * events + 2 * output) / rate
    prefix = f"{PEER_OUTPUTS.get(name)} by "
    peer_seconds = {key.removeprefix(prefix): value for key, value in seconds.items() if key.startswith(prefix)}
    speedups = {peer: value / seconds[name] for peer, value in peer_seconds.items()}
    max_floor, min_speedup = target
    random_writes = seconds.get("random writes")
    return {
        "representation": name,
        "recording": make_recording.__name__.replace("_", " "),
        "events": events,
        "sensor": [stream.width, stream.height],
        "seconds": seconds[name],
        "events_per_second": events / seconds[name],
        "copy_bytes_per_second": rate,
        "floor_seconds": floor,
        "times_floor": seconds[name] / floor,
        "target_times_floor": max_floor,
        "random_write_seconds": random_writes,
        "times_random_writes": random_writes and seconds[name] / random_writes,
        "peers": {peer: {"seconds": peer_seconds[peer], "times_slower": speedups[peer]} for peer in peer_seconds},
        "target_times_tonic": min_speedup,
        "reached": (max_floor is None or seconds[name] / floor <= max_floor)
        and (min_speedup is None or speedups["tonic"] >= min_speedup),
    }


COLUMNS = (
    *("representation", "recording", "events", "sensor", "Mev/s", "x floor", "(at most)", "x random"),
    *("x tonic", "(at least)", "x evlib"),
)
SHORT_COLUMNS = ("representation", "events", "Mev/s", "x floor", "x random", "x tonic", "x evlib")
"""Columns of the printed table, which fits 80 characters; the recording is its title."""


def format_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Format the cells of a row."""
    speedups = {peer: f"{values['times_slower']:.1f}" for peer, values in row["peers"].items()}
    return (
        row["representation"],
        row["recording"],
        f"{row['events']:,}",
        "x".join(map(str, row["sensor"])),
        f"{row['events_per_second'] / 1e6:.0f}",
        f"{row['times_floor']:.2f}",
        "" if row["target_times_floor"] is None else f"{row['target_times_floor']:g}",
        f"{row['times_random_writes']:.2f}" if row["times_random_writes"] else "",
        speedups.get("tonic", ""),
        "" if row["target_times_tonic"] is None else f"{row['target_times_tonic']:g}",
        speedups.get("evlib", ""),
    )


def format_short(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Format the cells of the printed table."""
    cells = dict(zip(COLUMNS, format_row(row), strict=True))
    cells["representation"] = cells["representation"].replace(", batch of ", " x ")
    return tuple(cells[column] for column in SHORT_COLUMNS)


def write_report(output: Path, rows: Sequence[Mapping[str, Any]], missed: Sequence[str]) -> None:
    """Write the JSON report, and a Markdown table beside it."""
    peers = ("tonic", "evlib") if any(row["peers"] for row in rows) else ()
    packages = {name: version(name) for name in ("numpy", "numba", *peers)}
    settings = {
        "python": platform.python_version(), "processor": read_processor(), "cpus": os.cpu_count(), "rounds": ROUNDS,
        "packages": packages,
    }  # fmt: skip
    output.parent.mkdir(parents=True, exist_ok=True)
    rates = [row["copy_bytes_per_second"] / 1e9 for row in rows]
    writes = [row["events"] / row["random_write_seconds"] / 1e6 for row in rows if row["random_write_seconds"]]
    lines = [
        "# Event representations: rates",
        "",
        *(__doc__ or "").split("\n\n", 1)[1].strip().splitlines(),
        "",
        f"{settings['cpus']} processors, {settings['processor']}; Python {settings['python']}, "
        + ", ".join(f"{name} {number}" for name, number in packages.items())
        + f"; copying ran at {min(rates):.1f} to {max(rates):.1f} GB/s, random writes at {min(writes):.0f} to"
        f" {max(writes):.0f} million/s; medians of {ROUNDS} rounds "
        f"(3 for calls of over {FAST:g} s, 1 for calls of over {SLOW:g} s).",
        "`x floor` is our time over the floor's, `x random` over that of the random writes, "
        "`x tonic` and `x evlib` are their times over ours.",
        "",
        f"Targets missed: {'; '.join(missed) or 'none'}.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|---" * 4 + "|" + "---:|" * (len(COLUMNS) - 4),
        *("| " + " | ".join(format_row(row)) + " |" for row in rows),
    ]
    for path, text in (
        (output, json.dumps({**settings, "rows": list(rows)}, indent=1)),
        (output.with_suffix(".md"), "\n".join(lines)),
    ):
        with files.atomic_path(path) as temporary:
            temporary.write_text(text + "\n")


if __name__ == "__main__":
    main()
