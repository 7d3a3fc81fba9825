"""How fast recordings are read beside other readers, and whether all read the same: `make bench-readers`.

Each made file has as many events as a recording of some seconds; the real ones, where the shared data are here, are
what they are. We and each other reader take the same file in one process, by turns, from the page cache to columns
or tables in memory. Prints two tables and writes them to benchmarks/results/readers.json and .md. Ratios travel
between machines, rates do not.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import anybind
from anybind.commandline import print_table
from anybind.reader import find_reader
from anybind_events.stream import EventStream

ROUNDS = 8
ROUNDS_OF_SMALL = 80
"""Rounds where there are less than a million events, which take a millisecond or two."""
EVENTS = 10_000_000
SMALL_FILES = 300
PACKET = 5_000
"""Events in a packet of AEDAT 4."""
RESULTS = Path(__file__).parent / "results"
SHARED = Path(os.environ.get("ANYBIND_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")) / "events"
GOALS = {
    ("made evt2", "expelliarmus"): 2,
    ("made dat", "expelliarmus"): 2,
    ("made evt3", "expelliarmus"): 3,
    ("made bin", "tonic"): 5,
}
"""How many times as fast as a peer reading shall be; of AEDAT 4, as fast as each."""
ALIASES = {"x": ("x",), "y": ("y",), "t": ("t", "timestamp"), "p": ("p", "on", "polarity")}
EVT3_ROW, EVT3_COLUMN, EVT3_LOW, EVT3_HIGH = 0 << 12, 2 << 12, 6 << 12, 8 << 12
TICK_US = 16
"""How often a camera tells the upper part of its clock."""


def main() -> None:
    """Measure, compare, print and write."""
    with tempfile.TemporaryDirectory() as folder:
        files = made_files(Path(folder))
        rates = [row for what, form, paths in files for row in contest(what, form, paths)]
        rates += [row for path in real_files() for row in contest(path.name, format_of(path), [path])]
    checks = [row for path in real_files() for row in check(path)]
    tables = [table(rates), table(checks)]
    for columns, rows in tables:
        print_table(columns, rows)
    RESULTS.mkdir(exist_ok=True)
    fields = {"cpus": os.cpu_count(), "rounds": ROUNDS, "rates": rates, "checks": checks}
    (RESULTS / "readers.json").write_text(json.dumps(fields, indent=1) + "\n")
    (RESULTS / "readers.md").write_text("\n".join(markdown(*each) for each in tables))


def made_files(folder: Path) -> list[tuple[str, str, list[Path]]]:
    """What is read, its format, and the files: one large one, or many small ones."""
    events = made_events(EVENTS, 1280, 720, seconds=2.5)
    short = made_events(1_000_000, 240, 180, seconds=8)
    tiny = made_events(4_000, 34, 34, seconds=0.3)
    write_evt2(events, folder / "made.evt2.raw")
    write_evt3(events, folder / "made.evt3.raw")
    anybind.write(events, folder / "made.dat")
    anybind.write(short, folder / "made.bin")
    small = [folder / f"small{number}.bin" for number in range(SMALL_FILES)]
    for path in small:
        anybind.write(tiny, path)
    names = {"evt2": "made.evt2.raw", "evt3": "made.evt3.raw", "dat": "made.dat", "bin": "made.bin"}
    if importlib.util.find_spec("dv_processing"):
        write_aedat4(short, folder / "made.aedat4")
        names["aedat4"] = "made.aedat4"
    made = [(f"made {form}", form, [folder / name]) for form, name in names.items()]
    return [*made, (f"{SMALL_FILES} small bin", "bin", small)]


def made_events(count: int, width: int, height: int, seconds: float) -> EventStream:
    """Events that come in short runs of one time and one row, as a camera's do."""
    random = np.random.default_rng(0)
    new_time, new_row = random.random((2, count)) < ((0.25,), (0.8,))
    time = np.cumsum(new_time * random.geometric(min(1.0, count * 0.25 / (seconds * 1e6)), count))
    x, p = random.integers(0, width, count), random.random(count) < 0.5
    y = random.integers(0, height, count + 1)[np.cumsum(new_row)]
    return EventStream(x, y, time, p, width, height)


