"""Evaluate a binding's audio encoder on ESC-10 or ESC-50 and on other sounds: zero-shot and nearest neighbours.

    python benchmarks/esc10.py --data DIR/esc10 [--others FOLDER ...] [--binding mini] [--fold 4]  (make esc10 DATA=DIR)

Zero-shot uses the class texts alone; k nearest neighbours (cosine, majority vote, ties to the nearer clip) use the
clips of the training folds. A folder of other sounds has a folder a class, or a file a class with its name. Intervals
are Wilson's, 95 %.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import anybind
from anybind.commandline import print_table
from anybind.dataset import Item
from anybind.prompts import embed_class_names, format_class_name
from anybind.registry import create_part

TEMPLATES = ("the sound of {}", "{}")
NEIGHBOURS = (1, 5)
SUFFIXES = (".flac", ".ogg", ".wav")
RESULTS = Path(__file__).parent / "results" / "esc10.json"


def main() -> None:
    """Embed, classify, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of ESC-10 or ESC-50")
    parser.add_argument("--others", type=Path, nargs="*", default=[], help="folders of other named sounds")
    parser.add_argument("--binding", default="mini", help="binding with a sound encoder (default: mini)")
    parser.add_argument("--fold", type=int, default=4, help="test fold (default: 4)")
    parser.add_argument("--train-folds", default="1,2,3", help="folds of the neighbours (default: 1,2,3)")
    parser.add_argument("--quick", action="store_true", help="about 40 clips a side; write only with --output")
    parser.add_argument("--output", type=Path, help="JSON file to write (default: benchmarks/results/esc10.json)")
    arguments = parser.parse_args()
    binder = anybind.load(arguments.binding)
    rows = evaluate_esc(binder, arguments.data, arguments.fold, arguments.train_folds, 40 if arguments.quick else None)
    for folder in arguments.others:
        items = list_named_sounds(folder)
        names = sorted({str(item.label) for item in items})
        rows += classify(binder, folder.name, items, binder.embed("sound", items), names)
    table = [(row["data"], row["classifier"], *row["cells"], row["chance"]) for row in rows]
    print_table(("data", "classifier", "top-1", "95 %", "n", "chance"), table, f"audio clips by {binder.name}")
    output = arguments.output or (None if arguments.quick else RESULTS)
    if output:
        record = {"binding": binder.name, "encoder": binder.identity("sound"), "fold": arguments.fold, "rows": rows}
        output.write_text(json.dumps(record, indent=1) + "\n")


def evaluate_esc(
    binder: anybind.Binder, data: Path, fold: int, train_folds: str, limit: int | None
) -> list[dict[str, Any]]:
    """Return the rows of a test fold: zero-shot, and neighbours of the training folds."""
    options = {"limit": limit} if limit else {}
    test, train = (create_part("dataset", "esc-50", data, folds=folds, **options) for folds in (fold, train_folds))
    queries, gallery = (binder.embed("sound", dataset.items) for dataset in (test, train))
    name = f"{test.name}, fold {fold}"
    rows = classify(binder, name, test.items, queries, test.classes)
    labels = [item.label for item in train.items]
    for k in NEIGHBOURS:
        neighbours = "nearest clip" if k == 1 else f"{k} nearest clips"
        predictions = [vote([labels[index] for index in np.argsort(-row)[:k]]) for row in queries @ gallery]
        hits = [label == item.label for label, item in zip(predictions, test.items, strict=True)]
        rows.append(make_row(name, f"{neighbours} of folds {train_folds}", hits, len(test.classes)))
    return rows


def list_named_sounds(folder: Path) -> list[Item]:
    """List the sounds of a folder with a folder a class, or a file a class."""
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix in SUFFIXES]
    return [
        Item(str(path), path, label=format_class_name(path.stem if path.parent == folder else path.parent.name))
        for path in paths
    ]


def classify(
    binder: anybind.Binder, data: str, items: Sequence[Item], clips: anybind.Embeddings, names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return a row for each template: zero-shot among the class names."""
    rows = []
    for template in TEMPLATES:
        best = (clips @ embed_class_names(binder, "text", names, [template])).argmax(1)
        hits = [names[index] == item.label for index, item in zip(best, items, strict=True)]
        rows.append(make_row(data, f'zero-shot, "{template}"', hits, len(names)))
    return rows


def vote(labels: list[str]) -> str:
    """Return the most frequent label; of equally frequent ones, the first."""
    return Counter(labels).most_common(1)[0][0]


def make_row(data: str, classifier: str, hits: list[bool], n_classes: int) -> dict[str, Any]:
    """Make a row of the table: accuracy, Wilson's interval, n and chance level."""
    n, accuracy, z = len(hits), sum(hits) / len(hits), 1.96
    center = accuracy + z * z / (2 * n)
    half_width = z * math.sqrt(accuracy * (1 - accuracy) / n + z * z / (4 * n * n))
    low, high = ((center + sign * half_width) / (1 + z * z / n) for sign in (-1, 1))
    cells = [f"{accuracy:.3f}", f"{low:.3f} to {high:.3f}", str(n)]
    about = {"data": data, "classifier": classifier, "classes": n_classes}
    return {**about, "cells": cells, "chance": f"{1 / n_classes:.3f}"}


if __name__ == "__main__":
    main()
