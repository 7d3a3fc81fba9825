"""What retrieval costs over what it cannot do without: `make bench-retrieval`.

* Metrics of a similarity matrix in memory, over reading that matrix once. Reading is a sum of it by the same kind of
  compiled loop on the same threads, one half of the rows each.
* Search of the vectors nearest to one query, over the product of the matrix and the query alone. faiss runs beside it;
  all three find the same rows, which is checked.

Vectors are drawn evenly over the sphere, which has no structure that would help. Sides run by turns in one process,
after a call that does not count; ratios are medians over rounds. Prints a table and writes
benchmarks/results/retrieval.json and .md. Ratios travel between machines, rates do not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numba
import numpy as np

import anybind
from anybind.commandline import print_table
from anybind_retrieval.kernels import map_row_slices
from anybind_retrieval.metrics import compute_metrics
from anybind_retrieval.ranking import find_nearest_rows
from anybind_retrieval.ranks import rank_similarities

ITEMS = 10_000
GALLERY, QUERIES, DIMENSIONS, K = 100_000, 16, 512, 10
ROUNDS = 7
COLUMNS = ("what", "ms", "floor ms", "ratio", "(at most)")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the sizes, three rounds, and write nothing")
    quick = parser.parse_args().quick
    scale, rounds = (10, 3) if quick else (1, ROUNDS)
    rows = metric_rows(ITEMS // scale, rounds)
    rows += search_rows(GALLERY // scale, rounds)
    print_table(COLUMNS, [cells(row) for row in rows])
    missed = [row["what"] for row in rows if row["at_most"] and row["ratio"] > row["at_most"]]
    print("targets missed: " + ("; ".join(missed) or "none"))
    if not quick:
        write(rows, missed)


def metric_rows(n: int, rounds: int) -> list[dict[str, Any]]:
    """Metrics over reading the matrix: where the partner is right, and where a hundredth of all answers is."""
    random = np.random.default_rng(0)
    similarities = random.standard_normal((n, n), dtype=np.float32)
    pairs, classes = np.arange(n), random.integers(0, 100, n)
    similarities[pairs, pairs] += 2.5  # so that most right answers come early, and few first
    sides = {
        "read": lambda: map_row_slices(lambda part: total(similarities[part]), n),
        "instance": lambda: compute_metrics(rank_similarities(similarities, pairs, pairs)),
        "class": lambda: compute_metrics(rank_similarities(similarities, classes, classes)),
    }
    seconds = by_turns(sides, rounds)
    return [
        row(f"metrics, {name} relevance, {n:,} x {n:,}", seconds[name], seconds["read"], 1.5)
        for name in ("instance", "class")
    ]


def search_rows(n: int, rounds: int) -> list[dict[str, Any]]:
    """Our search and that of faiss, a query at a time, over the product."""
    import faiss

    random = np.random.default_rng(0)
    gallery = anybind.normalize(random.standard_normal((n, DIMENSIONS), dtype=np.float32))
    queries = anybind.normalize(random.standard_normal((QUERIES, DIMENSIONS), dtype=np.float32))
    product = np.empty(n, np.float32)

    def by_faiss(query: np.ndarray) -> np.ndarray:
        return faiss.knn(query[None], gallery, K, metric=faiss.METRIC_INNER_PRODUCT)[1][0]

    for query in queries:
        assert set(find_nearest_rows(query, gallery, K)) == set(by_faiss(query))
    sides = {
        "product": lambda: [np.matmul(gallery, query, out=product) for query in queries],
        "search": lambda: [find_nearest_rows(query, gallery, K) for query in queries],
        "faiss": lambda: [by_faiss(query) for query in queries],
    }
    seconds = {name: each / QUERIES for name, each in by_turns(sides, rounds).items()}
    return [
        row(f"search, {n:,} vectors", seconds["search"], seconds["product"], 1.5),
        row(f"search by faiss, {n:,} vectors", seconds["faiss"], seconds["product"], None),
    ]


def by_turns(sides: dict[str, Callable[[], object]], rounds: int) -> dict[str, np.ndarray]:
    """Seconds of each side in each round."""
    for call in sides.values():
        call()
    found = [{name: timed(call) for name, call in sides.items()} for _ in range(rounds)]
    return {name: np.array([each[name] for each in found]) for name in sides}


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def row(what: str, seconds: np.ndarray, floor: np.ndarray, at_most: float | None) -> dict[str, Any]:
    """What was found of one side."""
    return {
        "what": what,
        "seconds": statistics.median(seconds),
        "floor_seconds": statistics.median(floor),
        "ratio": statistics.median(seconds / floor),
        "at_most": at_most,
    }


@numba.njit(nogil=True, fastmath=True)
def total(similarities: np.ndarray) -> np.float32:
    """The sum of a matrix: reads it once and does next to nothing else."""
    found = np.float32(0)
    for i in range(similarities.shape[0]):
        for j in range(similarities.shape[1]):
            found += similarities[i, j]
    return found


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A row as texts."""
    times = (f"{1000 * row[name]:.1f}" for name in ("seconds", "floor_seconds"))
    at_most = "" if row["at_most"] is None else f"{row['at_most']:g}"
    return (row["what"], *times, f"{row['ratio']:.2f}", at_most)


def write(rows: list[dict[str, Any]], missed: list[str]) -> None:
    """Write benchmarks/results/retrieval.json and .md."""
    packages = {name: version(name) for name in ("numpy", "numba", "faiss-cpu")}
    about = {"python": platform.python_version(), "cpus": os.cpu_count(), "rounds": ROUNDS, "packages": packages}
    results = Path(__file__).parent / "results"
    (results / "retrieval.json").write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")
    lines = [
        "# Retrieval: rates",
        "",
        *(__doc__ or "").split("\n\n", 1)[1].strip().splitlines(),
        "",
        f"Python {about['python']}, {about['cpus']} processors, "
        + ", ".join(f"{name} {number}" for name, number in packages.items())
        + f"; vectors of {DIMENSIONS} dimensions, the {K} nearest to each of {QUERIES} queries; {ROUNDS} rounds.",
        "",
        f"Targets missed: {'; '.join(missed) or 'none'}.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|---" + "|---:" * (len(COLUMNS) - 1) + "|",
        *("| " + " | ".join(cells(row)) + " |" for row in rows),
    ]
    (results / "retrieval.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
