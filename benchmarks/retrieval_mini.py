"""Retrieval between all modalities of `mini`: `python benchmarks/retrieval_mini.py --data DIR`.

DIR has `tuxpaint_triplets` (each image has a description and a sound: the partner is relevant) and `digits` (written
and spoken digits: all of the same class are relevant; texts are "a photo of a seven"). Events are simulated from the
images; images without events are skipped and listed. Every direction is evaluated on the full gallery, with 95 %
intervals and chance levels. Prints a table for each dataset, and writes benchmarks/results/retrieval_mini.json and .md,
or, with `--output DIR`, there. `make tables` updates the documentation.
"""

from __future__ import annotations

import argparse
import itertools
import json
import warnings
from pathlib import Path
from typing import Any

import anybind
from anybind.commandline import SkippedFiles, print_table
from anybind.dataset import Dataset, Item
from anybind.files import atomic_path
from anybind.modality import infer_modality
from anybind.reader import find_reader
from anybind_datasets.manifest import TuxpaintTriplets
from anybind_datasets.spoken_digits import SpokenDigits
from anybind_retrieval.task import Retrieval

MODALITIES = ("event", "image", "text", "sound", "depth")
METRICS = ("R@1", "R@5", "R@10", "mAP@5", "MRR", "median_rank")
COLUMNS = ("data", "from", "to", "queries", "gallery", *(name.replace("_", " ") for name in METRICS))


class CachingBinder(anybind.Binder):
    """A binder that embeds the same items once for all directions."""

    def embed(self, modality: str, items: Any, **options: Any) -> anybind.Embeddings:
        """Embed items, or return their embeddings from an earlier call; see `Binder.embed`."""
        items = list(items)
        key = (modality, tuple(item.id if isinstance(item, Item) else str(item) for item in items))
        cache = self.__dict__.setdefault("cache", {})
        if key not in cache:
            cache[key] = super().embed(modality, items, **options)
        return cache[key]


def main() -> None:
    """Evaluate, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data")
    parser.add_argument("--binding", default="mini")
    parser.add_argument("--images", type=int, default=1000, help="images of digits, spread evenly over the classes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="folder of the results [default: benchmarks/results]")
    parser.add_argument("--quick", action="store_true", help="use 50 images of digits, and print only")
    options = parser.parse_args()
    binder = CachingBinder(anybind.load(options.binding).binding)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", anybind.AnybindWarning)  # SVG drawings are skipped
        n_images = 50 if options.quick else options.images
        evaluations: list[tuple[Dataset, dict[str, Any]]] = [
            (TuxpaintTriplets(options.data / "tuxpaint_triplets"), {}),
            (SpokenDigits(options.data / "digits", limit=n_images), {"relevance": "class"}),
        ]
    rows: list[dict[str, Any]] = []
    skipped = SkippedFiles()
    for dataset, task_options in evaluations:
        available = {name for item in dataset.items for name in (infer_source(item), *item.partners)}
        modalities = [
            name for name in MODALITIES if name in binder.modalities and name in {*available, "text", "event"}
        ]
        dataset_rows = []
        for first, second in itertools.combinations(modalities, 2):
            task = Retrieval(to=second, **task_options)
            result = task.run(binder, dataset, modality=first, seed=options.seed, on_bad=skipped.record)
            dataset_rows += make_rows(result)
        print_rows(dataset.name, dataset_rows)
        rows += dataset_rows
    skipped.report()
    if not options.quick or options.output:
        results = {"binding": binder.name, "seed": options.seed, "skipped": skipped, "rows": rows}
        write_results(options.output, results, make_table(rows))


def print_rows(name: str, rows: list[dict[str, Any]]) -> None:
    """Print the metrics of a dataset, with the chance level of R@1."""
    table = [
        (
            f"{row['from']} to {row['to']}",
            str(row["queries"]),
            *(f"{row['metrics'][metric]:.3f}" for metric in METRICS[:1]),
            f"{row['chance']['R@1']:.3f}",
            *(f"{row['metrics'][metric]:.3f}" for metric in METRICS[2:-1]),
            f"{row['metrics']['median_rank']:.1f}",
        )
        for row in rows
    ]
    print_table(("direction", "n", "R@1", "chance", "R@10", "mAP@5", "MRR", "median"), table, name)


def make_table(rows: list[dict[str, Any]]) -> list[str]:
    """Return the lines of the table in Markdown."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * 3 + "|---:" * (len(COLUMNS) - 3) + "|"]
    return lines + ["| " + " | ".join(format_row(row)) + " |" for row in rows]


def write_results(output: Path | None, results: dict[str, Any], lines: list[str]) -> None:
    """Write the results as JSON and Markdown."""
    folder = output or Path(__file__).parent / "results"
    folder.mkdir(parents=True, exist_ok=True)
    title = f"# Retrieval by {results['binding']}, full gallery, seed {results['seed']}"
    files = {
        folder / "retrieval_mini.json": json.dumps(results, indent=1),
        folder / "retrieval_mini.md": "\n".join([title, "", *lines, "", *make_notes(results["skipped"])]),
    }
    for path, text in files.items():
        with atomic_path(path) as temporary:
            temporary.write_text(text + "\n")


def make_notes(skipped: dict[str, Any]) -> list[str]:
    """Return the lines below the table."""
    if not skipped:
        return ["All samples are valid."]
    return [f"{len(skipped)} samples are invalid and skipped; they are listed in retrieval_mini.json."]


def infer_source(item: Item) -> str:
    """Return the modality of an item's source."""
    return find_reader(item.source).spec.modality if isinstance(item.source, Path) else infer_modality(item.source)


def make_rows(result: anybind.Result) -> list[dict[str, Any]]:
    """Return a row for each direction."""
    rows = []
    for direction, sizes in result.details["directions"].items():
        source, target = direction.split("_to_")
        fields = {"data": result.dataset, "from": source, "to": target, "relevance": result.details["relevance"]}
        values = {"metrics": result.metrics, "chance": result.chance, "intervals": result.intervals}
        by_metric = {key: {name: table[f"{direction}_{name}"] for name in METRICS} for key, table in values.items()}
        rows.append({**fields, **sizes, **by_metric})
    return rows


def format_row(row: dict[str, Any]) -> list[str]:
    """Return a row of the Markdown table: metrics with intervals and chance levels."""
    cells = []
    for name in METRICS:
        form = ".1f" if name == "median_rank" else ".3f"
        low, high = row["intervals"][name]
        cells.append(f"{row['metrics'][name]:{form}} ({low:{form}} to {high:{form}}) [{row['chance'][name]:{form}}]")
    return [row["data"], row["from"], row["to"], str(row["queries"]), str(row["gallery"]), *cells]


if __name__ == "__main__":
    main()
