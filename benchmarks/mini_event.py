"""Evaluate an event encoder of mini on simulated recordings of Caltech101: saccades, general motion, noise.

    python benchmarks/mini_event.py --data DIR [--classes unseen] [--run RUN --recipe FILE] [--output FILE]

Zero-shot top-1 of images and of recordings simulated from them, among the classes' own names and among all 85:

* saccades: the default simulation; `noisy saccades` have as many random events on top;
* motion: general motion at 128x128 pixels, background activity of 5 Hz a pixel, thresholds of .1 to .4, objects of .3
  to .9 of the sensor; the mean embedding of three windows of 100 ms.

`held-out` are the classes of the recipe's probe, on which settings are chosen; `unseen` are those of splits.json, which
are evaluated at the end. Intervals are Wilson's (95 %).
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from scipy.stats import binomtest

import anybind
from anybind import Binder
from anybind.commandline import print_table
from anybind.plugin import files, prompts
from anybind_events.stream import EventStream
from anybind_train.recipe import Recipe
from anybind_train.student import load_student_binder

RECIPE = Path(__file__).parent / "recipes" / "mini-event.toml"
WINDOW_US, N_WINDOWS = 100_000, 3
Recording = Callable[[np.ndarray, int], list[EventStream]]


def main() -> None:
    """Evaluate, print the table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with caltech101")
    parser.add_argument("--classes", choices=("held-out", "unseen"), default="held-out")
    parser.add_argument("--run", type=Path, help="weights of a training run (default: the shipped ones)")
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="recipe of that run, and of the held-out classes")
    parser.add_argument("--limit", type=int, default=0, help="images of each class (default: all)")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    recipe = Recipe.from_toml(arguments.recipe)
    binder = anybind.load("mini")
    if arguments.run:
        binder = load_student_binder(recipe, "cpu")
        binder.encoder("event").load_weights(arguments.run)  # pyright: ignore[reportAttributeAccessIssue]
    splits = json.loads((arguments.data / "caltech101" / "splits.json").read_text())
    folder = arguments.data / "caltech101" / "images"
    names = sorted(path.name for path in folder.iterdir())
    assert recipe.probe is not None
    classes = list(recipe.probe.classes) if arguments.classes == "held-out" else sorted(splits["unseen"])
    paths = [path for name in classes for path in sorted((folder / name).glob("*.jpg"))[: arguments.limit or None]]
    rows, milliseconds = evaluate(binder, paths, names, classes)
    print_table(
        ("samples", "n", f"top-1 of {len(classes)}", f"of {len(names)}", "cosine to image"),
        [format_row(row) for row in rows],
        f"{arguments.classes} classes; {milliseconds:.1f} ms a recording, preprocessing included, one thread",
    )  # fmt: skip
    if arguments.output:
        with files.atomic_path(arguments.output) as path:
            path.write_text(
                json.dumps({"classes": classes, "milliseconds": milliseconds, "rows": rows}, indent=1) + "\n"
            )


def evaluate(
    binder: Binder, paths: list[Path], names: list[str], classes: list[str]
) -> tuple[list[dict[str, object]], float]:
    """Compute the rows of the table, and the median milliseconds of embedding a recording."""
    templates = prompts.choose_templates(binder, "text", None)
    class_names = [prompts.format_class_name(name) for name in names]
    texts = np.asarray(prompts.embed_class_names(binder, "text", class_names, templates))
    own = [names.index(name) for name in classes]
    truth = np.array([names.index(path.parent.name) for path in paths])
    images = [anybind.read(path) for path in paths]
    image_rows = embed(binder, "image", images)
    embeddings, durations = {"images": image_rows}, []
    for kind, simulate in RECORDINGS.items():
        rows = []
        for number, image in enumerate(images):
            recordings = [each for each in simulate(image, number) if len(each)]
            start = time.perf_counter()
            row = embed(binder, "event", recordings).mean(axis=0)
            durations.append((time.perf_counter() - start) / len(recordings))
            rows.append(row / np.linalg.norm(row))
        embeddings[kind] = np.array(rows)
    table: list[dict[str, object]] = []
    for kind, rows in embeddings.items():
        scores = rows @ texts.T
        own_hits = int((np.array(own)[scores[:, own].argmax(axis=1)] == truth).sum())
        all_hits = int((scores.argmax(axis=1) == truth).sum())
        table.append(
            {
                "samples": kind,
                "n": len(rows),
                "own": compute_rate(own_hits, len(rows)),
                "all": compute_rate(all_hits, len(rows)),
                "cosine": float((rows * image_rows).sum(axis=1).mean()),
            }
        )
    return table, 1e3 * float(np.median(durations))


def embed(binder: Binder, modality: str, samples: list) -> np.ndarray:
    """Embed samples one by one, so that no batch mixes sizes: (n, d)."""
    return np.concatenate([np.asarray(binder.embed(modality, [each])) for each in samples])


def simulate_saccades(image: np.ndarray, seed: int) -> list[EventStream]:
    """Simulate the default recording of an image."""
    return [anybind.derive("event", image, source="image", seed=seed)]


def simulate_noisy_saccades(image: np.ndarray, seed: int) -> list[EventStream]:
    """Add as many random events to the default recording as it has."""
    stream, rng = simulate_saccades(image, seed)[0], np.random.default_rng(seed)
    count = len(stream)
    x = np.concatenate([stream.x, rng.integers(stream.width, size=count).astype(np.uint16)])
    y = np.concatenate([stream.y, rng.integers(stream.height, size=count).astype(np.uint16)])
    t = np.concatenate([stream.t, rng.integers(int(stream.t[0]), int(stream.t[-1]) + 1, size=count)])
    p = np.concatenate([stream.p, rng.random(count) < 0.5])
    order = np.argsort(t, kind="stable")
    return [EventStream(x[order], y[order], t[order], p[order], stream.width, stream.height)]


def simulate_motion(image: np.ndarray, seed: int) -> list[EventStream]:
    """Simulate general motion of an object, and split it into windows."""
    scale = float(np.random.default_rng(seed).uniform(0.3, 0.9))
    stream = anybind.derive(
        "event", image, source="image", seed=seed, model="motion", vary=True, width=128, height=128,
        background="plain", object_scale=scale, shot_hz=5.0, dark_ratio=1.0, duration_us=N_WINDOWS * WINDOW_US,
    )  # fmt: skip
    edges = np.searchsorted(stream.t, [WINDOW_US * number for number in range(N_WINDOWS + 1)])
    return [stream.slice_events(int(first), int(last)) for first, last in itertools.pairwise(edges)]


RECORDINGS: dict[str, Recording] = {
    "saccades": simulate_saccades,
    "noisy saccades": simulate_noisy_saccades,
    "motion": simulate_motion,
}


def compute_rate(hits: int, n: int) -> list[float]:
    """Compute a rate with its 95 % interval."""
    interval = binomtest(hits, n).proportion_ci(method="wilson")
    return [round(value, 4) for value in (hits / n, interval.low, interval.high)]


def format_row(row: Mapping[str, object]) -> tuple[str, ...]:
    """Format a row of the table."""
    rates = format_rate(row["own"]), format_rate(row["all"])
    return str(row["samples"]), str(row["n"]), *rates, f"{row['cosine']:.3f}"


def format_rate(rate: object) -> str:
    """Format a rate with its interval."""
    mean, low, high = rate  # pyright: ignore[reportGeneralTypeIssues]
    return f"{mean:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
