"""What the training engine costs over a bare loop, and what keeping the teacher's vectors saves: `make bench-train`.

The same student (mini's event tower), inputs, losses and steps, by turns in one process. The bare loop is what one
would write by hand with torch: inputs in memory, InfoNCE to kept teacher vectors, AdamW. Prints a table and writes
benchmarks/results/train.json. Ratios travel between machines, rates do not.
"""

from __future__ import annotations

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
from anybind_train.engine import Run
from anybind_train.recipe import Data, Optimiser, Recipe, Student
from anybind_train.records import Records

ROUNDS = 5
BATCH = 32
SIDE = 128
TRAINED = ("conv_stem", "bn1", "blocks.0", "blocks.1", "blocks.2", "blocks.3")


def main() -> None:
    """Measure, print and write."""
    pictures = list(list_demo_images())
    recipe = Recipe(
        name="rate",
        modality="event",
        teacher="image",
        losses=({"use": "contrastive", "temperature": 0.07, "space": "own"},),
        student=Student(train=TRAINED, input_size=SIDE),
        optimiser=Optimiser(lr=1e-4),
        data=(Data(dataset="files", path="."),),
        cache_inputs=True,
        epochs=1,
        batch_size=BATCH,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(4 * BATCH):
            (folder / "data").mkdir(exist_ok=True)
            source = pictures[number % len(pictures)]
            (folder / "data" / f"{number:03}{source.suffix}").write_bytes(source.read_bytes())
        rows = measure(recipe, folder)
    print_table(
        ("what", "n", "samples per s", "other per s", "ratio"), [tuple(map(told, row.values())) for row in rows]
    )
    results = Path(__file__).parent / "results" / "train.json"
    results.write_text(
        json.dumps({"threads": torch.get_num_threads(), "rounds": ROUNDS, "rows": rows}, indent=1) + "\n"
    )


def measure(recipe: Recipe, folder: Path) -> list[dict[str, object]]:
    """The engine against the bare loop, and with the teacher's vectors kept against without."""
    options = {"cache": folder / "cache"}
    kept = Run(recipe, folder / "data", folder / "kept", **options)
    anew = Run(recipe, folder / "data", folder / "anew", cache_teacher=False, **options)
    n = len(kept.data)
    engine, bare, slow = one_epoch(kept), bare_epoch(kept), one_epoch(anew)
    seconds = np.array([[timed(side) for side in (engine, bare, slow)] for _ in range(ROUNDS + 1)])[1:]
    middle = np.median(seconds, axis=0)
    return [
        {"what": "engine and bare loop", "n": n, "ours": n / middle[0], "other": n / middle[1],
         "ratio": statistics.median(seconds[:, 1] / seconds[:, 0])},
        {"what": "teacher kept and anew", "n": n, "ours": n / middle[0], "other": n / middle[2],
         "ratio": statistics.median(seconds[:, 2] / seconds[:, 0])},
    ]  # fmt: skip


def one_epoch(run: Run) -> Callable[[], object]:
    """An epoch by the engine, its records written as ever."""
    module, optimiser = run.fabric.setup(run.student, run.optimiser)
    records = Records(run.output, 0)

    def epoch() -> None:
        run.place.batch = 0
        run.train_epoch(0, module, optimiser, records, lambda steps, note=None: None)

    return epoch


def bare_epoch(run: Run) -> Callable[[], object]:
    """The same by hand."""
    assert run.inputs is not None
    assert run.teacher is not None
    inputs = torch.from_numpy(np.asarray(run.inputs[0], dtype=np.float32))
    teacher = torch.from_numpy(np.array(run.teacher[0]))
    student = run.student.tower.copy().module
    for name, parameter in student.named_parameters():
        parameter.requires_grad_(name.startswith(TRAINED))
    optimiser = torch.optim.AdamW([each for each in student.parameters() if each.requires_grad], lr=1e-4)

    def epoch() -> None:
        student.eval()
        for start in range(0, len(inputs), BATCH):
            batch = inputs[start : start + BATCH].contiguous(memory_format=torch.channels_last)
            vectors = functional.normalize(student(batch), dim=1)
            logits = vectors @ teacher[start : start + BATCH].T / 0.07
            loss = functional.cross_entropy(logits, torch.arange(BATCH))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    return epoch


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def told(value: object) -> str:
    """A cell of the table."""
    return f"{value:.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
