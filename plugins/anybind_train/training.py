"""Training an encoder, or a classifier on frozen embeddings, by a recipe."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anybind import EmbeddingStore
from anybind.plugin import BadInput, BadOption, files
from anybind_train.devices import explain_lost_process, make_fabric
from anybind_train.engine import TrainingRun
from anybind_train.linear_probe import train_linear_probe
from anybind_train.recipe import Recipe
from anybind_train.student import load_student_binder


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training run.

    Attributes:
        weights: file of the last epoch's weights, or of the linear probe's head.
        encoder: identity of the trained encoder.
        metrics: the last probe's metrics; empty without a probe.
        main_metric: the metric that selects the best epoch; empty without a probe.
        record: `result.json` of the run's folder, JSON-like: hashes of recipe and data, numbers of samples, classes,
            epochs and steps, all probes, and samples that were left out (`skipped`, errors by id).
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
        data: the folder that the recipe's paths are relative to.
        output: the run's folder, created if missing: weights, state, metrics, curves, `result.json`.
        overrides: `KEY=VALUE` texts that override the keys of a recipe file, for example `epochs=5`.
        seed: overrides the seed of a recipe file.
        resume: resume the interrupted run in `output`.
        teacher_cache: folder of cached teacher embeddings and student inputs. [default: `output/cache`]
        device: torch device: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto`.
        devices: processes on each machine, one a device.
        nodes: machines.
        strategy: a strategy of Lightning Fabric: `auto`, `ddp`, `fsdp`, ...
        store: where embeddings of teachers and probes are looked up and stored. [default: nowhere]

    Returns:
        the result; with several processes, each returns it.

    Raises:
        BadInput: the recipe or the data cannot be read, `resume` without a run, or a loss that is not finite (the last
            good state is kept), or another process of the run has ended.
        BadOption: an invalid value in the recipe, or `output` has a run and `resume` is not given.
        UnknownName, SpaceMismatch: a part of the recipe is not installed, or does not fit.
    """
    if not isinstance(recipe, Recipe):
        recipe = Recipe.from_toml(Path(recipe), [*overrides, *([] if seed is None else [f"seed={seed}"])])
    folder, output = Path(data), Path(output)
    if recipe.student.method == "linear-probe":
        if (output / "result.json").is_file():
            raise BadOption(f"{output}: contains a run; choose another folder")
        binder = load_student_binder(recipe, device).with_store(store)
        with _lock_folder(output):
            record = train_linear_probe(recipe, folder, output, device, binder)
        return TrainingResult(Path(record["weights"]), record["encoder"], {"top1": record["top1"]}, "top1", record)
    fabric = make_fabric(recipe.precision, device, devices=devices, num_nodes=nodes, strategy=strategy)
    fabric.launch()
    with _lock_folder(output) if fabric.is_global_zero else nullcontext(), explain_lost_process():
        run = TrainingRun(
            recipe,
            folder,
            output,
            teacher_cache=None if teacher_cache is None else Path(teacher_cache),
            store=store,
            fabric=fabric,
            resume=resume,
        )
        record = run.execute()
    metrics = {name: value for name, value in (record["probes"] or [{}])[-1].items() if name != "epoch"}
    return TrainingResult(Path(record["weights"]), record["encoder"], metrics, run.metric, record)


@contextmanager
def _lock_folder(output: Path) -> Iterator[None]:
    """Lock a run's folder; raise `BadInput` if another process trains into it."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)  # where the lock is
    except OSError as error:
        raise BadInput(f"{output}: cannot create the folder ({error.strerror})") from error
    with files.lock_output(output):
        yield
