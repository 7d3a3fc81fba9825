"""How well a binding's sound tower knows the sounds of ESC-10, or ESC-50: `make esc10 DATA=DIR`.

    python benchmarks/esc10.py --data DIR/esc10 [--binding mini] [--fold 4]

By words alone (zero-shot), and by the nearest clips of the other folds that are here, 1 to 3 by default (k nearest
neighbours, cosine; of equal votes the nearer clip's). Prints a table, with 95 % intervals by Wilson.
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
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Embed, ask, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--binding", default="mini")
    parser.add_argument("--fold", type=int, default=4)
    parser.add_argument("--known", default="1,2,3")
    given = parser.parse_args()
    binder = anybind.load(given.binding)
    asked, known = (create_part("dataset", "esc-50", given.data, folds=folds) for folds in (given.fold, given.known))
    vectors, shelf = (binder.embed("sound", dataset.items) for dataset in (asked, known))
    words = embed_class_names(binder, "text", asked.classes, [TEMPLATE])
    truth = [item.label for item in asked.items]
    answers = {f'words, "{TEMPLATE}"': [asked.classes[best] for best in (vectors @ words).argmax(1)]}
    labels = [item.label for item in known.items]
    for count in NEIGHBOURS:
        answers[f"{count} nearest clips of folds {given.known}"] = [
            vote([labels[row] for row in np.argsort(-row_of)[:count]]) for row_of in vectors @ shelf
        ]
    rows = [row_of(by, [a == b for a, b in zip(found, truth, strict=True)]) for by, found in answers.items()]
    columns = ("recognised by", "top-1", "95 %", "n", "chance")
    chance = f"{1 / len(asked.classes):.2f}"
    print_table(columns, [(*row, chance) for row in rows], f"{asked.name}, fold {given.fold}, by {binder.name}")
    held = {"binding": binder.name, "encoder": binder.identity("sound"), "fold": given.fold, "rows": rows}
    (RESULTS / "esc10.json").write_text(json.dumps(held, indent=1) + "\n")


def vote(labels: list[str]) -> str:
    """The label that occurs most often; of several, the one that comes first."""
    return Counter(labels).most_common(1)[0][0]


def row_of(by: str, right: list[bool]) -> tuple[str, str, str, str]:
    """A row of the table: the share that is right, and Wilson's interval."""
    n, share, z = len(right), sum(right) / len(right), 1.96
    middle, half = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = ((middle + side * half) / (1 + z * z / n) for side in (-1, 1))
    return by, f"{share:.3f}", f"{low:.3f} to {high:.3f}", str(n)


if __name__ == "__main__":
    main()
