"""Recall, size and speed of the ways an index file stores vectors: `make bench-index-formats`.

* Recall@10 against exact search of all dimensions in float32: real embeddings by `mini` of images of Caltech101 (its
  `seen` classes) and of ImageNet, searched by texts (their class names) and by images; and, for many vectors, random
  ones on the sphere, the hardest case: no vector is much nearer than the others.
* Bytes of the index file per vector, without paths.
* Speed of a query: the time of the float32 index over that of the other, alternating in one process; medians.

Prints a table and writes index_formats.json.
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

import numpy as np

import anybind
from anybind.commandline import print_table
from anybind_retrieval.vectors import VECTORS, StoredVectors

RESULTS = Path(__file__).parent / "results" / "index_formats.json"
K, CANDIDATES = 10, 26
"""Results, and candidates that a search of ten results fetches to detect ties."""
IMAGES_PER_CLASS = 15
DIM, QUERIES, ROUNDS = 384, 16, 5
TRUNCATED = 256, 128
COLUMNS = ("embeddings", "n", "vectors", "dimensions", "bytes", "recall@10", "speed")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("ANYBIND_TEST_DATA"), help="folder of datasets")
    parser.add_argument("--sizes", type=int, nargs="*", default=[100_000, 1_000_000], help="numbers of random vectors")
    parser.add_argument("--output", type=Path, default=RESULTS, help="JSON file to write")
    options = parser.parse_args()
    rows = []
    if options.data:
        images, texts = embed_real(options.data)
        rows += measure_formats("images by text", images, texts, [DIM, *TRUNCATED], speed=False)
        rows += measure_formats("images by image", images, images[::3], [DIM, *TRUNCATED], speed=False)
    random = np.random.default_rng(0)
    for size in options.sizes:
        gallery = anybind.normalize(random.standard_normal((size, DIM), dtype=np.float32))
        queries = anybind.normalize(random.standard_normal((QUERIES, DIM), dtype=np.float32))
        rows += measure_formats("random", gallery, queries, [DIM, TRUNCATED[-1]], speed=True)
    print_table(COLUMNS, [format_row(row) for row in rows])
    record = {"cpus": os.cpu_count(), "rounds": ROUNDS, "queries": QUERIES, "rows": rows}
    options.output.write_text(json.dumps(record, indent=1) + "\n")


def embed_real(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Embed images, (n, d), and the names of their classes, (m, d)."""
    classes = json.loads((data / "caltech101" / "splits.json").read_text())["seen"]
    files = [
        file
        for name in classes
        for file in sorted((data / "caltech101" / "images" / name).iterdir())[:IMAGES_PER_CLASS]
    ]
    others = sorted((data / "imagenet_samples").glob("*.jpg"))
    names = {*classes, *(path.stem.partition("_")[2] for path in others)}
    binder = anybind.load("mini", store=anybind.EmbeddingStore())
    texts = [f"a photo of a {name.replace('_', ' ')}" for name in sorted(names)]
    return binder.embed("image", [*files, *others]).vectors, binder.embed("text", texts).vectors


def measure_formats(
    what: str, gallery: np.ndarray, queries: np.ndarray, dims: Sequence[int], speed: bool
) -> list[dict[str, Any]]:
    """Measure all formats, with the float32 index of all dimensions as the reference of recall and speed."""
    stored = {(name, dim): store_vectors(name, dim, gallery) for dim in dims for name in VECTORS}
    nearest = {key: [search(*key, vectors, query) for query in queries] for key, vectors in stored.items()}
    exact = nearest["float32", gallery.shape[1]]
    seconds: dict[tuple[str, int], list[float]] = {key: [] for key in stored}
    for _ in range(ROUNDS if speed else 0):
        for key, vectors in stored.items():
            start = time.perf_counter()
            for query in queries:
                search(*key, vectors, query)
            seconds[key].append((time.perf_counter() - start) / len(queries))
    base = seconds["float32", gallery.shape[1]]
    return [
        {
            "embeddings": what,
            "n": len(gallery),
            "queries": len(queries),
            "vectors": name,
            "dimensions": dim,
            "bytes": sum(tensor.nbytes for tensor in vectors.tensors.values()) / len(gallery),
            "recall": statistics.mean(
                len(set(rows) & set(best)) / K for rows, best in zip(nearest[name, dim], exact, strict=True)
            ),
            **(
                {
                    "milliseconds": 1000 * statistics.median(seconds[name, dim]),
                    "speed": statistics.median(
                        first / second for first, second in zip(base, seconds[name, dim], strict=True)
                    ),
                }
                if speed
                else {}
            ),
        }
        for (name, dim), vectors in stored.items()
    ]


def store_vectors(name: str, dim: int, gallery: np.ndarray) -> StoredVectors:
    """Store the first dimensions of a gallery."""
    vectors = gallery if dim == gallery.shape[1] else anybind.normalize(gallery[:, :dim])
    return VECTORS[name]("benchmark", dim, VECTORS[name].encode(vectors))


def search(name: str, dim: int, vectors: StoredVectors, query: np.ndarray) -> list[int]:
    """Return the ten nearest rows, as a search of an index does."""
    cut = query if dim == len(query) else anybind.normalize(query[None, :dim])[0]
    rows = vectors.find_nearest(cut, min(CANDIDATES, len(vectors)))
    return rows[np.argsort(-(vectors.read(rows) @ cut), kind="stable")][:K].tolist()


def format_row(row: dict[str, Any]) -> tuple[str, ...]:
    """Return a row of the table."""
    speed = f"{row['speed']:.1f}" if "speed" in row else ""
    counts = (f"{row['n']:,}", row["vectors"], str(row["dimensions"]), f"{row['bytes']:.0f}")
    return (row["embeddings"], *counts, f"{row['recall']:.3f}", speed)


if __name__ == "__main__":
    main()
