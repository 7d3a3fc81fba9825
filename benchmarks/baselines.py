"""Compare EventCLIP, EventBind and heads on mini's event encoder, with 0, 1, 2 and 5 shots per class.

    python benchmarks/baselines.py --data DIR --runs FOLDER                            (make baselines DATA=DIR)

Recordings are simulated from images: Caltech101's classes that no encoder of mini was trained on, and MNIST's digits.
EventCLIP and EventBind start from mini's image encoder, which was not trained on events; `mini` is its event encoder,
trained on simulated recordings of other classes of Caltech101. Three seeds draw shots and simulations; samples that are
not shots are evaluated, n of them. Intervals are Wilson's (95 %) at the mean accuracy and the n of one seed, since the
seeds share samples. A method "gains" if its lower limit with 5 shots is above the upper limit of its own zero-shot
accuracy. Finished runs in FOLDER are reused.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

import anybind
from anybind.commandline import print_table
from anybind.plugin import Dataset, create_part, files, tables

RESULTS = Path(__file__).parent / "results" / "baselines.json"
SHOTS, SEEDS = (1, 2, 5), (0, 1, 2)
COUNTS = {"images": 20_000, "digits": 1_000}
"""Events of a slice by dataset: EventCLIP's setting for N-Caltech101; simulated digits have a few thousand events."""
LAST_LAYERS = ("image.conv_head", "image.bn2", "image.blocks.6")
EVENTBIND = {
    "method": "joint",
    "teacher": "image",
    "losses": [{"use": "triple-alignment", "temperature": 0.05}],
    "student": {"context_start": "a drafted image of a", "train": list(LAST_LAYERS)},
    "lr": 3e-4,
    "epochs": 20,
    "batch_size": 15,
    "cache_inputs": True,
}


@dataclass(frozen=True)
class Method:
    """A row of the table: a binding, the template of its zero-shot prompts, and the options of few-shot training."""

    name: str
    binding: str
    template: str
    options: Mapping[str, object] = field(default_factory=dict)


EVENTCLIP = "eventclip:mini,count={count}"
SKETCH, PHOTO = "a sketch image of a {}", "a photo of a {}"
METHODS = (
    Method("EventCLIP, text adapter", EVENTCLIP, SKETCH, {"method": "eventclip", "head_options": {"adapter": "text"}}),
    Method("EventCLIP, joint adapter", EVENTCLIP, SKETCH, {"method": "eventclip"}),
    Method("prototypes on EventCLIP's views", EVENTCLIP, SKETCH, {"method": "prototypes"}),
    Method("linear probe on EventCLIP's views", EVENTCLIP, SKETCH, {"method": "linear-probe"}),
    Method(
        "EventBind", "eventbind:mini,count={count},views=2,prompts=0,size=128", "a drafted image of a {}", EVENTBIND
    ),
    Method("prototypes on mini", "mini", PHOTO, {"method": "prototypes"}),
    Method("linear probe on mini", "mini", PHOTO, {"method": "linear-probe"}),
)


def main() -> None:
    """Evaluate all cells, print the table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with caltech101 and digits")
    parser.add_argument("--runs", type=Path, required=True, help="folder of finished cells and embeddings")
    parser.add_argument(
        "--quick", action="store_true", help="few samples and epochs, 5 shots, one seed; write only with --output"
    )
    parser.add_argument("--output", type=Path, help="JSON file to write (default: benchmarks/results/baselines.json)")
    arguments = parser.parse_args()
    shots, seeds = ((5,), SEEDS[:1]) if arguments.quick else (SHOTS, SEEDS)
    per_class = 8 if arguments.quick else 25
    rows = []
    methods = [shorten(method) if arguments.quick else method for method in METHODS]
    for dataset in open_datasets(arguments.data, per_class):
        for method in methods:
            rows += [
                summarise(dataset, method, k, [run_cell(dataset, method, k, seed, arguments) for seed in seeds])
                for k in (0, *shots)
            ]
    print_rows(rows)
    output = arguments.output or (None if arguments.quick else RESULTS)
    if output:
        with files.atomic_path(output) as path:
            path.write_text(json.dumps({"rows": rows, "seeds": list(seeds)}, indent=1) + "\n")


def shorten(method: Method) -> Method:
    """Return the method with 4 epochs where it trains an encoder."""
    options = method.options
    return replace(method, options={**options, "epochs": 4}) if "epochs" in options else method


class Digits(Dataset):
    """As many of MNIST's test digits of each class, without splits."""

    name = "digits"
    licence = "as published"

    def __init__(self, folder: Path, per_class: int) -> None:
        digits = anybind.load_dataset("spoken-digits", folder, modalities=("image",))
        items = [[item for item in digits.items if item.label == name][:per_class] for name in digits.classes]
        self.set_items([item for group in items for item in group], digits.classes)