def write_evt2(events: EventStream, path: Path) -> None:
    """EVT 2.0: a word an event, and the clock's upper part at each tick."""
    ticks = np.arange(0, int(events.t[-1]) + 1, TICK_US)
    words = events.x.astype(np.uint32) << 11 | events.y | events.p.astype(np.uint32) << 28
    words |= (events.t & 63).astype(np.uint32) << 22
    marks = (8 << 28 | ticks >> 6).astype(np.uint32)
    words = np.insert(words, np.searchsorted(events.t, ticks), marks)
    header = f"% evt 2.0\n% geometry {events.width}x{events.height}\n"
    path.write_bytes(header.encode() + words.tobytes())


def write_evt3(events: EventStream, path: Path) -> None:
    """EVT 3.0: what changed from one event to the next, and the clock's upper part where a tick passed."""
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
    """AEDAT 4 as the cameras' own library writes it."""
    io = load("dv_processing").io
    writer = io.MonoCameraWriter(str(path), io.MonoCameraWriter.EventOnlyConfig("made", (events.width, events.height)))
    for start in range(0, len(events), PACKET):
        store = load("dv_processing").EventStore()
        rows = zip(*(getattr(events, name)[start : start + PACKET].tolist() for name in "txyp"), strict=True)
        for row in rows:
            store.push_back(*row)
        writer.writeEvents(store)


def real_files() -> list[Path]:
    """The shared recordings of the formats in `PEERS`."""
    return [path for path in sorted(SHARED.glob("*")) if format_of(path) in PEERS]


def format_of(path: Path) -> str:
    """A file's format as `PEERS` has it: the reader's name, or the file's ending."""
    try:
        name = find_reader(path).name
    except anybind.BadInput:
        return ""
    return name if name in PEERS else path.suffix.removeprefix(".")


def faery(path: Path) -> np.ndarray:
    """All events by faery."""
    return load("faery").events_stream_from_file(str(path), dimensions_fallback=(1280, 720)).to_array()


def expelliarmus(encoding: str) -> Callable[[Path], np.ndarray]:
    """A reader of one encoding by expelliarmus."""
    return lambda path: load("expelliarmus").Wizard(encoding=encoding).read(path)


def tonic(path: Path) -> np.ndarray:
    """Events of N-MNIST by tonic."""
    dtype = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", np.bool_)])
    return load("tonic.io").read_mnist_file(str(path), dtype=dtype)


def aedat(path: Path) -> np.ndarray:
    """All events of an AEDAT 4 by aedat."""
    return np.concatenate([packet["events"] for packet in load("aedat").Decoder(path) if "events" in packet])


def aestream(path: Path) -> np.ndarray:
    """All events by aestream."""
    return load("aestream").FileInput(str(path), (1280, 720)).load()


def dv_processing(path: Path) -> np.ndarray:
    """All events of an AEDAT 4 by dv-processing."""
    recording, batches = load("dv_processing").io.MonoCameraRecording(str(path)), []
    while (batch := recording.getNextEventBatch()) is not None:
        batches.append(batch.numpy())
    return np.concatenate(batches)


def event_stream(path: Path) -> np.ndarray:
    """All events of an Event Stream by event_stream."""
    with load("event_stream").Decoder(str(path)) as decoder:
        return np.concatenate(list(decoder))


def evlib(path: Path) -> Any:
    """All events by evlib, as a table of polars."""
    return load("evlib").load_events(str(path)).collect()


PEERS: dict[str, dict[str, Callable[[Path], Any]]] = {
    "evt2": {"expelliarmus": expelliarmus("evt2"), "faery": faery, "evlib": evlib},
    "evt3": {"expelliarmus": expelliarmus("evt3"), "faery": faery, "aestream": aestream, "evlib": evlib},
    "dat": {"expelliarmus": expelliarmus("dat"), "faery": faery, "aestream": aestream},
    "bin": {"tonic": tonic},
    "aedat4": {"faery": faery, "aedat": aedat, "aestream": aestream, "dv_processing": dv_processing, "evlib": evlib},
    "es": {"faery": faery, "event_stream": event_stream},
    "aedat2": {},
}
"""Who else reads a format, and how."""

