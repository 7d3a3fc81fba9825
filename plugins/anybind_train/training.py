"""Training an encoder, or a classifier on frozen embeddings, by a recipe."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anybind import EmbeddingStore
from anybind_train.devices import make_fabric
from anybind_train.engine import TrainingRun
from anybind_train.linear_probe import train_linear_probe
from anybind_train.recipe import Recipe
from anybind_train.student import load_student_binder


@dataclass(frozen=True)
class TrainingResult:
    """What a training run gave.

    Attributes:
        weights: file of the last epoch's weights, or of the linear probe's head.
        encoder: identity of the trained encoder.
        metrics: the last probe's metrics; empty without a probe.
        main_metric: the metric that picks the best epoch; empty without a probe.
        record: everything, JSON-like, as `result.json` in the run's folder holds it: hashes of recipe and data, numbers
            of samples, classes, epochs and steps, and all probes.
    """

    weights: Path
    encoder: str
    metrics: Mapping[str, float]
    main_metric: str
    record: Mapping[str, Any] = field(repr=False)


def train(
    recipe: str | os.PathLike[str] | Recipe,
    data: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    resume: bool = False,
    teacher_cache: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    devices: int = 1,
    nodes: int = 1,
    strategy: str = "auto",
    store: EmbeddingStore | None = None,
) -> TrainingResult:
    """Train an encoder into a frozen space, by a recipe; an interrupted run is resumed bit-exactly.

    Args:
        recipe: a TOML file, or a recipe.
        data: the folder that the recipe's paths lie below.
        output: the run's folder, made if missing: weights, state, metrics, curves, `result.json`.
        changes: `KEY=VALUE` texts over a file's values, for example `epochs=5`.
        seed: in place of the seed of a recipe's file.
        resume: continue the interrupted run in `output`.
        cache: folder of cached teacher embeddings and inputs. [default: `output/cache`]
        device: torch device, `cpu`, `cuda`, `mps`, or `auto`.
        devices: processes on each machine, one a device.
        nodes: machines.
        store: where embeddings of teachers and probes are looked up and stored. [default: nowhere]
        strategy: as Lightning Fabric names it: `auto`, `ddp`, `fsdp`, ...

    Returns:
        the result; with several processes, each returns it.

    Raises:
        BadInput: the recipe or the data cannot be read, `resume` without a run, or a loss that is not finite (the last
            good state is kept).
        BadOption: an invalid value in the recipe, or `output` holds a run and `resume` is not given.
        UnknownName, SpaceMismatch: a part of the recipe is not there or does not fit.
    """
    over = [*overrides, *([] if seed is None else [f"seed={seed}"])]
    config = recipe if isinstance(recipe, Recipe) else Recipe.from_toml(Path(recipe), over)
    folder, output = Path(data), Path(output)
    if config.student.method == "linear-probe":
        record = train_linear_probe(
            config, folder, output, device, load_student_binder(config, device).with_store(store)
        )
        return TrainingResult(Path(record["weights"]), record["encoder"], {"top1": record["top1"]}, "top1", record)
    fabric = make_fabric(config.precision, device, devices=devices, num_nodes=nodes, strategy=strategy)
    fabric.launch()
    run = TrainingRun(
        config,
        folder,
        output,
        teacher_cache=None if teacher_cache is None else Path(teacher_cache),
        store=store,
        fabric=fabric,
        resume=resume,
    )
    record = run.execute()
    last = record["probes"][-1] if record["probes"] else {}
    metrics = {name: value for name, value in last.items() if name != "epoch"}
    return TrainingResult(Path(record["weights"]), record["encoder"], metrics, run.metric, record)
