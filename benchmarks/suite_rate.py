"""The suite `mini`, asked twice with one cache of embeddings: `make bench-suite`.

Each run is a process of its own with a results folder of its own, so that every question is asked anew. Prints both
times, how many embeddings were computed, and their ratio; the second run has to compute none. Writes
benchmarks/results/suite.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from anybind.commandline import print_table
from anybind.plugin import files

MOST = 0.1
"""What the second run may take of the first one's time."""


def main() -> None:
    """Run, print and write; ends with 1 where the second run computes, or takes longer than it may."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--output", type=Path, required=True, help="a folder; what is in it goes")
    options.add_argument("--suite", default="mini")
    given = options.parse_args()
    shutil.rmtree(given.output, ignore_errors=True)
    given.output.mkdir(parents=True)
    rows = [{"run": which, **run(given.suite, given.output, which)} for which in ("first", "second")]
    ratio = rows[1]["seconds"] / rows[0]["seconds"]
    print_table(list(rows[0]), [tuple(str(value) for value in row.values()) for row in rows])
    print(f"the second run took {ratio:.3f} of the first one's time; allowed: {MOST}")
    with files.atomic_path(Path(__file__).parent / "results" / "suite.json") as path:
        path.write_text(json.dumps({"cpus": os.cpu_count(), "rows": rows, "ratio": round(ratio, 3)}, indent=1) + "\n")
    raise SystemExit(ratio > MOST or rows[1]["computed"] > 0)


def run(suite: str, folder: Path, which: str) -> dict[str, Any]:
    """Seconds that a run took, how its cells ended, and how many embeddings it computed and found."""
    command = [sys.executable, "-m", "anybind", "bench", "run", suite, "-o", str(folder / which), "--json"]
    start = time.perf_counter()
    environment = {**os.environ, "ANYBIND_STORE": str(folder / "store")}
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=environment)
    seconds = time.perf_counter() - start
    told = json.loads(ended.stdout)
    states = [cell["state"] for cell in told["cells"]]
    return {"seconds": round(seconds, 1), "cells": len(states), "done": states.count("done"), **told["embedded"]}


if __name__ == "__main__":
    main()
