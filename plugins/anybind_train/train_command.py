"""`anybind train`: see `anybind_train.train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import AsJson, SkippedFiles, StoreFlag, open_store, print_json, print_table, print_text
from anybind.plugin import ranks

INTERRUPTED = 130
"""Exit code of a run that Ctrl-C ended."""


def train(
    recipe: Annotated[Path, typer.Argument(help="Recipe, a TOML file.")],
    data: Annotated[Path, typer.Option(help="Folder that the recipe's paths are relative to.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run: weights, state, metrics, curves.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override a recipe key: KEY=VALUE; repeatable.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of all randomness. [default: the recipe's]", show_default=False)
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the interrupted run in OUTPUT.")] = False,
    teacher_cache: Annotated[
        Path | None, typer.Option(help="Folder of cached teacher embeddings. [default: OUTPUT/cache]")
    ] = None,
    device: Annotated[str, typer.Option(help="Torch device: cpu, cuda, cuda:1, mps, or auto.")] = "cpu",
    devices: Annotated[int, typer.Option(min=1, help="Processes on each machine, one a device.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines.")] = 1,
    strategy: Annotated[str, typer.Option(help="Strategy of Lightning Fabric: auto, ddp, fsdp, ...")] = "auto",
    store: StoreFlag = True,
    as_json: AsJson = False,
) -> None:
    """Train an encoder into a frozen embedding space, by a recipe.

    Exit codes: 0 if the run is finished, 2 for invalid arguments or input, 130 if interrupted.
    """
    from anybind_train.training import train as train_from_recipe  # imports torch

    try:
        result = train_from_recipe(
            recipe, data, output, overrides=overrides or (), seed=seed, resume=resume, teacher_cache=teacher_cache,
            device=device, devices=devices, nodes=nodes, strategy=strategy, store=open_store(store),
        )  # fmt: skip
    except KeyboardInterrupt:
        if not ranks.get_rank():
            saved = (output / "state.safetensors").is_file()
            hint = "repeat the command with --resume to resume it" if saved else "no state was saved yet"
            print_text(f"interrupted: {output}: {hint}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    if ranks.get_rank():
        return
    record, metric = result.record, result.main_metric
    SkippedFiles(record["skipped"]).report()
    if as_json:
        print_json(record)
    elif not record.get("steps"):
        print_text(f"{output}: {metric} {result.metrics[metric]:.4f}")
    else:
        rows = [(str(probe["epoch"]), f"{probe[metric]:.4f}") for probe in record["probes"]]
        print_table(("epoch", f"probe: {metric}"), rows, f"{record['recipe']}: {record['steps']} steps")
        print_text(f"{output}: weights, metrics.jsonl, training.png")
