"""Measure how `mini` bears corrupted recordings, with and without filters: `make robustness DATA=...`.

The suite `robustness` on recordings simulated (saccades) of images of the classes of Caltech101 that `mini` was not
trained on, and the task `robustness` on real recordings without labels: the first 300 ms of each file of `events` and
`n_caltech101_real`, and, apart, of `dvs128_extra`. An interrupted run continues from its results folder.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anybind
from anybind import AnybindError
from anybind.commandline import print_table
from anybind.plugin import Dataset, Item, files
from anybind_bench import find_suite, run_suite
from anybind_events.corruption import CORRUPTIONS
from anybind_events.robustness import FILTERS, NONE, Robustness

OUTPUT = Path(__file__).parent / "results" / "robustness.json"
DURATION_US = 300_000
REAL = {"events": ("events", "n_caltech101_real"), "dvs128_extra": ("dvs128_extra",)}
"""Folders of real recordings by name of the group."""
METRICS = ("top1", "filtered_top1", "cosine", "filtered_cosine")


def main() -> None:
    """Run, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with caltech101, events and dvs128_extra")
    parser.add_argument("--runs", type=Path, required=True, help="folder for links to the images, and for the run")
    parser.add_argument("--per-class", type=int, default=4, help="images of each class to link")
    parser.add_argument("--limit", type=int, default=45, help="images to use, spread over the classes")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="JSON file to write")
    arguments = parser.parse_args()
    link_images(arguments.data / "caltech101", arguments.runs / "robustness", arguments.per_class)
    results = run_suite("robustness", data=arguments.runs, output=arguments.runs / "out", limit=arguments.limit)
    titles = {each.title: each.options["corruption"] for each in find_suite("robustness").evaluations}
    rows = [
        describe("simulated", str(titles[cell.title]), cell.result) for cell in results.cells if cell.result is not None
    ]
    binder = anybind.load("mini")
    for name, folders in REAL.items():
        recordings = Recordings(name, [arguments.data / folder for folder in folders])
        for corruption in (NONE, *CORRUPTIONS):
            result = Robustness(corruption=corruption).run(binder, recordings, modality="event")
            rows.append(describe(name, corruption, result))
    print_table(("recordings", "corruption", "n", *METRICS), [format_row(row) for row in rows])
    with files.atomic_path(arguments.output) as temporary:
        temporary.write_text(json.dumps({"binding": "mini", "filters": FILTERS, "rows": rows}, indent=1) + "\n")


def link_images(source: Path, folder: Path, per_class: int) -> None:
    """Link some images of each class that `mini` was not trained on, into a folder a class."""
    for name in json.loads((source / "splits.json").read_text())["unseen"]:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for path in sorted((source / "images" / name).glob("*.jpg"))[:per_class]:
            link = folder / name / path.name
            if not link.exists():
                link.symlink_to(path.resolve())


class Recordings(Dataset):
    """The beginnings of real recordings without labels; arrays are decodings of other files."""

    def __init__(self, name: str, folders: Sequence[Path]) -> None:
        """Read them; files that are not recordings with events are left out."""
        self.name = name
        items = []
        for path in (path for folder in folders for path in sorted(folder.iterdir()) if path.suffix != ".npy"):
            try:
                stream = anybind.read(path)
                if hasattr(stream, "between") and len(stream):
                    items.append(Item(path.name, stream.between(0, DURATION_US)))
            except AnybindError as error:
                print(f"left out: {error}")
        self.set_items(items)


def describe(recordings: str, corruption: str, result: anybind.Result) -> dict[str, Any]:
    """Return a row of the results."""
    return {
        "recordings": recordings,
        "corruption": corruption,
        "n": result.n,
        "metrics": dict(result.metrics),
        "intervals": {name: list(ends) for name, ends in result.intervals.items()},
        "severities": result.details["severities"],
    }


def format_row(row: dict[str, Any]) -> tuple[str, ...]:
    """Format the cells of a row."""
    cells = (f"{row['metrics'][name]:.3f}" if name in row["metrics"] else "" for name in METRICS)
    return (row["recordings"], row["corruption"], str(row["n"]), *cells)


if __name__ == "__main__":
    main()
