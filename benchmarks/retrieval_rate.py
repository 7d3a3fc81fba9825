"""Run time of retrieval metrics and search over their lower bounds: `make bench-retrieval`.

* Metrics of a similarity matrix in memory, over reading that matrix once: a sum by a compiled loop on the same threads.
* Search of the vectors nearest to one query, over the matrix-vector product alone, with faiss for comparison; all find
  the same rows, which is checked.

Vectors are uniform on the sphere. Methods alternate in one process, after a warm-up call; ratios are medians over
rounds. Prints a table and writes retrieval.json and .md. Ratios are comparable between machines, times are not.
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
COLUMNS = ("method", "ms", "bound ms", "ratio", "limit")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="use a tenth of the sizes and three rounds")
    parser.add_argument(
        "--output", type=Path, help="folder of the results [default: benchmarks/results; none with --quick]"
    )
    options = parser.parse_args()
    quick = options.quick
    scale, rounds = (10, 3) if quick else (1, ROUNDS)
    rows = measure_metrics(ITEMS // scale, rounds)
    rows += measure_search(GALLERY // scale, rounds)
    print_table(COLUMNS, [format_row(row) for row in rows])
    missed = [row["what"] for row in rows if row["at_most"] and row["ratio"] > row["at_most"]]
    print("targets missed: " + ("; ".join(missed) or "none"))
    output = options.output or (None if quick else Path(__file__).parent / "results")
    if output is not None:
        write_results(rows, missed, rounds, output)


def measure_metrics(n: int, rounds: int) -> list[dict[str, Any]]:
    """Measure metrics with one relevant sample per query, and with a hundredth of the gallery."""
    random = np.random.default_rng(0)
    similarities = random.standard_normal((n, n), dtype=np.float32)
    pairs, classes = np.arange(n), random.integers(0, 100, n)
    similarities[pairs, pairs] += 2.5  # most relevant samples have low ranks, few the first
    calls = {
        "read": lambda: map_row_slices(lambda rows: sum_matrix(similarities[rows]), n),
        "instance": lambda: compute_metrics(rank_similarities(similarities, pairs, pairs)),
        "class": lambda: compute_metrics(rank_similarities(similarities, classes, classes)),
    }
    seconds = time_alternately(calls, rounds)
    return [
        make_row(f"metrics, {name}, {n:,} x {n:,}", seconds[name], seconds["read"], 1.5)
        for name in ("instance", "class")
    ]


def measure_search(n: int, rounds: int) -> list[dict[str, Any]]:
    """Measure search and faiss, a query at a time, over the matrix-vector product."""
    import faiss

    random = np.random.default_rng(0)
    gallery = anybind.normalize(random.standard_normal((n, DIMENSIONS), dtype=np.float32))
    queries = anybind.normalize(random.standard_normal((QUERIES, DIMENSIONS), dtype=np.float32))
    product = np.empty(n, np.float32)

    def search_faiss(query: np.ndarray) -> np.ndarray:
        return faiss.knn(query[None], gallery, K, metric=faiss.METRIC_INNER_PRODUCT)[1][0]

    for query in queries:
        assert set(find_nearest_rows(query, gallery, K)) == set(search_faiss(query))
    calls = {
        "product": lambda: [np.matmul(gallery, query, out=product) for query in queries],
        "search": lambda: [find_nearest_rows(query, gallery, K) for query in queries],
        "faiss": lambda: [search_faiss(query) for query in queries],
    }
    seconds = {name: total / QUERIES for name, total in time_alternately(calls, rounds).items()}
    return [
        make_row(f"search, {n:,} vectors", seconds["search"], seconds["product"], 1.5),
        make_row(f"faiss, {n:,} vectors", seconds["faiss"], seconds["product"], None),
    ]


def time_alternately(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, np.ndarray]:
    """Return the seconds of each call in each round, after a warm-up."""
    for call in calls.values():
        call()
    seconds = [{name: time_call(call) for name, call in calls.items()} for _ in range(rounds)]
    return {name: np.array([by_name[name] for by_name in seconds]) for name in calls}


def time_call(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def make_row(method: str, seconds: np.ndarray, bound: np.ndarray, limit: float | None) -> dict[str, Any]:
    """Return the medians of a method and of its lower bound."""
    return {
        "what": method,
        "seconds": statistics.median(seconds),
        "floor_seconds": statistics.median(bound),
        "ratio": statistics.median(seconds / bound),
        "at_most": limit,
    }


@numba.njit(nogil=True, fastmath=True)
def sum_matrix(similarities: np.ndarray) -> np.float32:
    """Sum a matrix: the cost of reading it once."""
    total = np.float32(0)
    for i in range(similarities.shape[0]):
        for j in range(similarities.shape[1]):
            total += similarities[i, j]
    return total


def format_row(row: dict[str, Any]) -> tuple[str, ...]:
    """Return a row of the table."""
    times = (f"{1000 * row[name]:.1f}" for name in ("seconds", "floor_seconds"))
    limit = "" if row["at_most"] is None else f"{row['at_most']:g}"
    return (row["what"], *times, f"{row['ratio']:.2f}", limit)


def write_results(rows: list[dict[str, Any]], missed: list[str], rounds: int, output: Path) -> None:
    """Write retrieval.json and .md."""
    packages = {name: version(name) for name in ("numpy", "numba", "faiss-cpu")}
    setup = {"python": platform.python_version(), "cpus": os.cpu_count(), "rounds": rounds, "packages": packages}
    output.mkdir(parents=True, exist_ok=True)
    (output / "retrieval.json").write_text(json.dumps({**setup, "rows": rows}, indent=1) + "\n")
    lines = [
        "# Run time of retrieval",
        "",
        *(__doc__ or "").split("\n\n", 1)[1].strip().splitlines(),
        "",
        f"Python {setup['python']}, {setup['cpus']} processors, "
        + ", ".join(f"{name} {number}" for name, number in packages.items())
        + f"; vectors of {DIMENSIONS} dimensions, the {K} nearest to each of {QUERIES} queries; {rounds} rounds.",
        "",
        f"Targets missed: {'; '.join(missed) or 'none'}.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|---" + "|---:" * (len(COLUMNS) - 1) + "|",
        *("| " + " | ".join(format_row(row)) + " |" for row in rows),
    ]
    (output / "retrieval.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
