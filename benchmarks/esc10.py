"""Evaluate a binding's audio encoder on ESC-10 or ESC-50: zero-shot and nearest neighbours.

    python benchmarks/esc10.py --data DIR/esc10 [--binding mini] [--fold 4]               (make esc10 DATA=DIR)

Zero-shot uses the class texts alone; k nearest neighbours (cosine, majority vote, ties to the nearer clip) use the
clips of the training folds. Intervals are Wilson's, 95 %.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from pathlib import Path

import numpy as np

import anybind
from anybind.commandline import print_table
from anybind.prompts import embed_class_names
from anybind.registry import create_part

TEMPLATE = "the sound of {}"
NEIGHBOURS = (1, 5)
RESULTS = Path(__file__).parent / "results" / "esc10.json"


def main() -> None:
    """Embed, classify, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of ESC-10 or ESC-50")
    parser.add_argument("--binding", default="mini", help="binding with a sound encoder (default: mini)")
    parser.add_argument("--fold", type=int, default=4, help="test fold (default: 4)")
    parser.add_argument("--train-folds", default="1,2,3", help="folds of the neighbours (default: 1,2,3)")
    parser.add_argument("--quick", action="store_true", help="about 40 clips a side; write only with --output")
    parser.add_argument("--output", type=Path, help="JSON file to write (default: benchmarks/results/esc10.json)")
    arguments = parser.parse_args()
    binder = anybind.load(arguments.binding)
    limit = {"limit": 40} if arguments.quick else {}
    test, train = (
        create_part("dataset", "esc-50", arguments.data, folds=folds, **limit)
        for folds in (arguments.fold, arguments.train_folds)
    )
    queries, gallery = (binder.embed("sound", dataset.items) for dataset in (test, train))
    texts = embed_class_names(binder, "text", test.classes, [TEMPLATE])
    truth = [item.label for item in test.items]
    labels = [item.label for item in train.items]
    predictions = {f'zero-shot, "{TEMPLATE}"': [test.classes[best] for best in (queries @ texts).argmax(1)]}
    for k in NEIGHBOURS:
        name = "nearest clip" if k == 1 else f"{k} nearest clips"
        predictions[f"{name} of folds {arguments.train_folds}"] = [
            vote([labels[index] for index in np.argsort(-similarities)[:k]]) for similarities in queries @ gallery
        ]
    rows = [
        format_row(name, [label == true for label, true in zip(labels, truth, strict=True)])
        for name, labels in predictions.items()
    ]
    chance = f"{1 / len(test.classes):.2f}"
    title = f"{test.name}, fold {arguments.fold}, by {binder.name}"
    print_table(("classifier", "top-1", "95 %", "n", "chance"), [(*row, chance) for row in rows], title)
    output = arguments.output or (None if arguments.quick else RESULTS)
    if output:
        record = {"binding": binder.name, "encoder": binder.identity("sound"), "fold": arguments.fold, "rows": rows}
        output.write_text(json.dumps(record, indent=1) + "\n")


def vote(labels: list[str]) -> str:
    """Return the most frequent label; of equally frequent ones, the first."""
    return Counter(labels).most_common(1)[0][0]


def format_row(name: str, hits: list[bool]) -> tuple[str, str, str, str]:
    """Format a row of the table: accuracy and Wilson's interval."""
    n, accuracy, z = len(hits), sum(hits) / len(hits), 1.96
    center = accuracy + z * z / (2 * n)
    half_width = z * math.sqrt(accuracy * (1 - accuracy) / n + z * z / (4 * n * n))
    low, high = ((center + sign * half_width) / (1 + z * z / n) for sign in (-1, 1))
    return name, f"{accuracy:.3f}", f"{low:.3f} to {high:.3f}", str(n)


if __name__ == "__main__":
    main()
