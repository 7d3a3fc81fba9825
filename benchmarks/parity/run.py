"""Our towers beside upstream's own code on the same weights and recordings: `make parity`.

A family of towers is two files here. `FAMILY_ours.py` has

    inputs(folder, data)   writes what both sides read: recordings as arrays, no pickles
    rows(folder)           a `Row` for everything compared, from our side's results and what upstream wrote
    NOTE                   if there is more to know: a paragraph for the family's part of the page

and `FAMILY_upstream.py FOLDER` runs in between, in an environment that has upstream's packages and none of ours: it
makes random weights from a fixed seed, and writes them and what upstream makes of the inputs, as safetensors, and
`versions.json`, versions by package. Then docs/reference/parity.md is written from the last
run of every family. The exit code is 1 if a difference exceeds the tolerance. ImageBind's weights take 5 GB of disk
space and 6 GB of memory during the run.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anybind.commandline import print_table
from anybind.plugin import files

TOLERANCE = 1e-5
HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULTS = ROOT / "benchmarks" / "results"
INTRODUCTION = """# Parity with upstream

`make parity` runs upstream's packages in a separate environment and our encoders in ours, on the same random weights
and samples ([why](../explanation/upstream-packages.md)), and compares preprocessed inputs and unit embeddings. Cells:
the largest absolute difference over n samples; in brackets, for scale, the median over pairs of samples of the largest
difference between the two. Above {tolerance:g} the run fails. Written by the last run."""


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        tower: which tower.
        what: what was compared.
        n: samples.
        difference: largest absolute difference between ours and upstream's.
        apart: median over pairs of samples of the largest absolute difference between the two.
        tolerance: of the difference; None where it is only reported.
    """

    tower: str
    what: str
    n: int
    difference: float
    apart: float
    tolerance: float | None = TOLERANCE

    @classmethod
    def of(cls, tower: str, what: str, ours: Any, theirs: Any, *, tolerance: float | None = TOLERANCE) -> Row:
        """The row of two arrays of one shape, samples first."""
        ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
        if ours.shape != theirs.shape:
            raise SystemExit(f"{tower}, {what}: ours has the shape {ours.shape}, upstream's {theirs.shape}")
        difference = float(np.abs(ours - theirs).max())  # NaN on either side stays NaN, which is not within
        pairs = [np.abs(a - b).max() for number, a in enumerate(theirs) for b in theirs[:number]]
        return cls(tower, what, len(ours), difference, float(np.median(pairs)), tolerance)

    @property
    def passes(self) -> bool:
        """Whether the difference is within the tolerance."""
        return self.tolerance is None or self.difference <= self.tolerance


def main() -> None:
    """Run the families that are asked for, print, and write."""
    known = sorted(path.name.removesuffix("_ours.py") for path in HERE.glob("*_ours.py"))
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=f"of {', '.join(known)}; default: all")
    parser.add_argument("--data", type=Path, required=True, help="folder with esc10, rgbd and caltech101")
    parser.add_argument("--upstream", type=Path, required=True, help="Python of the environment of upstream's packages")
    parser.add_argument("--keep", type=Path, help="folder for weights and tensors; default: one that is removed")
    options = parser.parse_args()
    if unknown := sorted(set(options.families) - set(known)):
        parser.error(f"no family {', '.join(unknown)}; there are {', '.join(known)}")
    torch.set_num_threads(1)
    reports = [run(family, options.data, options.upstream, options.keep) for family in options.families or known]
    write_docs()
    if not all(row.passes for rows in reports for row in rows):
        sys.exit(1)


def run(family: str, data: Path, upstream: Path, keep: Path | None) -> list[Row]:
    """One family: inputs, upstream's results, ours, and the comparison, which is printed and kept as JSON."""
    folder = keep / family if keep else Path(tempfile.mkdtemp(prefix=f"parity-{family}-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        ours = importlib.import_module(f"{family}_ours")
        ours.inputs(folder, data)
        environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        environment.pop("PYTHONPATH", None)
        subprocess.run([upstream, HERE / f"{family}_upstream.py", folder], env=environment, check=True)
        rows: list[Row] = ours.rows(folder)
        versions = json.loads((folder / "versions.json").read_text())
    finally:
        if keep is None:
            shutil.rmtree(folder)
    print_table(HEAD, [cells(asdict(row)) for row in rows])
    mine = {package: version(package) for package in ("anybind", "torch", "numpy", "pillow")}
    note = " ".join(getattr(ours, "NOTE", "").split())
    report = {"note": note, "upstream": versions, "ours": mine, "rows": [asdict(row) for row in rows]}
    with files.atomic_path(RESULTS / f"parity_{family}.json") as path:
        path.write_text(json.dumps(report, indent=1) + "\n")
    return rows


SIDES = ("upstream", "ours")
COMPARED = ("preprocessed", "embedding")
HEAD = ("tower", "compared", "n", "difference", "apart", "")


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A row as texts."""
    read = Row(**row)
    verdict = "reported only" if read.tolerance is None else "within" if read.passes else "ABOVE"
    return read.tower, read.what, str(read.n), f"{read.difference:.1e}", f"{read.apart:.1e}", verdict


def write_docs() -> None:
    """Write docs/reference/parity.md from the last run of every family."""
    parts = [INTRODUCTION.format(tolerance=TOLERANCE)]
    for path in sorted(RESULTS.glob("parity_*.json")):
        report = json.loads(path.read_text())
        by_encoder: dict[str, dict[str, Row]] = {}
        for row in (Row(**fields) for fields in report["rows"]):
            by_encoder.setdefault(row.tower, {})[row.what] = row
        table = [("encoder", "n", *COMPARED, ""), ("---", "---:", "---:", "---:", "---")]
        for encoder, rows in by_encoder.items():
            numbers = (f"{rows[what].difference:.1e} ({rows[what].apart:.1e})" for what in COMPARED)
            verdicts = {cells(asdict(row))[-1] for row in rows.values()}
            table.append((encoder, str(rows[COMPARED[0]].n), *numbers, min(verdicts)))  # "ABOVE" comes first
        parts.append(f"\n## {path.stem.removeprefix('parity_')}\n")
        parts += [textwrap.fill(report["note"], 120), ""] if report["note"] else []
        parts += [textwrap.fill(f"{side.capitalize()}: {listed(report[side])}.", 120) + "\n" for side in SIDES]
        parts += ["| " + " | ".join(row) + " |" for row in table]
    with files.atomic_path(ROOT / "docs" / "reference" / "parity.md") as path:
        path.write_text("\n".join(parts) + "\n")


def listed(versions: dict[str, str]) -> str:
    """Packages and their versions in one line."""
    return ", ".join(f"{package} {each}" for package, each in sorted(versions.items()))


if __name__ == "__main__":
    sys.modules["run"] = sys.modules["__main__"]  # so that the families' `from run import Row` is this very class
    main()
