"""Retrieval between all modalities of `mini`: `python benchmarks/retrieval_mini.py --data DIR`.

DIR holds `tuxpaint_triplets` (each picture has a description and a sound: the right answer is the partner) and `digits`
(written and spoken digits: every one of the same class is right; words are "a photo of a seven"). Events are simulated
from the pictures; what gives no events is left out and listed. Every direction is asked of the full gallery; behind
each figure stand its 95 % interval and, in brackets, what chance gives. Prints one table in Markdown, and writes
benchmarks/results/retrieval_mini.json and .md, and the same table into docs/retrieval.md between its marks; with
`--output DIR`, only the first two, there.
"""

from __future__ import annotations

import argparse
import itertools
import json
import warnings
from pathlib import Path
from typing import Any

import anybind
from anybind.commandline import SkippedFiles
from anybind.dataset import Dataset, Item
from anybind.files import atomic_path
from anybind.modality import infer_modality
from anybind.reader import find_reader
from anybind_datasets.manifest import TuxpaintTriplets
from anybind_datasets.spoken_digits import SpokenDigits
from anybind_retrieval.task import Retrieval

ASKED = ("event", "image", "text", "sound", "depth")
SHOWN = ("R@1", "R@5", "R@10", "mAP@5", "MRR", "median_rank")
BEGIN, END = "<!-- table of mini: begin -->", "<!-- table of mini: end -->"
COLUMNS = ("data", "from", "to", "queries", "gallery", *(name.replace("_", " ") for name in SHOWN))


class Remembering(anybind.Binder):
    """A binder that embeds the same items once, whatever they are then compared with."""

    def embed(self, modality: str, items: Any, **options: Any) -> anybind.Embeddings:
        """As `Binder.embed`."""
        listed = list(items)
        key = (modality, tuple(item.id if isinstance(item, Item) else str(item) for item in listed))
        known = self.__dict__.setdefault("known", {})
        if key not in known:
            known[key] = super().embed(modality, listed, **options)
        return known[key]


def main() -> None:
    """Ask, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--binding", default="mini")
    parser.add_argument("--pictures", type=int, default=1000, help="of the digits, spread evenly over the classes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="write the results to this folder and leave the repository alone")
    given = parser.parse_args()
    binder = Remembering(anybind.load(given.binding).binding)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", anybind.AnybindWarning)  # drawings in SVG are counted in docs/retrieval.md
        questions: list[tuple[Dataset, dict[str, Any]]] = [
            (TuxpaintTriplets(given.data / "tuxpaint_triplets"), {}),
            (SpokenDigits(given.data / "digits", limit=given.pictures), {"relevance": "class"}),
        ]
    rows: list[dict[str, Any]] = []
    skipped = SkippedFiles()
    for dataset, options in questions:
        kinds = {kind for item in dataset.items for kind in (kind_of(item), *item.partners)}
        there = [of for of in ASKED if of in binder.modalities and (of in {*kinds, "text"} or of == "event")]
        for one, other in itertools.combinations(there, 2):
            result = Retrieval(to=other, **options).run(
                binder, dataset, modality=one, seed=given.seed, on_bad=skipped.record
            )
            rows += rows_of(result)
    skipped.report()
    lines = table(rows)
    print("\n".join(lines))
    write(given.output, {"binding": binder.name, "seed": given.seed, "skipped": skipped, "rows": rows}, lines)


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The lines of the table in Markdown."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * 3 + "|---:" * (len(COLUMNS) - 3) + "|"]
    return lines + ["| " + " | ".join(cells(row)) + " |" for row in rows]


def write(output: Path | None, results: dict[str, Any], lines: list[str]) -> None:
    """Write the results as JSON and Markdown, and the table into the documentation unless they go elsewhere."""
    folder = output or Path(__file__).parent / "results"
    folder.mkdir(parents=True, exist_ok=True)
    title = f"# Retrieval by {results['binding']}, full gallery, seed {results['seed']}"
    files = {
        folder / "retrieval_mini.json": json.dumps(results, indent=1),
        folder / "retrieval_mini.md": "\n".join([title, "", *lines, "", *notes(results["skipped"])]),
    }
    if output is None:
        page = Path(__file__).parents[1] / "docs" / "retrieval.md"
        before, _, rest = page.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        files[page] = "\n".join([before + BEGIN, *lines, "", *notes(results["skipped"]), END]) + after.rstrip("\n")
    for path, text in files.items():
        with atomic_path(path) as part:
            part.write_text(text + "\n")


def notes(skipped: dict[str, Any]) -> list[str]:
    """What is said below the table."""
    if not skipped:
        return ["Every sample could be used."]
    return [f"{len(skipped)} samples could not be used; they are listed in retrieval_mini.json."]


def kind_of(item: Item) -> str:
    """The modality of an item's source."""
    return find_reader(item.source).spec.modality if isinstance(item.source, Path) else infer_modality(item.source)


def rows_of(result: anybind.Result) -> list[dict[str, Any]]:
    """One row a direction."""
    rows = []
    for direction, sizes in result.details["directions"].items():
        one, other = direction.split("_to_")
        found = {name: result.metrics[f"{direction}_{name}"] for name in SHOWN}
        of_chance = {name: result.details["chance"][f"{direction}_{name}"] for name in SHOWN}
        between = {name: result.details["intervals"][f"{direction}_{name}"] for name in SHOWN}
        about = {"data": result.dataset, "from": one, "to": other, "relevance": result.details["relevance"]}
        rows.append({**about, **sizes, "metrics": found, "chance": of_chance, "intervals": between})
    return rows


def cells(row: dict[str, Any]) -> list[str]:
    """A row as texts: each figure, its interval where it is a share, and chance."""
    told = []
    for name in SHOWN:
        form = ".1f" if name == "median_rank" else ".3f"
        low, high = row["intervals"][name]
        told.append(f"{row['metrics'][name]:{form}} ({low:{form}} to {high:{form}}) [{row['chance'][name]:{form}}]")
    return [row["data"], row["from"], row["to"], str(row["queries"]), str(row["gallery"]), *told]


if __name__ == "__main__":
    main()
