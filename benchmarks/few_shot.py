"""Compare few-shot methods on classes unseen by mini's event encoder: fine-tuning, prompts and a linear probe.

    python benchmarks/few_shot.py --data DIR --runs FOLDER                            (make few-shot DATA=DIR)

1, 2 and 5 shots, three seeds each; samples that are not shots are evaluated. The recipe is
benchmarks/recipes/mini-few-shot.toml. Finished runs in FOLDER are reused.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from anybind.commandline import print_table
from anybind.plugin import files
from anybind_train.engine import TrainingRun
from anybind_train.linear_probe import train_linear_probe
from anybind_train.recipe import Recipe

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "few_shot.json"
SHOTS, SEEDS = (1, 2, 5), (0, 1, 2)
METHODS = ("full", "prompts", "linear-probe")
QUICK_OVERRIDES = ("epochs=1", "probe.limit=60")


def main() -> None:
    """Train all runs, print the table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with caltech101")
    parser.add_argument("--runs", type=Path, required=True, help="folder of the training runs")
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS, help="methods (default: all)")
    parser.add_argument("--quick", action="store_true", help="1 shot, two short runs; write only with --output")
    parser.add_argument("--output", type=Path, help="JSON file to write (default: benchmarks/results/few_shot.json)")
    arguments = parser.parse_args()
    all_shots, seeds, overrides = (SHOTS[:1], SEEDS[:2], QUICK_OVERRIDES) if arguments.quick else (SHOTS, SEEDS, ())
    rows = []
    for shots in all_shots:
        for method in arguments.methods:
            results = [train_run(method, shots, seed, overrides, arguments.data, arguments.runs) for seed in seeds]
            probes = [result.get("probes", [result]) for result in results]
            top1 = np.array([run[-1]["top1"] for run in probes])
            zero_shot = [run[0]["top1"] for run in probes if len(run) > 1]
            rows.append(
                {
                    "shots": shots,
                    "method": method,
                    "before": round(float(np.mean(zero_shot)), 3) if zero_shot else None,
                    "top1": round(float(top1.mean()), 3),
                    "spread": round(float(top1.std(ddof=1)), 3),
                    "seeds": list(seeds),
                }
            )
    cells = [
        tuple("-" if row[name] is None else str(row[name]) for name in ("shots", "method", "before", "top1", "spread"))
        for row in rows
    ]
    print_table(("shots", "method", "zero-shot", "top-1", "std over seeds"), cells)
    output = arguments.output or (None if arguments.quick else RESULTS)
    if output:
        with files.atomic_path(output) as path:
            path.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


def train_run(method: str, shots: int, seed: int, overrides: tuple[str, ...], data: Path, runs: Path) -> dict[str, Any]:
    """Train a run, or reuse a finished one; return its result."""
    overrides = (f"student.method={method}", f"data.0.shots={shots}", f"seed={seed}", *overrides)
    if method == "prompts":
        overrides += ("optimiser.lr=5e-3", "student.train=[]")
    recipe = Recipe.from_toml(HERE / "recipes" / "mini-few-shot.toml", overrides)
    folder = runs / f"{method}-{shots}-{seed}"
    if not (folder / "result.json").is_file():
        if method == "linear-probe":
            return dict(train_linear_probe(recipe, data, folder, "cpu"))
        return dict(TrainingRun(recipe, data, folder, teacher_cache=runs / "cache").execute())
    return json.loads((folder / "result.json").read_text())


if __name__ == "__main__":
    main()
