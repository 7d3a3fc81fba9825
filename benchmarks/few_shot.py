"""Few-shot learning on classes that mini's event tower never saw: fine-tuning against a linear probe on the tower.

    python benchmarks/few_shot.py --data DIR --output FOLDER                            (make few-shot DATA=DIR)

For 1, 2 and 5 shots and three seeds each; the samples that are not shots are asked about. The recipe is
benchmarks/recipes/mini-few-shot.toml. Writes benchmarks/results/few_shot.json.
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
SHOTS, SEEDS = (1, 2, 5), (0, 1, 2)
METHODS = ("full", "prompts", "linear-probe")


def main() -> None:
    """Run all, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    given = parser.parse_args()
    rows = []
    for shots in SHOTS:
        for method in given.methods:
            results = [ask(method, shots, seed, given) for seed in SEEDS]
            probes = [result.get("probes", [result]) for result in results]
            top1 = np.array([each[-1]["top1"] for each in probes])
            before = [each[0]["top1"] for each in probes if len(each) > 1]
            rows.append(
                {
                    "shots": shots,
                    "method": method,
                    "before": round(float(np.mean(before)), 3) if before else None,
                    "top1": round(float(top1.mean()), 3),
                    "spread": round(float(top1.std(ddof=1)), 3),
                    "seeds": list(SEEDS),
                }
            )
    cells = [tuple(str(row[name]) for name in ("shots", "method", "before", "top1", "spread")) for row in rows]
    print_table(("shots", "method", "zero-shot", "top-1", "spread of seeds"), cells)
    with files.atomic_path(HERE / "results" / "few_shot.json") as path:
        path.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


def ask(method: str, shots: int, seed: int, given: Any) -> dict[str, Any]:
    """The result of one run; one that has ended is read."""
    changes = [f"student.method={method}", f"data.0.shots={shots}", f"seed={seed}"]
    if method == "prompts":
        changes += ["optimiser.lr=5e-3", "student.train=[]"]
    recipe = Recipe.from_toml(HERE / "recipes" / "mini-few-shot.toml", changes)
    folder = given.output / f"{method}-{shots}-{seed}"
    if not (folder / "result.json").is_file():
        if method == "linear-probe":
            return train_linear_probe(recipe, given.data, folder, "cpu")
        return TrainingRun(recipe, given.data, folder, teacher_cache=given.output / "cache").execute()
    return json.loads((folder / "result.json").read_text())


if __name__ == "__main__":
    main()
