"""What retrieval costs over what it cannot do without: `make bench-retrieval`.

* Metrics of a similarity matrix in memory, over reading that matrix once. Reading is a sum of it by the same kind of
  compiled loop on the same threads, one half of the rows each.
* Exact search, over the matrix product alone: `numpy.matmul` of all queries and the whole gallery into an array that
  is there beforehand, by as many threads as BLAS takes. BLAS waits for all its threads after every block: where other
  programs run, both sides say little.
* Search behind a pre-pass in bfloat16, over exact search. Both give the same rows, which is checked; making the
  gallery ready is done once and told on its own.

Vectors are drawn evenly over the sphere, which has no structure that would help, and once more around a thousand
centres. Sides run by turns in one process, after a call that does not count; ratios are medians over rounds. Prints a
table and writes benchmarks/results/retrieval.json and .md. Ratios travel between machines, rates do not.
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
from anybind_retrieval.coarse import CoarseGallery
from anybind_retrieval.exact import top_k
from anybind_retrieval.kernels import over_rows
from anybind_retrieval.metrics import metrics_of
from anybind_retrieval.ranks import ranks_in

ITEMS = 10_000
GALLERY, QUERIES, DIMENSIONS, K = 100_000, 1000, 512, 10
ROUNDS = 7
COLUMNS = ("what", "ms", "floor ms", "ratio", "(at most)")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the sizes, three rounds, and write nothing")
    quick = parser.parse_args().quick
    scale, rounds = (10, 3) if quick else (1, ROUNDS)
    rows = metric_rows(ITEMS // scale, rounds)
    for name, gallery in galleries(GALLERY // scale):
        rows += search_rows(name, gallery, rounds)
    print_table(COLUMNS, [cells(row) for row in rows])
    missed = [row["what"] for row in rows if row["ratio"] > row["at_most"]]
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
        "read": lambda: over_rows(lambda part: total(similarities[part]), n),
        "instance": lambda: metrics_of(ranks_in(similarities, pairs, pairs)),
        "class": lambda: metrics_of(ranks_in(similarities, classes, classes)),
    }
    seconds = by_turns(sides, rounds)
    return [
        row(f"metrics, {name} relevance, {n:,} x {n:,}", seconds[name], seconds["read"], 1.5)
        for name in ("instance", "class")
    ]


def galleries(n: int) -> list[tuple[str, np.ndarray]]:
    """Unit vectors: even, and around centres."""
    random = np.random.default_rng(0)
    even = anybind.unit(random.standard_normal((n, DIMENSIONS), dtype=np.float32))
    centres = random.standard_normal((1000, DIMENSIONS), dtype=np.float32)
    around = centres[random.integers(0, 1000, n)] + random.standard_normal((n, DIMENSIONS), dtype=np.float32)
    return [("even", even), ("around centres", anybind.unit(around))]


def search_rows(name: str, gallery: np.ndarray, rounds: int) -> list[dict[str, Any]]:
    """Exact search over the product, and search behind the pre-pass over exact search."""
    random = np.random.default_rng(1)
    queries = gallery[random.choice(len(gallery), QUERIES, replace=False)]
    queries = anybind.unit(queries + random.standard_normal(queries.shape, dtype=np.float32) / DIMENSIONS**0.5)
    product = np.empty((QUERIES, len(gallery)), np.float32)
    start = time.perf_counter()
    coarse = CoarseGallery(gallery)
    made = time.perf_counter() - start
    sides = {
        "product": lambda: np.matmul(queries, gallery.T, out=product),
        "exact": lambda: top_k(queries, gallery, K),
        "coarse": lambda: coarse.top_k(queries, K),
    }
    exact, found = top_k(queries, gallery, K), coarse.top_k(queries, K)
    assert all(np.array_equal(one, other) for one, other in zip(exact, found, strict=True))
    seconds = by_turns(sides, rounds)
    what = f"{len(gallery):,} vectors {name}"
    return [
        row(f"exact search, {what}", seconds["exact"], seconds["product"], 1.1),
        row(f"bfloat16 pre-pass, {what}", seconds["coarse"], seconds["exact"], 0.7) | {"gallery_seconds": made},
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


def row(what: str, seconds: np.ndarray, floor: np.ndarray, at_most: float) -> dict[str, Any]:
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
    return (row["what"], *times, f"{row['ratio']:.2f}", f"{row['at_most']:g}")


def write(rows: list[dict[str, Any]], missed: list[str]) -> None:
    """Write benchmarks/results/retrieval.json and .md."""
    packages = {name: version(name) for name in ("numpy", "numba", "torch")}
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
        + f"; {QUERIES} queries of {DIMENSIONS} dimensions, the {K} nearest; {ROUNDS} rounds.",
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
