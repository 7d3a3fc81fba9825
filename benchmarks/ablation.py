"""Figure 4 of the paper with mini's towers: zero-shot accuracy on unseen classes, with each loss left out in turn.

    python benchmarks/ablation.py --data DIR --output FOLDER [--set KEY=VALUE ...]     (make ablation DATA=DIR)

DIR holds what benchmarks/recipes/mini-event.toml names. Every arm runs for several seeds, as a recipe of its own in
FOLDER, and goes on where it was interrupted. Writes benchmarks/results/ablation.json and docs/images/ablation.png.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from anybind.commandline import print_table
from anybind.plugin import files
from anybind_train.ablation_task import build_arms
from anybind_train.engine import STATE, TrainingRun
from anybind_train.recipe import Recipe

HERE = Path(__file__).parent
SEEDS = (0, 1, 2)
SMALLER = ("epochs=4", "variants=1", "student.input_size=128", "probe.every=1")
"""What is changed in the recipe so that twelve runs end within an hour on two cores."""


def main() -> None:
    """Run what is missing, then draw and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], dest="changes")
    given = parser.parse_args()
    changes = [*SMALLER, *given.changes]
    whole = Recipe.from_toml(HERE / "recipes" / "mini-event.toml", changes)
    curves = {arm: [run(recipe, seed, given) for seed in SEEDS] for arm, recipe in build_arms(whole).items()}
    rows = [summary(arm, probes) for arm, probes in curves.items()]
    columns = ("losses", "seeds", "before", "after", "spread of seeds", "best epoch")
    print_table(columns, [tuple(map(str, row.values())) for row in rows])
    draw(curves, HERE.parent / "docs" / "images" / "ablation.png")
    with files.atomic_path(HERE / "results" / "ablation.json") as path:
        held = {"changes": changes, "seeds": SEEDS, "rows": rows, "curves": curves}
        path.write_text(json.dumps(held, indent=1) + "\n")


def run(recipe: Recipe, seed: int, given: Any) -> list[dict[str, float]]:
    """The probes of one run: those of its result where it has ended, else it runs, or goes on."""
    recipe = dataclasses.replace(recipe, seed=seed)
    folder = given.output / recipe.hash
    ended = folder / "result.json"
    if not ended.is_file():
        resume = (folder / STATE).is_file()
        TrainingRun(recipe, given.data, folder, teacher_cache=given.output / "cache", resume=resume).execute()
    return json.loads(ended.read_text())["probes"]


def summary(arm: str, probes: list[list[dict[str, float]]]) -> dict[str, Any]:
    """Mean over seeds before and after training, standard deviation over seeds, and the best epoch of the mean."""
    top1 = np.array([[probe["top1"] for probe in of_seed] for of_seed in probes])
    return {
        "losses": arm,
        "seeds": len(probes),
        "before": round(float(top1[:, 0].mean()), 3),
        "after": round(float(top1[:, -1].mean()), 3),
        "spread": round(float(top1[:, -1].std(ddof=1)), 3),
        "best_epoch": int(top1.mean(axis=0).argmax()),
    }


def draw(curves: dict[str, list[list[dict[str, float]]]], path: Path) -> None:
    """One line an arm: the mean over seeds by epoch, and a band from the lowest seed to the highest."""
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(7.5, 4.5), layout="constrained")
    for arm, probes in curves.items():
        top1 = np.array([[probe["top1"] for probe in of_seed] for of_seed in probes])
        epochs = [int(probe["epoch"]) for probe in probes[0]]
        (line,) = axis.plot(epochs, top1.mean(axis=0), marker="o", label=arm)
        axis.fill_between(epochs, top1.min(axis=0), top1.max(axis=0), alpha=0.12, color=line.get_color())
    axis.set(xlabel="epoch (0: untrained copy)", ylabel="top-1, unseen classes", title="Each loss left out in turn")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.legend(frameon=False)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    with files.atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130, format="png")


if __name__ == "__main__":
    main()
