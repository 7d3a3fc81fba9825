"""Images by event recordings and texts together, with `mini`: `python benchmarks/joint_retrieval.py --data DIR`.

DIR has the folder `caltech101`; of each of its classes that `mini` was not trained on, the first 14 images are used.
Event recordings are simulated, and the text is the name of the class in a prompt. A query finds the image that its
recording was simulated from (instance), or the other way round. Weights are fitted on 7 classes and measured on the
other 8, in 20 random splits; the table has the means. Writes benchmarks/results/joint_retrieval.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import anybind
from anybind import Embeddings
from anybind.commandline import print_table
from anybind.files import atomic_path
from anybind_retrieval import fit_weights
from anybind_retrieval.metrics import compute_metrics
from anybind_retrieval.ranks import rank_embeddings

OUTPUT = Path(__file__).parent / "results" / "joint_retrieval.json"
IMAGES, SPLITS, FITTED_CLASSES = 14, 20, 7
METRICS = ("R@1", "R@5", "MRR")
DIRECTIONS = (("event", "text", "image"), ("image", "text", "event"))


def embed_modalities(folder: Path) -> tuple[dict[str, Embeddings], np.ndarray]:
    """Embed the images, their simulated events and the names of their classes; return the classes as well."""
    classes = json.loads((folder / "splits.json").read_text())["unseen"]
    paths = [path for name in classes for path in sorted((folder / "images" / name).iterdir())[:IMAGES]]
    labels = [path.parent.name for path in paths]
    binder = anybind.load("mini")
    embedded = {
        "image": binder.embed("image", paths),
        "event": binder.embed("event", paths, derive_seed=0),
        "text": binder.embed("text", [f"a photo of a {label.replace('_', ' ')}" for label in labels]),
    }
    return embedded, np.array(labels)


def measure_split(parts: Mapping[str, Embeddings], fitted: np.ndarray, names: tuple[str, str, str]) -> dict[str, Any]:
    """Return metrics on the classes that are not fitted, by method, and the fitted weights."""
    first, second, target = names
    weights = fit_weights([parts[first][fitted], parts[second][fitted]], parts[target][fitted])
    rest = {name: parts[name][~fitted] for name in names}
    queries = {
        first: rest[first],
        second: rest[second],
        "mean": Embeddings.fuse([rest[first], rest[second]]),
        "fitted": Embeddings.fuse([rest[first], rest[second]], weights),
    }
    groups = np.arange(len(rest[target]))
    ranks = {
        name: rank_embeddings(each.vectors, rest[target].vectors, groups, groups) for name, each in queries.items()
    }
    return {"metrics": {name: compute_metrics(each) for name, each in ranks.items()}, "weights": weights}


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="JSON report")
    options = parser.parse_args()
    parts, labels = embed_modalities(options.data / "caltech101")
    random, rows = np.random.default_rng(0), []
    masks = [np.isin(labels, random.permutation(np.unique(labels))[:FITTED_CLASSES]) for _ in range(SPLITS)]
    for names in DIRECTIONS:
        splits = [measure_split(parts, mask, names) for mask in masks]
        weights = {name: float(np.mean([each["weights"][name] for each in splits])) for name in names[:2]}
        for method in splits[0]["metrics"]:
            row = {"queries": "+".join(names[:2]), "gallery": names[2], "method": method}
            row |= {key: float(np.mean([each["metrics"][method][key] for each in splits])) for key in METRICS}
            rows.append(row | ({"weights": weights} if method == "fitted" else {}))
    cells = [
        [*(str(row[key]) for key in ("queries", "gallery", "method")), *(f"{row[key]:.3f}" for key in METRICS)]
        for row in rows
    ]
    print_table(("queries", "gallery", "method", *METRICS), cells)
    report = {"images": IMAGES, "splits": SPLITS, "fitted_classes": FITTED_CLASSES, "n": len(labels), "rows": rows}
    with atomic_path(options.output) as temporary:
        temporary.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
