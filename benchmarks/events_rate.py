"""How fast event representations are, beside their peers and beside memory itself: `make bench-events`.

All run in one process, by turns, on the same events, each after one call that does not count; medians are told. The
floor is the time that memory needs: 13 bytes an event read once (x and y two each, t eight, p one) and the output
twice (written, and read once more), over the rate of copying. A copy of n bytes reads n and writes n, so that its rate
is 2 n over the time that `numpy.copyto` takes between two arrays of 256 MiB, in the same rounds, by one thread. Small
recordings lie in the caches and can be faster than the floor. Recordings are done by one thread, batches by all.

Two kinds of recording: pixels drawn evenly over the sensor, which is the worst case for the caches, and edges that
move over it, which is what cameras see. Writes benchmarks/results/events.json and .md. Ratios travel between
machines, rates do not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import evlib.representations as evlib
import numpy as np
import polars
import tonic.transforms

from anybind.commandline import print_table
from anybind.registry import create_part
from anybind_events.stream import EventStream

SIZES = ((100_000, 240, 180), (1_000_000, 640, 480), (10_000_000, 1280, 720))
BATCH = (256, 50_000, 240, 180)
COPIED = 256 << 20
ROUNDS = 9
FAST, SLOW = 0.5, 3.0
"""Seconds of a call: below the first it takes part in all rounds, from the second on in one."""
DURATION = 1_000_000
BINS, TAU = 5, 50_000

# Times of the floor at most, and times tonic's rate at least.
TARGETS = {
    "paper": (2.5, 40),
    "polarity-histogram": (3.0, None),
    "voxel-grid": (7.0, 5),
    "time-surface": (5.0, 5),
}
BATCH_TARGET = 4.0
KIN = {"paper": "counts", "polarity-histogram": "counts", "voxel-grid": "voxels", "time-surface": "surface"}
"""What peers offer that is the same, or nearest to it."""
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
Sides = dict[str, Callable[[], Any]]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the two small sizes only, and write nothing")
    quick = parser.parse_args().quick
    rows = []
    for kind in (moving_edges, even_pixels):
        for events, width, height in SIZES[: 2 if quick else 3]:
            rows += rows_of(kind, kind(events, width, height, seed=0))
        if not quick:
            rows += batch_rows(kind)
    print_table(COLUMNS, [cells(row) for row in rows])
    missed = [f"{row['what']} ({row['events']} events, {row['pixels']})" for row in rows if not row["reached"]]
    print("targets missed: " + ("; ".join(missed) or "none"))
    if not quick:
        write(rows, missed)


def rows_of(kind: Callable[..., EventStream], stream: EventStream) -> list[dict[str, Any]]:
    """One row a representation, of one recording."""
    peers = Peers.of(stream)
    made = {name: create_part("representation", name, **options) for name, options in OPTIONS.items()}
    sides: Sides = {name: lambda each=each: each(stream) for name, each in made.items()}
    for kin, calls in peers.sides().items():
        sides |= {f"{kin} by {peer}": call for peer, call in calls.items()}
    check(made["paper"](stream), made["polarity-histogram"](stream), peers)
    seconds, rate = contest(sides)
    return [
        row(name, kind, len(stream), stream, each(stream).nbytes, seconds, rate, TARGETS.get(name, (None, None)))
        for name, each in made.items()
    ]


def batch_rows(kind: Callable[..., EventStream]) -> list[dict[str, Any]]:
    """One row a representation, of a batch of recordings; peers have no batches and go one by one."""
    number, events, width, height = BATCH
    streams = [kind(events, width, height, seed=seed) for seed in range(number)]
    peers = [Peers.of(stream) for stream in streams]
    made = {name: create_part("representation", name, **OPTIONS[name]) for name in TARGETS}
    sides: Sides = {name: lambda each=each: each.batch(streams) for name, each in made.items()}
    for kin in dict.fromkeys(KIN.values()):
        sides[f"{kin} by tonic"] = lambda kin=kin: np.stack([peer.sides()[kin]["tonic"]() for peer in peers])
    seconds, rate = contest(sides)
    return [
        row(name, kind, number * events, streams[0], each.batch(streams).nbytes, seconds, rate, (BATCH_TARGET, None))
        | {"what": f"{name}, batch of {number}"}
        for name, each in made.items()
    ]


def contest(sides: Sides) -> tuple[dict[str, float], float]:
    """Median seconds of each, taken by turns after one call that does not count, and the bytes a second of a copy.

    What takes long takes part in 3 rounds, and what takes very long in one.
    """
    source, target = np.ones(COPIED, np.uint8), np.ones(COPIED, np.uint8)
    sides = {"copy": lambda: np.copyto(target, source), **sides}
    found: dict[str, list[float]] = {}
    rounds = {}
    for name, call in sides.items():
        first = timed(call)
        rounds[name] = ROUNDS if first < FAST else 3 if first < SLOW else 1
        found[name] = [first] if first >= SLOW else []
    for number in range(ROUNDS):
        # Each round begins with another one, so that none always has the same forerunner.
        turn = number * len(sides) // ROUNDS
        for name in [*sides][turn:] + [*sides][:turn]:
            if len(found[name]) < rounds[name]:
                if rounds[name] == ROUNDS:
                    sides[name]()  # else it would pay for the caches that its forerunner emptied
                found[name].append(timed(sides[name]))
    medians = {name: statistics.median(each) for name, each in found.items()}
    return medians, 2 * COPIED / medians["copy"]


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def row(
    name: str,
    kind: Callable[..., EventStream],
    events: int,
    stream: EventStream,
    output: int,
    seconds: Mapping[str, float],
    rate: float,
    target: tuple[float | None, float | None],
) -> dict[str, Any]:
    """What was found of one representation, and whether its targets are reached."""
    floor = (13 * events + 2 * output) / rate
    kin = f"{KIN.get(name)} by "
    times = {key.removeprefix(kin): taken for key, taken in seconds.items() if key.startswith(kin)}
    faster = {peer: taken / seconds[name] for peer, taken in times.items()}
    most, least = target
    return {
        "what": name,
        "pixels": kind.__name__.replace("_", " "),
        "events": events,
        "sensor": [stream.width, stream.height],
        "seconds": seconds[name],
        "events_per_second": events / seconds[name],
        "copy_bytes_per_second": rate,
        "floor_seconds": floor,
        "times_floor": seconds[name] / floor,
        "target_times_floor": most,
        "peers": {peer: {"seconds": times[peer], "times_slower": faster[peer]} for peer in times},
        "target_times_tonic": least,
        "reached": (most is None or seconds[name] / floor <= most) and (least is None or faster["tonic"] >= least),
    }


@dataclass(frozen=True)
class Peers:
    """A recording in the form that each peer takes, made beforehand."""

    size: tuple[int, int]
    duration: int
    start: int
    tonic: np.ndarray
    evlib: polars.DataFrame

    @classmethod
    def of(cls, stream: EventStream) -> Peers:
        records = np.empty(len(stream), dtype=[("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "i1")])
        for name in "xytp":
            records[name] = getattr(stream, name)
        frame = polars.DataFrame(
            {
                "x": stream.x.astype(np.int16),
                "y": stream.y.astype(np.int16),
                "t": polars.Series(stream.t).cast(polars.Duration("us")),
                "polarity": stream.p.astype(np.int8),
            }
        )
        return cls((stream.width, stream.height), stream.duration_us, int(stream.t[0]), records, frame)

    def sides(self) -> dict[str, Sides]:
        """For each kin of ours, the call of each peer that has it.

        A count over both polarities is a sum of the peers' counts, which is not timed. Tonic and evlib leave out
        events at the very end of a time window, and spread voxels over 0 to bins in place of 0 to bins - 1. Faery
        offers pictures of decays, and no arrays.
        """
        width, height = self.size
        sensor = (width, height, 2)
        shape: dict[str, Any] = {"height": height, "width": width}
        window: dict[str, Any] = {"dt": float(self.duration), "tau": float(TAU)}
        slots: dict[str, Any] = {"n_slices": 1, "n_polarities": 2, "start_t": float(self.start)}
        image = tonic.transforms.ToImage(sensor)
        voxels = tonic.transforms.ToVoxelGrid(sensor, BINS)
        surface = tonic.transforms.ToTimesurface(sensor, dt=self.duration, tau=TAU)

        def frame_of_evlib() -> np.ndarray:
            counts = evlib.create_event_frame(self.evlib, n_time_bins=1, **shape)
            return evlib.densify_event_frame(counts, n_time_bins=1, n_polarities=2, **shape)

        def voxels_of_evlib() -> np.ndarray:
            grid = evlib.create_voxel_grid(self.evlib, n_time_bins=BINS, **shape)
            return evlib.densify_voxel_grid(grid, n_time_bins=BINS, **shape)

        def surface_of_evlib() -> np.ndarray:
            last = evlib.create_time_surface(self.evlib, **window, **shape)
            return evlib.densify_time_surface(last, **slots, **window, **shape)

        return {
            "counts": {"tonic": lambda: image(self.tonic), "evlib": frame_of_evlib},
            "voxels": {"tonic": lambda: voxels(self.tonic), "evlib": voxels_of_evlib},
            "surface": {"tonic": lambda: surface(self.tonic), "evlib": surface_of_evlib},
        }


def check(frame: np.ndarray, histogram: np.ndarray, peers: Peers) -> None:
    """Stop where ours and tonic's counts differ: what is faster must be the same."""
    counts = peers.sides()["counts"]["tonic"]()
    total = counts.sum(axis=0)
    assert np.array_equal(histogram, counts)
    assert np.allclose(frame[0], total / (total.max() + 1))


