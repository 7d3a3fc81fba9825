"""`anybind train`: run a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import AsJson, StoreFlag, open_store, print_json, print_table
from anybind_train.devices import make_fabric
from anybind_train.engine import Run
from anybind_train.linear_probe import linear_probe
from anybind_train.recipe import Recipe
from anybind_train.student import student_binder


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
    changes = [*(change or []), *([] if seed is None else [f"seed={seed}"])]
    plan = Recipe.from_toml(recipe, changes)
    if plan.student.method == "linear-probe":
        binder = student_binder(plan, device).with_store(open_store(store))
        result = linear_probe(plan, data, output, device, binder)
        print_json(result) if as_json else typer.echo(f"{output}: top1 {result['top1']:.4f}")
        return
    fabric = make_fabric(plan.precision, device, devices=devices, num_nodes=nodes, strategy=strategy)
    fabric.launch()
    run = Run(plan, data, output, cache=cache, store=open_store(store), fabric=fabric, resume=resume)
    result = run.go()
    if not fabric.is_global_zero:
        return
    if as_json:
        print_json(result)
    else:
        rows = [(str(probe["epoch"]), f"{probe[run.metric]:.4f}") for probe in result["probes"]]
        print_table(("epoch", f"probe: {run.metric}"), rows, f"{plan.name}: {result['steps']} steps")
        typer.echo(f"{output}: weights, metrics.jsonl, training.png")