UNFIT = {("davis240.aedat4", "aestream"), ("ncars.dat", "faery"), ("ncars_obj_004397_td.dat", "faery")}
"""Files that a peer refuses, or ends the process at."""
SLOW = {"evlib"}
"""Peers that would need minutes for a large file."""


def load(module: str) -> Any:
    """Import a peer; its own warnings are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(module)


def contest(what: str, form: str, paths: list[Path]) -> list[dict[str, Any]]:
    """Median rates and ratios beside each other reader of a format."""
    count, rows = sum(len(anybind.read(path)) for path in paths), []
    for peer, read in installed(form, paths[0]).items():
        ours, theirs = by_turns(anybind.read, read, paths, ROUNDS if count >= 1_000_000 else ROUNDS_OF_SMALL)
        rows.append(
            {
                "what": what,
                "events": count,
                "peer": peer,
                "anybind": count / statistics.median(ours) / 1e6,
                "theirs": count / statistics.median(theirs) / 1e6,
                "ratio": statistics.median(np.divide(theirs, ours)),
                "goal": GOALS.get((what, peer), int(form == "aedat4")),
            }
        )
    return rows


def by_turns(
    ours: Callable[[Path], Any], theirs: Callable[[Path], Any], paths: list[Path], rounds: int
) -> tuple[list[float], list[float]]:
    """Seconds that both take in each round, after one that does not count.

    Who goes first changes: the second finds memory that the first has asked the system for and given back.
    """
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        for which in (0, 1) if number % 2 else (1, 0):
            seconds[which].append(timed((ours, theirs)[which], paths))
    return seconds[0][1:], seconds[1][1:]


def timed(read: Callable[[Path], Any], paths: list[Path]) -> float:
    """Seconds that reading the files takes, one after the other."""
    start = time.perf_counter()
    for path in paths:
        read(path)
    return time.perf_counter() - start


def installed(form: str, path: Path) -> dict[str, Callable[[Path], Any]]:
    """The peers of a format that are installed and fit for a file."""
    peers = {name: read for name, read in PEERS[form].items() if importlib.util.find_spec(name)}
    peers = {name: read for name, read in peers.items() if path.parent == SHARED or name not in SLOW}
    return {name: read for name, read in peers.items() if (path.name, name) not in UNFIT}


def check(path: Path) -> list[dict[str, Any]]:
    """Whether a file's columns are the same to each peer, and to the reference beside it."""
    ours = anybind.read(path)
    others = {name: read(path) for name, read in installed(format_of(path), path).items()}
    reference = path.with_suffix(".reference.npy")
    if reference.exists():
        others[reference.name] = np.load(reference, allow_pickle=False)
    facts = {"file": path.name, "events": len(ours), "sensor": f"{ours.width}x{ours.height}"}
    rows = []
    for name, theirs in others.items():
        columns = columns_of(theirs)
        differ = [each for each in "xytp" if not np.array_equal(getattr(ours, each), columns[each])]
        rows.append({**facts, "compared with": name, "equal": f"all but {', '.join(differ)}" if differ else "yes"})
    return rows or [{**facts, "compared with": "nobody", "equal": ""}]


def columns_of(theirs: Any) -> dict[str, np.ndarray]:
    """The columns of a peer's table: times as whole microseconds, polarity as True where brightness rose."""
    if isinstance(theirs, np.ndarray):
        names = theirs.dtype.names or ()
    else:
        names, theirs = theirs.columns, {name: theirs[name].to_physical().to_numpy() for name in theirs.columns}
    found = {name: theirs[next(each for each in known if each in names)] for name, known in ALIASES.items()}
    return {name: column > 0 if name == "p" else column.astype(np.int64) for name, column in found.items()}


def table(rows: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Names of the columns, and the cells as text."""
    show = {"anybind": "{:.1f}", "theirs": "{:.1f}", "ratio": "{:.2f}", "events": "{:,}"}
    units = {"anybind": "anybind, million/s", "theirs": "theirs, million/s", "ratio": "times as fast"}
    names = list(rows[0]) if rows else []
    cells = [[show.get(name, "{}").format(row[name]) if row[name] else "" for name in names] for row in rows]
    return [units.get(name, name) for name in names], cells


def markdown(names: list[str], cells: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [names, ["---"] * len(names), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    main()
