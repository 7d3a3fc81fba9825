"""Run the loss ablation of the paper (Fig. 4) with mini's encoders: zero-shot accuracy on unseen classes.

    python benchmarks/ablation.py --data DIR --runs FOLDER [--set KEY=VALUE ...]       (make ablation DATA=DIR)

DIR is the data folder of benchmarks/recipes/mini-event.toml. The losses are those of the preset `paper`. The arms are
all losses with Eq. 3 as printed, its other reading, all but one loss, and the momentum update of Eq. 4. Every arm is
trained with several seeds, each run in a subfolder of FOLDER; interrupted runs are resumed, finished ones reused.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
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
RESULTS, FIGURE = HERE / "results" / "ablation.json", HERE.parent / "docs" / "images" / "ablation.png"
SEEDS = (0, 1, 2)
OVERRIDES = (
    "losses=paper", "epochs=3", "variants=1", "derive_each_epoch=false", "cache_inputs=true", "student.input_size=96",
    "data.0.limit=700", "data.1.limit=500", "probe.every=3", "probe.limit=0",
)  # fmt: skip
"""Overrides of the recipe, so that the eighteen runs take less than an hour on two cores."""
N_DATASETS = 2
"""The labelled datasets of the recipe, which come first; clip art has no class names."""
QUICK_OVERRIDES = ("epochs=1", "data.0.limit=96", "probe.limit=40")
MOMENTUM_ARM = "momentum target"
MOMENTUM: dict[str, Any] = {"momentum_target": 0.9, "lr": 1.0, "weight_decay": 0.0, "schedule": "constant"}
"""The update of Eq. 4, for which the paper prints no m. The gradient is the plain one, so that the weights stay within
lr times the gradient of the image encoder's: a learning rate of AdamW would not move them, and a schedule to 0 would
return them to the image encoder.
"""


def main() -> None:
    """Train the missing runs, print the table, write results and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with caltech101 and imagenet_samples")
    parser.add_argument("--runs", type=Path, required=True, help="folder of the training runs")
    parser.add_argument("--set", action="append", default=[], dest="overrides", help="KEY=VALUE of the recipe")
    parser.add_argument("--quick", action="store_true", help="two short runs an arm; write only with --output")
    parser.add_argument(
        "--output", type=Path, help="JSON file to write, figure beside it (default: benchmarks/results/ablation.json)"
    )
    arguments = parser.parse_args()
    overrides = [*OVERRIDES, *(QUICK_OVERRIDES if arguments.quick else ()), *arguments.overrides]
    seeds = SEEDS[:2] if arguments.quick else SEEDS
    recipe = Recipe.from_toml(HERE / "recipes" / "mini-event.toml", overrides)
    recipe = dataclasses.replace(recipe, data=recipe.data[: 1 if arguments.quick else N_DATASETS])
    curves: dict[str, list[list[dict[str, float]]]] = {}
    for seed in seeds:  # all arms of a seed share the cached inputs, and are comparable after each seed
        for arm, each in build_all_arms(recipe).items():
            curves.setdefault(arm, []).append(train_arm(arm, each, seed, arguments.data, arguments.runs))
    rows = [summarise(arm, probes) for arm, probes in curves.items()]
    columns = ("losses", "seeds", "before", "after", "std", "best epoch")
    print_table(columns, [format_cells(row) for row in rows])
    output = arguments.output or (None if arguments.quick else RESULTS)
    if output:
        with files.atomic_path(output) as path:
            record = {"overrides": overrides, "momentum": MOMENTUM, "seeds": seeds, "rows": rows, "curves": curves}
            path.write_text(json.dumps(record, indent=1) + "\n")
        draw_curves(curves, FIGURE if output == RESULTS else output.with_suffix(".png"))


def build_all_arms(recipe: Recipe) -> dict[str, Recipe]:
    """Build the arms of `loss-ablation`, and the one with the momentum update."""
    arms = build_arms(recipe)
    full = next(iter(arms.values()))
    optimiser = dataclasses.replace(full.optimiser, **MOMENTUM)
    return {**arms, MOMENTUM_ARM: dataclasses.replace(full, optimiser=optimiser)}


def train_arm(arm: str, recipe: Recipe, seed: int, data: Path, runs: Path) -> list[dict[str, float]]:
    """Train with a seed, or resume or reuse the run; print its duration and return its probes."""
    recipe = dataclasses.replace(recipe, seed=seed)
    folder = runs / recipe.hash
    result = folder / "result.json"
    if not result.is_file():
        start = time.perf_counter()
        resume = (folder / STATE).is_file()
        TrainingRun(recipe, data, folder, teacher_cache=runs / "cache", resume=resume).execute()
        print(f"{arm}, seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
    return json.loads(result.read_text())["probes"]


def summarise(arm: str, probes: list[list[dict[str, float]]]) -> dict[str, Any]:
    """Compute mean top-1 before and after training, its standard deviation over seeds, and the best epoch."""
    top1 = np.array([[probe["top1"] for probe in run] for run in probes])
    return {
        "losses": arm,
        "seeds": len(probes),
        "before": round(float(top1[:, 0].mean()), 3),
        "after": round(float(top1[:, -1].mean()), 3),
        "spread": round(float(top1[:, -1].std(ddof=1)), 3),
        "best_epoch": int(probes[0][int(top1.mean(axis=0).argmax())]["epoch"]),
    }


def format_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Format a row of the table."""
    return tuple(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row.values())


def draw_curves(curves: dict[str, list[list[dict[str, float]]]], path: Path) -> None:
    """Plot a line per arm: the mean over seeds by epoch, with a band from the lowest to the highest seed."""
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(7.5, 4.5), layout="constrained")
    for arm, probes in curves.items():
        top1 = np.array([[probe["top1"] for probe in run] for run in probes])
        epochs = [int(probe["epoch"]) for probe in probes[0]]
        (line,) = axis.plot(epochs, top1.mean(axis=0), marker="o", label=arm)
        axis.fill_between(epochs, top1.min(axis=0), top1.max(axis=0), alpha=0.12, color=line.get_color())
    axis.set(xlabel="epoch (0: untrained copy)", ylabel="top-1, unseen classes", title="Loss ablation")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.legend(frameon=False)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    with files.atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130, format="png")


if __name__ == "__main__":
    main()
