"""Decoding in threads and in processes: `make bench-decode`.

Real files are read and preprocessed for `mini` by the loader that `Binder.embed` uses, in two threads, and in two
processes that have started before; nothing is encoded. Both alternate; `ratio` is the median over rounds of the
threads' time over the processes'. `start` is the time until two processes have loaded the encoder, which a run pays
once. Prints a table and writes decode.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anybind
from anybind.binder import open_decoding_pool
from anybind.commandline import print_table
from anybind.loading import Loader, load_batches, to_item
from anybind.modality import find_modality

RESULTS = Path(__file__).parent / "results" / "decode.json"
WORKERS, BATCH = 2, 32
COLUMNS = ("files", "n", "threads, ms a file", "ratio", "start, s")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("ANYBIND_TEST_DATA"), help="folder of datasets")
    parser.add_argument("--rounds", type=int, default=5, help="rounds [default: 5]")
    parser.add_argument("--output", type=Path, default=RESULTS, help="JSON file to write")
    options = parser.parse_args()
    binder = anybind.load("mini", backend="torch")
    rows, starts = [], {}
    for what, (modality, files) in list_files(options.data).items():
        start = time.perf_counter()
        if modality not in starts:
            decode(binder, modality, files[:WORKERS], processes=True)
            starts[modality] = time.perf_counter() - start
        decode(binder, modality, files[:WORKERS], processes=False)
        seconds = [
            [measure_seconds(binder, modality, files, processes) for processes in (False, True)]
            for _ in range(options.rounds)
        ]
        rows.append(
            {
                "files": what,
                "n": len(files),
                "milliseconds": 1000 * statistics.median(threads for threads, _ in seconds) / len(files),
                "ratio": statistics.median(threads / processes for threads, processes in seconds),
                "start_seconds": starts[modality],
            }
        )
        print_table(COLUMNS, [format_row(rows[-1])])
    print_table(COLUMNS, [format_row(row) for row in rows])
    record = {"cpus": os.cpu_count(), "workers": WORKERS, "rounds": options.rounds, "rows": rows}
    options.output.write_text(json.dumps(record, indent=1) + "\n")


def list_files(data: Path) -> dict[str, tuple[str, Sequence[Path]]]:
    """Return the modality and the files of each kind; single recordings are read several times."""
    events = data / "events"
    return {
        "JPEG images": ("image", sorted(data.glob("caltech101/images/*/*.jpg"))[:200]),
        "Ogg clips of 5 s": ("sound", sorted(data.glob("esc10/*/*.ogg"))[:60]),
        "WAV clips of 0.4 s": ("sound", sorted(data.glob("digits/speech/*.wav"))[:200]),
        "N-MNIST, 4,000 events": ("event", [events / "nmnist.bin"] * 200),
        "AEDAT4, 112,000 events": ("event", [events / "davis240.aedat4"] * 24),
        "EVT2, 521,000 events": ("event", [events / "evt2.raw"] * 16),
        "EVT3, 1.2 million events": ("event", [events / "evt3.raw"] * 8),
        "event text, 50,000 events": ("event", [events / "slider_depth.txt"] * 24),
        "JPEG to simulated events": ("event", sorted(data.glob("caltech101/images/*/*.jpg"))[:24]),
    }


def measure_seconds(binder: anybind.Binder, modality: str, files: Sequence[Path], processes: bool) -> float:
    """Measure the seconds that decoding takes."""
    start = time.perf_counter()
    decode(binder, modality, files, processes)
    return time.perf_counter() - start


def decode(binder: anybind.Binder, modality: str, files: Sequence[Path], processes: bool) -> None:
    """Decode files in threads or in processes."""
    pool = open_decoding_pool(binder, modality, WORKERS) if processes else None
    load = Loader(find_modality(modality), binder.encoder(modality), 0, None, pool)
    items = ((number, to_item(load.modality, number, file)) for number, file in enumerate(files))

    def on_invalid(number: int, id: str, error: anybind.AnybindError) -> None:
        raise error

    for _ in load_batches(load, items, BATCH, WORKERS, on_invalid):
        pass


def format_row(row: dict[str, Any]) -> tuple[str, ...]:
    """Return a row of the table."""
    return (
        row["files"], str(row["n"]), f"{row['milliseconds']:.1f}", f"{row['ratio']:.2f}", f"{row['start_seconds']:.0f}",
    )  # fmt: skip


if __name__ == "__main__":
    main()
