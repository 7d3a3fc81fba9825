"""Measure the speed of event readers beside other packages, and compare the decoded events: `make bench-readers`.

Each synthetic file has as many events as a recording of some seconds; real files are used if the shared data are
present. Our reader and each peer read the same file in one process, in turns, from the page cache to columns or tables
in memory. Ratios are comparable between machines, rates are not.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from processor import read_processor

import anybind
from anybind.commandline import print_table
from anybind.plugin import files as output_files
from anybind.reader import find_reader
from anybind_events.stream import EventStream

ROUNDS = 8
SMALL_ROUNDS = 80
"""Rounds for fewer than a million events, which take a millisecond or two."""
EVENTS, QUICK_EVENTS = 10_000_000, 100_000
SMALL_FILES = 300
PACKET = 5_000
"""Events per packet of AEDAT 4."""
OUTPUT = Path(__file__).parent / "results" / "readers.json"
SHARED = Path(os.environ.get("ANYBIND_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")) / "events"
TARGETS = {
    ("synthetic evt2", "expelliarmus"): 2,
    ("synthetic dat", "expelliarmus"): 2,
    ("synthetic evt3", "expelliarmus"): 3,
    ("synthetic bin", "tonic"): 5,
}
"""Smallest speed-up over a peer; for AEDAT 4, 1 for each peer."""
ALIASES = {"x": ("x",), "y": ("y",), "t": ("t", "timestamp"), "p": ("p", "on", "polarity")}
EVT3_ROW, EVT3_COLUMN, EVT3_LOW, EVT3_HIGH = 0 << 12, 2 << 12, 6 << 12, 8 << 12
TICK_US = 16  # interval of the time-high words of a camera


def main() -> None:
    """Measure, compare, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    quick_help = f"synthetic files of {QUICK_EVENTS:,} events, 5 rounds; write results only to --output"
    parser.add_argument("--quick", action="store_true", help=quick_help)
    parser.add_argument("--output", type=Path, help=f"JSON report, with a .md table beside it [default: {OUTPUT}]")
    only_help = "synthetic files of these formats only; write results only to --output"
    parser.add_argument("--only", nargs="+", choices=("evt2", "evt3", "dat", "bin", "aedat4"), help=only_help)
    options = parser.parse_args()
    print(f"{os.cpu_count()} x {read_processor()}")
    count, rounds = (QUICK_EVENTS, 5) if options.quick else (EVENTS, ROUNDS)
    real_files = [] if options.quick or options.only else list_real_files()
    with tempfile.TemporaryDirectory() as folder:
        recordings = write_synthetic_files(Path(folder), count)
        recordings = [each for each in recordings if not options.only or each[1] in options.only]
        recordings += [(path.name, find_format(path), [path]) for path in real_files]
        rates = [row for name, form, paths in recordings for row in compare_speed(name, form, paths, rounds)]
    checks = [row for path in real_files for row in compare_columns(path)]
    for rows in filter(None, (rates, checks)):
        print_table(*format_table(rows, hidden=("events", "sensor", "target")))  # fits 80 characters
    missed = [f"{row['recording']} by {row['peer']}" for row in rates if row["ratio"] < row["target"]]
    if not options.quick:  # targets are for files of full size
        print("targets missed: " + ("; ".join(missed) or "none"))
    output = options.output or (None if options.quick or options.only else OUTPUT)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        processor = {"processor": read_processor(), "cpus": os.cpu_count()}
        report = {**processor, "rounds": rounds, "rates": rates, "checks": checks}
        tables = [format_markdown(*format_table(rows)) for rows in (rates, checks) if rows]
        markdown = "\n".join([f"{processor['cpus']} processors, {processor['processor']}.\n", *tables])
        for path, text in ((output, json.dumps(report, indent=1) + "\n"), (output.with_suffix(".md"), markdown)):
            with output_files.atomic_path(path) as temporary:
                temporary.write_text(text)


