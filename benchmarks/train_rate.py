"""Measure the overhead of the training engine over a bare loop, and the effect of cached teacher embeddings.

    python benchmarks/train_rate.py [--quick] [--output FILE]                               (make bench-train)

Student (mini's event encoder), inputs, losses and steps are the same; the runs alternate in one process. The bare loop
is plain torch: inputs in memory, InfoNCE to cached teacher embeddings, AdamW. Ratios are comparable between machines,
rates are not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from anybind.commandline import print_table
from anybind_classification.demo_images import list_demo_images
from anybind_train.engine import TrainingRun
from anybind_train.metrics_log import MetricsLog
from anybind_train.recipe import DatasetConfig, OptimiserConfig, Recipe, StudentConfig

RESULTS = Path(__file__).parent / "results" / "train.json"
ROUNDS, QUICK_ROUNDS = 5, 1
BATCH = 32
SIDE = 128
TRAINED = ("conv_stem", "bn1", "blocks.0", "blocks.1", "blocks.2", "blocks.3")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of one batch; write only with --output")
    parser.add_argument("--output", type=Path, help="JSON file to write (default: benchmarks/results/train.json)")
    arguments = parser.parse_args()
    rounds = QUICK_ROUNDS if arguments.quick else ROUNDS
    images = list(list_demo_images())
    recipe = Recipe(
        name="rate",
        modality="event",
        teacher="image",
        losses=({"use": "contrastive", "temperature": 0.07, "space": "own"},),
        student=StudentConfig(train=TRAINED, input_size=SIDE),
        optimiser=OptimiserConfig(lr=1e-4),
        data=(DatasetConfig(dataset="files", path="."),),
        cache_inputs=True,
        epochs=1,
        batch_size=BATCH,
    )
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "data"
        data.mkdir()
        for number in range(BATCH if arguments.quick else 4 * BATCH):
            source = images[number % len(images)]
            (data / f"{number:03}{source.suffix}").write_bytes(source.read_bytes())
        rows = measure(recipe, data, Path(name), rounds)
    cells = [tuple(f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row.values()) for row in rows]
    print_table(("comparison", "samples", "engine, 1/s", "other, 1/s", "ratio"), cells)
    output = arguments.output or (None if arguments.quick else RESULTS)
    if output:
        record = {"threads": torch.get_num_threads(), "rounds": rounds, "rows": rows}
        output.write_text(json.dumps(record, indent=1) + "\n")


def measure(recipe: Recipe, data: Path, folder: Path, rounds: int) -> list[dict[str, object]]:
    """Compare the engine with the bare loop, and cached teacher embeddings with fresh ones."""
    cache = folder / "cache"
    cached = TrainingRun(recipe, data, folder / "cached", teacher_cache=cache)
    fresh = TrainingRun(recipe, data, folder / "fresh", teacher_cache=cache, cache_teacher=False)
    n = len(cached.data)
    contestants = make_epoch(cached), make_bare_epoch(cached), make_epoch(fresh)
    # The first round warms up caches and allocators and is not counted.
    seconds = np.array([[measure_seconds(epoch) for epoch in contestants] for _ in range(rounds + 1)])[1:]
    median = np.median(seconds, axis=0)
    return [
        {"what": what, "n": n, "ours": n / median[0], "other": n / median[column],
         "ratio": statistics.median(seconds[:, column] / seconds[:, 0])}
        for what, column in (("engine vs bare loop", 1), ("cached vs fresh teacher", 2))
    ]  # fmt: skip


def make_epoch(run: TrainingRun) -> Callable[[], object]:
    """Make a function that trains an epoch with the engine, its log included."""
    module, optimiser = run.fabric.setup(run.student, run.optimiser)
    log = MetricsLog(run.output, 0)

    def train_epoch() -> None:
        run.progress.batch = 0
        run.train_epoch(0, module, optimiser, log, lambda steps, note=None: None)

    return train_epoch


def make_bare_epoch(run: TrainingRun) -> Callable[[], object]:
    """Make a function that trains the same epoch in plain torch."""
    assert run.inputs is not None
    assert run.teacher_embeddings is not None
    inputs = torch.from_numpy(np.asarray(run.inputs[0], dtype=np.float32))
    teacher = torch.from_numpy(np.array(run.teacher_embeddings[0]))
    student = run.student.encoder.copy().module
    for name, parameter in student.named_parameters():
        parameter.requires_grad_(name.startswith(TRAINED))
    optimiser = torch.optim.AdamW([each for each in student.parameters() if each.requires_grad], lr=1e-4)

    def train_epoch() -> None:
        student.eval()
        for start in range(0, len(inputs), BATCH):
            batch = inputs[start : start + BATCH].contiguous(memory_format=torch.channels_last)
            embeddings = functional.normalize(student(batch), dim=1)
            logits = embeddings @ teacher[start : start + BATCH].T / 0.07
            loss = functional.cross_entropy(logits, torch.arange(BATCH))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    return train_epoch


def measure_seconds(call: Callable[[], object]) -> float:
    """Measure the seconds of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