def even_pixels(events: int, width: int, height: int, seed: int) -> EventStream:
    """Events at pixels drawn evenly over the sensor."""
    random = np.random.default_rng(seed)
    x = random.integers(0, width, events, dtype=np.uint16)
    y = random.integers(0, height, events, dtype=np.uint16)
    return EventStream(x, y, times(random, events), random.random(events) < 0.5, width, height)


def moving_edges(events: int, width: int, height: int, seed: int, edges: int = 24) -> EventStream:
    """Straight edges that cross the sensor, each of one polarity but for 10 % of its events, and 5 % noise."""
    random = np.random.default_rng(seed)
    t = times(random, events)
    centre, speed = random.random((edges, 2)), random.uniform(-0.4, 0.4, (edges, 2))
    angle, length = random.uniform(0, np.pi, edges), random.uniform(0.1, 0.6, edges) * height
    edge = random.integers(0, edges, events)
    along, off = random.uniform(-0.5, 0.5, events) * length[edge], random.normal(0, 0.7, events)
    place = centre[edge] + speed[edge] * (t[:, None] / DURATION)
    x = place[:, 0] * width + along * np.cos(angle[edge]) - off * np.sin(angle[edge])
    y = place[:, 1] * height + along * np.sin(angle[edge]) + off * np.cos(angle[edge])
    noise = random.random(events) < 0.05
    x[noise], y[noise] = random.uniform(0, width, noise.sum()), random.uniform(0, height, noise.sum())
    p = (edge % 2 == 0) ^ (random.random(events) < 0.1)
    return EventStream(np.floor(x) % width, np.floor(y) % height, t, p, width, height)