def write_synthetic_files(folder: Path, count: int) -> list[tuple[str, str, list[Path]]]:
    """Write recordings; return the name, the format, and the files of each: one large file, or many small ones."""
    events = make_events(count, 1280, 720, seconds=2.5)
    short = make_events(count // 10, 240, 180, seconds=8)
    tiny = make_events(4_000, 34, 34, seconds=0.3)
    write_evt2(events, folder / "synthetic.evt2.raw")
    write_evt3(events, folder / "synthetic.evt3.raw")
    anybind.write(events, folder / "synthetic.dat")
    anybind.write(short, folder / "synthetic.bin")
    small = [folder / f"small{number}.bin" for number in range(SMALL_FILES)]
    for path in small:
        anybind.write(tiny, path)
    suffixes = {"evt2": "evt2.raw", "evt3": "evt3.raw", "dat": "dat", "bin": "bin"}
    if importlib.util.find_spec("dv_processing"):
        write_aedat4(short, folder / "synthetic.aedat4")
        suffixes["aedat4"] = "aedat4"
    recordings = [(f"synthetic {form}", form, [folder / f"synthetic.{suffix}"]) for form, suffix in suffixes.items()]
    return [*recordings, (f"{SMALL_FILES} small bin", "bin", small)]


def make_events(count: int, width: int, height: int, seconds: float) -> EventStream:
    """Make events in short runs of equal time and row, as cameras send them."""
    random = np.random.default_rng(0)
    new_time, new_row = random.random((2, count)) < ((0.25,), (0.8,))
    time = np.cumsum(new_time * random.geometric(min(1.0, count * 0.25 / (seconds * 1e6)), count))
    x, p = random.integers(0, width, count), random.random(count) < 0.5
    y = random.integers(0, height, count + 1)[np.cumsum(new_row)]
    return EventStream(x, y, time, p, width, height)


def write_evt2(events: EventStream, path: Path) -> None:
    """Write EVT 2.0: one word per event, and a time-high word per tick."""
    ticks = np.arange(0, int(events.t[-1]) + 1, TICK_US)
    words = events.x.astype(np.uint32) << 11 | events.y | events.p.astype(np.uint32) << 28
    words |= (events.t & 63).astype(np.uint32) << 22
    time_high = (8 << 28 | ticks >> 6).astype(np.uint32)
    words = np.insert(words, np.searchsorted(events.t, ticks), time_high)
    header = f"% evt 2.0\n% geometry {events.width}x{events.height}\n"
    path.write_bytes(header.encode() + words.tobytes())


def write_evt3(events: EventStream, path: Path) -> None:
    """Write EVT 3.0: words for the fields that change between events, and a time-high word per tick."""
    words = np.empty((len(events), 4), np.uint16)
    words[:, 0] = EVT3_HIGH | (events.t >> 12 & 4095)
    words[:, 1] = EVT3_LOW | (events.t & 4095)
    words[:, 2] = EVT3_ROW | events.y
    words[:, 3] = EVT3_COLUMN | events.x | events.p.astype(np.uint16) << 11
    changed = [np.diff(column, prepend=-1) != 0 for column in (events.t // TICK_US, events.t, events.y.astype(int))]
    words = words[np.stack([*changed, np.ones(len(events), np.bool_)], axis=1)]
    header = f"% evt 3.0\n% format EVT3;height={events.height};width={events.width}\n"
    path.write_bytes(header.encode() + words.tobytes())


def write_aedat4(events: EventStream, path: Path) -> None:
    """Write AEDAT 4 by the cameras' own library."""
    dv = load("dv_processing")
    config = dv.io.MonoCameraWriter.EventOnlyConfig("synthetic", (events.width, events.height))
    writer = dv.io.MonoCameraWriter(str(path), config)
    for start in range(0, len(events), PACKET):
        store = dv.EventStore()
        columns = (getattr(events, name)[start : start + PACKET].tolist() for name in "txyp")
        for row in zip(*columns, strict=True):
            store.push_back(*row)
        writer.writeEvents(store)


def list_real_files() -> list[Path]:
    """List the shared recordings of the formats in `PEERS`."""
    return [path for path in sorted(SHARED.glob("*")) if find_format(path) in PEERS]


def find_format(path: Path) -> str:
    """Return the key of a file's format in `PEERS`: the reader's name, or the file suffix."""
    try:
        name = find_reader(path).name
    except anybind.BadInput:
        return ""
    return name if name in PEERS else path.suffix.removeprefix(".")


def read_by_faery(path: Path) -> np.ndarray:
    """Read all events by faery."""
    return load("faery").events_stream_from_file(str(path), dimensions_fallback=(1280, 720)).to_array()


def make_expelliarmus_reader(encoding: str) -> Callable[[Path], np.ndarray]:
    """Return a reader of one encoding by expelliarmus."""
    return lambda path: load("expelliarmus").Wizard(encoding=encoding).read(path)


def read_by_tonic(path: Path) -> np.ndarray:
    """Read all events of an N-MNIST file by tonic."""
    dtype = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", np.bool_)])
    return load("tonic.io").read_mnist_file(str(path), dtype=dtype)


def read_by_aedat(path: Path) -> np.ndarray:
    """Read all events of an AEDAT 4 file by aedat."""
    return np.concatenate([packet["events"] for packet in load("aedat").Decoder(path) if "events" in packet])


def read_by_aestream(path: Path) -> np.ndarray:
    """Read all events by aestream."""
    return load("aestream").FileInput(str(path), (1280, 720)).load()


def read_by_dv_processing(path: Path) -> np.ndarray:
    """Read all events of an AEDAT 4 file by dv-processing."""
    recording, batches = load("dv_processing").io.MonoCameraRecording(str(path)), []
    while (batch := recording.getNextEventBatch()) is not None:
        batches.append(batch.numpy())
    return np.concatenate(batches)


def read_by_event_stream(path: Path) -> np.ndarray:
    """Read all events of an Event Stream file by event_stream."""
    with load("event_stream").Decoder(str(path)) as decoder:
        return np.concatenate(list(decoder))


def read_by_evlib(path: Path) -> Any:
    """Read all events by evlib, as a polars table."""
    return load("evlib").load_events(str(path)).collect()


POLYGLOTS: dict[str, Callable[[Path], Any]] = {"faery": read_by_faery, "aestream": read_by_aestream}
PEERS: dict[str, dict[str, Callable[[Path], Any]]] = {
    "evt2": {"expelliarmus": make_expelliarmus_reader("evt2"), "faery": read_by_faery, "evlib": read_by_evlib},
    "evt3": {"expelliarmus": make_expelliarmus_reader("evt3"), **POLYGLOTS, "evlib": read_by_evlib},
    "dat": {"expelliarmus": make_expelliarmus_reader("dat"), **POLYGLOTS},
    "bin": {"tonic": read_by_tonic},
    "aedat4": {
        **POLYGLOTS,
        "aedat": read_by_aedat,
        "dv_processing": read_by_dv_processing,
        "evlib": read_by_evlib,
    },
    "es": {"faery": read_by_faery, "event_stream": read_by_event_stream},
    "aedat2": {},
}
"""Readers of other packages by format."""

UNSUPPORTED = {("davis240.aedat4", "aestream"), ("ncars.dat", "faery"), ("ncars_obj_004397_td.dat", "faery")}
"""Files that a peer rejects, or that crash the process."""
SLOW = {"evlib"}
"""Peers that need minutes for a large file."""


def load(module: str) -> Any:
    """Import a peer without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(module)


def compare_speed(recording: str, form: str, paths: list[Path], rounds: int) -> list[dict[str, Any]]:
    """Return median rates and speed-ups over each other reader of a format."""
    count, rows = sum(len(anybind.read(path)) for path in paths), []
    if rounds == ROUNDS and count < 1_000_000:
        rounds = SMALL_ROUNDS
    for peer, read in list_peers(form, paths[0]).items():
        our_seconds, peer_seconds = time_in_turns(anybind.read, read, paths, rounds)
        rows.append(
            {
                "recording": recording,
                "events": count,
                "peer": peer,
                "anybind": count / statistics.median(our_seconds) / 1e6,
                "peer_rate": count / statistics.median(peer_seconds) / 1e6,
                "ratio": statistics.median(np.divide(peer_seconds, our_seconds)),
                "target": TARGETS.get((recording, peer), int(form == "aedat4")),
            }
        )
    return rows


def time_in_turns(
    read: Callable[[Path], Any], read_by_peer: Callable[[Path], Any], paths: list[Path], rounds: int
) -> tuple[list[float], list[float]]:
    """Return the seconds of both readers in each round, after one warm-up round.

    The order alternates: the second reader can reuse memory that the first one has allocated and freed.
    """
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        for index in (0, 1) if number % 2 else (1, 0):
            seconds[index].append(time_reading((read, read_by_peer)[index], paths))
    return seconds[0][1:], seconds[1][1:]


def time_reading(read: Callable[[Path], Any], paths: list[Path]) -> float:
    """Return the seconds of reading the files one after the other."""
    start = time.perf_counter()
    for path in paths:
        read(path)
    return time.perf_counter() - start


def list_peers(form: str, path: Path) -> dict[str, Callable[[Path], Any]]:
    """List the installed peers of a format that support a file."""
    peers = {name: read for name, read in PEERS[form].items() if importlib.util.find_spec(name)}
    peers = {name: read for name, read in peers.items() if path.parent == SHARED or name not in SLOW}
    return {name: read for name, read in peers.items() if (path.name, name) not in UNSUPPORTED}


def compare_columns(path: Path) -> list[dict[str, Any]]:
    """Compare a file's columns with those of each peer and of the reference file."""
    stream = anybind.read(path)
    tables = {name: read(path) for name, read in list_peers(find_format(path), path).items()}
    reference = path.with_suffix(".reference.npy")
    if reference.exists():
        tables[reference.name] = np.load(reference, allow_pickle=False)
    recording = {"recording": path.name, "events": len(stream), "sensor": f"{stream.width}x{stream.height}"}
    rows = []
    for name, peer_table in tables.items():
        columns = convert_columns(peer_table)
        unequal = [each for each in "xytp" if not np.array_equal(getattr(stream, each), columns[each])]
        rows.append({**recording, "reference": name, "equal": f"all but {', '.join(unequal)}" if unequal else "yes"})
    return rows or [{**recording, "reference": "none", "equal": ""}]


def convert_columns(peer_table: Any) -> dict[str, np.ndarray]:
    """Convert a peer's table to columns: integer microseconds, polarity True for ON events."""
    if isinstance(peer_table, np.ndarray):
        names, columns = peer_table.dtype.names or (), peer_table
    else:
        names = peer_table.columns
        columns = {name: peer_table[name].to_physical().to_numpy() for name in names}
    selected = {name: columns[next(each for each in aliases if each in names)] for name, aliases in ALIASES.items()}
    return {name: column > 0 if name == "p" else column.astype(np.int64) for name, column in selected.items()}


def format_table(rows: list[dict[str, Any]], hidden: Sequence[str] = ()) -> tuple[list[str], list[list[str]]]:
    """Return column names and cells as text."""
    formats = {"anybind": "{:.1f}", "peer_rate": "{:.1f}", "ratio": "{:.2f}", "events": "{:,}"}
    headings = {"anybind": "ours Mev/s", "peer_rate": "peer Mev/s", "ratio": "x faster"}
    names = [name for name in rows[0] if name not in hidden]
    cells = [[formats.get(name, "{}").format(row[name]) if row[name] else "" for name in names] for row in rows]
    return [headings.get(name, name) for name in names], cells


def format_markdown(names: list[str], cells: list[list[str]]) -> str:
    """Format a table in Markdown."""
    lines = [names, ["---"] * len(names), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    main()
