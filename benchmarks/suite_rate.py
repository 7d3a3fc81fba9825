"""Measure the embedding store's effect on a benchmark suite: two runs with one store and separate results folders.

Prints durations, numbers of computed and cached embeddings, and the ratio of durations. Fails if the second run
computes an embedding or takes more than 10 % of the first one's time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from anybind.commandline import print_table
from anybind.plugin import files

RESULTS = Path(__file__).parent / "results" / "suite.json"
MAX_RATIO = 0.1
"""Largest duration of the second run, as a fraction of the first one's."""


def main() -> None:
    """Run the suite twice; print and write the measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="mini", help="name or TOML file of the suite [default: mini]")
    parser.add_argument("--output", type=Path, help=f"JSON report [default: {RESULTS.name} in benchmarks/results]")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="only retrieval, 30 samples; write only to a given --output",
    )
    arguments = parser.parse_args()
    output = arguments.output or (None if arguments.quick else RESULTS)
    options = ["--only", "retrieval", "--limit", "30"] if arguments.quick else []
    with tempfile.TemporaryDirectory() as folder:
        rows = [{"run": name, **run(arguments.suite, Path(folder), name, options)} for name in ("first", "second")]
    ratio = rows[1]["seconds"] / rows[0]["seconds"]
    print_table(list(rows[0]), [tuple(str(value) for value in row.values()) for row in rows])
    print(f"duration of the second run: {ratio:.3f} of the first (limit: {MAX_RATIO})")
    if output:
        report = {"cpus": os.cpu_count(), "rows": rows, "ratio": round(ratio, 3)}
        with files.atomic_path(output) as path:
            path.write_text(json.dumps(report, indent=1) + "\n")
    raise SystemExit(rows[1]["computed"] > 0 or (ratio > MAX_RATIO and not arguments.quick))


def run(suite: str, folder: Path, name: str, options: list[str]) -> dict[str, Any]:
    """Run the suite in a subprocess; return its duration, numbers of cells, and numbers of embeddings."""
    command = [sys.executable, "-m", "anybind", "bench", "run", suite, "-o", str(folder / name), "--json", *options]
    environment = {**os.environ, "ANYBIND_STORE": str(folder / "store")}
    start = time.perf_counter()
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=environment)
    seconds = time.perf_counter() - start
    report = json.loads(process.stdout)
    states = [cell["state"] for cell in report["cells"]]
    return {"seconds": round(seconds, 1), "cells": len(states), "done": states.count("done"), **report["embedded"]}


if __name__ == "__main__":
    main()
