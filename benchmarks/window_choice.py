"""Compare rules for the length of windows by recognition: retrieval of the image that a recording was simulated from.

    python benchmarks/window_choice.py --data DIR                 (make window-choice; DIR: a folder with caltech101)

Four recordings of 400 ms of each of 60 images of the classes held out from the training of mini's event encoder, by
general motion over 5 to 120 % of the sensor, thresholds of .1 to .4 and background activity of 0 to 5 Hz a pixel. The
measure is the mean reciprocal rank of the image among the 60 (chance .078), by one window in the middle, and by the
mean embedding of all windows.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

import anybind
from anybind import Embeddings, load_dataset
from anybind.commandline import print_table
from anybind.plugin import create_part, files, windows
from anybind_events import window_choice
from anybind_events.stream import EventStream
from anybind_train.recipe import Recipe

RESULTS = Path(__file__).parent / "results" / "window_choice.json"
RECIPE = Path(__file__).parent / "recipes" / "mini-event.toml"
IMAGES, SEEDS = 60, 4
SIDE, DURATION_US = 128, 400_000
LENGTHS = window_choice.LENGTHS_US
FILLED = (0.3, 0.4, 0.5, 0.6, 0.7)
EVENTS_PER_PIXEL = 2.5


def main() -> None:
    """Simulate, embed, print the table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with caltech101")
    parser.add_argument("--images", type=int, default=IMAGES, help=f"number of images (default: {IMAGES})")
    parser.add_argument("--output", type=Path, default=RESULTS, help="JSON file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    probe = Recipe.from_toml(RECIPE).probe
    assert probe is not None
    dataset = load_dataset("folder", arguments.data / probe.path, classes=probe.classes, limit=arguments.images)
    images = [anybind.read(item.source) for item in dataset.items]
    streams = [simulate(image, number * SEEDS + seed) for number, image in enumerate(images) for seed in range(SEEDS)]
    binder = anybind.load("mini")
    gallery = binder.embed("image", images)
    truth = np.repeat(np.arange(len(images)), SEEDS)
    encoders: dict[str, Callable[[Sequence[EventStream]], Embeddings]] = {
        "mini": lambda cut: binder.embed("event", cut),
        "image encoder, red and blue events": lambda cut: binder.embed("image", draw(cut, "red-blue")),
        "image encoder, gray events": lambda cut: binder.embed("image", draw(cut, "gray-frame")),
    }
    rows: dict[str, dict[str, float]] = {}
    chosen = choose_lengths(streams)
    for encoder, embed in encoders.items():
        ranks = np.stack([rank(embed([cut_middle(each, us) for each in streams]), gallery, truth) for us in LENGTHS])
        for rule, numbers in chosen.items():
            rows.setdefault(rule, {})[encoder] = round(float(ranks[numbers, np.arange(len(truth))].mean()), 3)
        rows.setdefault("best window of each recording", {})[encoder] = round(float(ranks.max(axis=0).mean()), 3)
    for window in ("whole", "100ms", "auto"):
        options = windows.WindowOptions(window=window)
        means = [each.average() for each in windows.embed_windows(binder, "event", streams, options)]
        value = float(rank(anybind.concatenate(means), gallery, truth).mean())
        rows[f"all windows: {window}"] = {"mini": round(value, 3)}
    print_table(
        ("window", *encoders), [(rule, *(str(row.get(name, "-")) for name in encoders)) for rule, row in rows.items()]
    )
    with files.atomic_path(arguments.output) as path:
        path.write_text(json.dumps({"recordings": len(streams), "images": len(images), "rows": rows}, indent=1) + "\n")


def simulate(image: np.ndarray, seed: int) -> EventStream:
    """Simulate a recording of random motion; half of them show the image as an object on a plain background."""
    rng = np.random.default_rng(seed)
    pasted = rng.random() < 0.5
    return anybind.derive(
        "event",
        image,
        seed=seed,
        model="motion",
        width=SIDE,
        height=SIDE,
        duration_us=DURATION_US,
        amplitude=float(SIDE * np.exp(rng.uniform(np.log(0.05), np.log(1.2)))),
        background="plain" if pasted else "full",
        object_scale=float(rng.uniform(0.4, 1)) if pasted else 1.0,
        speed=str(rng.choice(["constant", "eased", "random", "oscillating"])),
        threshold=float(rng.uniform(0.1, 0.4)),
        mismatch=0.03,
        shot_hz=float(rng.uniform(0, 5)),
    )


def choose_lengths(streams: Sequence[EventStream]) -> dict[str, np.ndarray]:
    """Return the number of the length that each rule chooses for each recording, (recordings,)."""
    rules = {f"fixed, {us // 1000} ms": np.full(len(streams), number) for number, us in enumerate(LENGTHS)}
    rules[f"{EVENTS_PER_PIXEL} events per active pixel"] = np.array([count_to_length(each) for each in streams])
    default = window_choice.FILLED
    try:
        for filled in FILLED:
            window_choice.FILLED = filled
            lengths = [LENGTHS.index(window_choice.choose_window(stream)) for stream in streams]
            rules["auto" if filled == default else f"auto, filled {filled}"] = np.array(lengths)
    finally:
        window_choice.FILLED = default
    return rules


def count_to_length(stream: EventStream) -> int:
    """Return the number of the first length with enough events per active pixel, in the middle; else the last."""
    for number, us in enumerate(LENGTHS):
        window = cut_middle(stream, us)
        if len(window) >= EVENTS_PER_PIXEL * np.unique(window.y.astype(np.int64) * SIDE + window.x).size:
            return number
    return len(LENGTHS) - 1


def cut_middle(stream: EventStream, length_us: int) -> EventStream:
    """Return the window in the middle of a recording."""
    start = (DURATION_US - length_us) // 2
    return stream.between(start, start + length_us)


def draw(streams: Sequence[EventStream], representation: str) -> list[np.ndarray]:
    """Draw events as images, uint8 (height, width, 3)."""
    frames = create_part("representation", representation).batch(streams)
    pixels = np.rint(255 * np.broadcast_to(frames, (len(frames), 3, *frames.shape[2:]))).astype(np.uint8)
    return list(np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)))


def rank(queries: Embeddings, gallery: Embeddings, truth: np.ndarray) -> np.ndarray:
    """Return the reciprocal rank of the true image for each query, (queries,)."""
    scores = queries @ gallery
    own = scores[np.arange(len(truth)), truth]
    return 1 / (1 + (scores > own[:, None]).sum(axis=1))


if __name__ == "__main__":
    main()
