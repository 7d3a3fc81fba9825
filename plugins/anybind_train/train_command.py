"""`anybind train`: see `anybind_train.train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import AsJson, StoreFlag, open_store, print_json, print_table
from anybind.plugin import ranks
from anybind_train.training import train as train_by_recipe


def train(
    recipe: Annotated[Path, typer.Argument(help="A recipe, TOML.")],
    data: Annotated[Path, typer.Option(help="The folder that the recipe's paths lie below.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run: weights, metrics, picture.")],
    change: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE over the recipe's; repeatable.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of the recipe's seed.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run in that folder stopped.")] = False,
    cache: Annotated[Path | None, typer.Option(help="Where teacher vectors are kept; OUTPUT/cache by default.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, mps or auto.")] = "cpu",
    devices: Annotated[int, typer.Option(min=1, help="Processes, one a device.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines.")] = 1,
    strategy: Annotated[str, typer.Option(help="As Lightning Fabric names it: auto, ddp, fsdp, ...")] = "auto",
    store: StoreFlag = True,
    as_json: AsJson = False,
) -> None:
    """Train an encoder into a frozen space, by a recipe."""
    result = train_by_recipe(
        recipe, data, output, overrides=change or (), seed=seed, resume=resume, teacher_cache=cache, device=device,
        devices=devices, nodes=nodes, strategy=strategy, store=open_store(store),
    )  # fmt: skip
    if ranks.get_rank():
        return
    record, metric = result.record, result.main_metric
    if as_json:
        print_json(record)
    elif not record.get("steps"):
        typer.echo(f"{output}: {metric} {result.metrics[metric]:.4f}")
    else:
        rows = [(str(probe["epoch"]), f"{probe[metric]:.4f}") for probe in record["probes"]]
        print_table(("epoch", f"probe: {metric}"), rows, f"{record['recipe']}: {record['steps']} steps")
        typer.echo(f"{output}: weights, metrics.jsonl, training.png")