def times(random: np.random.Generator, events: int) -> np.ndarray:
    """Times within one second, in order."""
    return np.sort(random.integers(0, DURATION, events))


COLUMNS = ("what", "pixels", "events", "sensor", "Mev/s", "x floor", "(at most)", "x tonic", "(at least)", "x evlib")


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """A row as texts."""
    faster = {peer: f"{found['times_slower']:.1f}" for peer, found in row["peers"].items()}
    return (
        row["what"],
        row["pixels"],
        f"{row['events']:,}",
        "x".join(map(str, row["sensor"])),
        f"{row['events_per_second'] / 1e6:.0f}",
        f"{row['times_floor']:.2f}",
        "" if row["target_times_floor"] is None else f"{row['target_times_floor']:g}",
        faster.get("tonic", ""),
        "" if row["target_times_tonic"] is None else f"{row['target_times_tonic']:g}",
        faster.get("evlib", ""),
    )


def write(rows: Sequence[Mapping[str, Any]], missed: Sequence[str]) -> None:
    """Write benchmarks/results/events.json and .md."""
    packages = {name: version(name) for name in ("numpy", "numba", "tonic", "evlib")}
    about = {"python": platform.python_version(), "cpus": os.cpu_count(), "rounds": ROUNDS, "packages": packages}
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "events.json").write_text(json.dumps({**about, "rows": list(rows)}, indent=1) + "\n")
    rates = [row["copy_bytes_per_second"] / 1e9 for row in rows]
    lines = [
        "# Event representations: rates",
        "",
        *(__doc__ or "").split("\n\n", 1)[1].strip().splitlines(),
        "",
        f"Python {about['python']}, {about['cpus']} processors, "
        + ", ".join(f"{name} {number}" for name, number in packages.items())
        + f"; copying went at {min(rates):.1f} to {max(rates):.1f} GB/s; medians of {ROUNDS} rounds "
        "(3 where a call takes over half a second, 1 where it takes over three).",
        "`x floor` is our time over the floor's, `x tonic` and `x evlib` are their times over ours.",
        "",
        f"Targets missed: {'; '.join(missed) or 'none'}.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|---" * 4 + "|" + "---:|" * (len(COLUMNS) - 4),
        *("| " + " | ".join(cells(row)) + " |" for row in rows),
    ]
    (results / "events.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