def open_datasets(data: Path, per_class: int) -> list[Dataset]:
    """Open the images of unseen classes of Caltech101 and the digits, `per_class` of each class at most."""
    classes = tables.parse_names(f"{data / 'caltech101' / 'splits.json'}:unseen")
    limit = per_class * len(classes)
    folder = data / "caltech101" / "images"
    caltech = anybind.load_dataset("folder", folder, classes=classes, limit=limit, modalities=("image",))
    return [caltech, Digits(data / "digits", per_class)]


def run_cell(
    dataset: Dataset, method: Method, shots: int, seed: int, arguments: argparse.Namespace
) -> dict[str, float]:
    """Evaluate a method with k shots and a seed, or read its finished result: `top1` and `n`."""
    binding = method.binding.format(count=COUNTS[dataset.name])
    key = tables.hash_settings([dataset.split_hash, binding, method.template, dict(method.options), shots, seed])
    path = arguments.runs / f"{key}.json"
    if path.is_file():
        return json.loads(path.read_text())
    binder = anybind.load(binding, store=anybind.EmbeddingStore(arguments.runs / "store"))
    if shots:
        task = create_part("task", "few-shot", shots=shots, **method.options)
    else:
        task = create_part("task", "zero-shot", templates=[method.template])
    result = task.run(binder, dataset, modality="event", seed=seed)
    cell = {"top1": result.metrics["top1"], "n": result.n}
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.atomic_path(path) as temporary:
        temporary.write_text(json.dumps(cell))
    return cell


def summarise(
    dataset: Dataset, method: Method, shots: int, cells: list[dict[str, float]]
) -> dict[str, str | int | float]:
    """Average over seeds: accuracy, its standard deviation over seeds, n of one seed, and the interval."""
    top1 = np.array([cell["top1"] for cell in cells])
    n = int(min(cell["n"] for cell in cells))
    interval = binomtest(round(float(top1.mean()) * n), n).proportion_ci(method="wilson")
    return {
        "data": dataset.name,
        "method": method.name,
        "shots": shots,
        "top1": round(float(top1.mean()), 4),
        "std": round(float(top1.std(ddof=1)), 4) if len(top1) > 1 else 0.0,
        "n": n,
        "low": round(float(interval.low), 4),
        "high": round(float(interval.high), 4),
    }


def print_rows(rows: list[dict[str, str | int | float]]) -> None:
    """Print the table, and whether each method's 5 shots are better than its own zero-shot beyond the intervals."""
    cells = [
        (str(row["data"]), str(row["method"]), str(row["shots"]), f"{row['top1']:.3f} ± {row['std']:.3f}",
         f"{row['low']:.3f} to {row['high']:.3f}", str(row["n"]))
        for row in rows
    ]  # fmt: skip
    print_table(("data", "method", "shots", "top-1", "95 % interval", "n"), cells)
    before = {(row["data"], row["method"]): row for row in rows if row["shots"] == 0}
    verdicts = [
        (*key, "gains" if float(row["low"]) > float(before[key]["high"]) else "no gain beyond the interval")
        for row in rows
        if row["shots"] == 5
        for key in [(str(row["data"]), str(row["method"]))]
    ]
    print_table(("data", "method", "5 shots against 0"), verdicts)


if __name__ == "__main__":
    main()
