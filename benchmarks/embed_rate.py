"""Measure the overhead of embedding through a binding over the bare encoder.

    python benchmarks/embed_rate.py [--quick] [--output FILE]                               (make bench-embed)

Both embed the same files with the same torch model, alternating in one process; the bare loop is plain Pillow, timm's
transform and batches of 32, without threads. Ratios are comparable between machines, rates are not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import torch

import anybind
from anybind.commandline import print_table
from anybind.torch_encoder import TorchEncoder
from anybind_classification.demo_images import list_demo_images

RESULTS = Path(__file__).parent / "results" / "embed.json"
ROUNDS, QUICK_ROUNDS = 7, 1
FILES, TEXTS = 160, 512
BATCH = 32


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of few samples; write only with --output")
    parser.add_argument("--output", type=Path, help="JSON file to write (default: benchmarks/results/embed.json)")
    arguments = parser.parse_args()
    rounds = QUICK_ROUNDS if arguments.quick else ROUNDS
    binder = anybind.load("mini")
    n_images, n_texts = (20, 32) if arguments.quick else (FILES, TEXTS)
    images = list(list_demo_images()) * (n_images // 10)
    texts = [f"a photo of a thing number {number}" for number in range(n_texts)]
    contests = {
        "images from files": (lambda: binder.embed("image", images), lambda: embed_images(binder, images), n_images),
        "texts": (lambda: binder.embed("text", texts), lambda: embed_texts(binder, texts), n_texts),
    }
    rows = [{"what": what, **compare_rates(*contest, rounds)} for what, contest in contests.items()]
    print_table(
        ("samples", "n", "binder, 1/s", "bare loop, 1/s", "ratio"),
        [(r["what"], str(r["n"]), f"{r['binder']:.0f}", f"{r['bare']:.0f}", f"{r['ratio']:.2f}") for r in rows],
    )
    output = arguments.output or (None if arguments.quick else RESULTS)
    if output:
        record = {"threads": torch.get_num_threads(), "rounds": rounds, "rows": rows}
        output.write_text(json.dumps(record, indent=1) + "\n")


def compare_rates(binder: Callable[[], object], bare: Callable[[], object], n: int, rounds: int) -> dict[str, float]:
    """Measure the median rates of both, alternating after one warm-up round, and the median of the ratios."""
    seconds = np.array([[measure_seconds(binder), measure_seconds(bare)] for _ in range(rounds + 1)])[1:]
    ratio = statistics.median(seconds[:, 1] / seconds[:, 0])
    return {"n": n, "binder": n / np.median(seconds[:, 0]), "bare": n / np.median(seconds[:, 1]), "ratio": ratio}


def measure_seconds(call: Callable[[], object]) -> float:
    """Measure the seconds of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def embed_images(binder: anybind.Binder, paths: list[Path]) -> np.ndarray:
    """Decode, transform and embed in batches, then adapt."""
    encoder = binder.encoder("image")
    assert isinstance(encoder, TorchEncoder)
    features = []
    with torch.inference_mode():
        for start in range(0, len(paths), BATCH):
            images = [PIL.Image.open(path).convert("RGB") for path in paths[start : start + BATCH]]
            batch = torch.stack([encoder.preprocess(np.asarray(image)) for image in images])
            features.append(encoder.module(batch.contiguous(memory_format=torch.channels_last)).numpy())
    return binder.route("image")[0].map(anybind.normalize(np.concatenate(features)))


def embed_texts(binder: anybind.Binder, texts: list[str]) -> np.ndarray:
    """Tokenise and embed in batches."""
    encoder = binder.encoder("text")
    assert isinstance(encoder, TorchEncoder)
    features = []
    with torch.inference_mode():
        for start in range(0, len(texts), BATCH):
            batch = encoder.collate([encoder.preprocess(text) for text in texts[start : start + BATCH]])
            features.append(encoder.module(batch).numpy())
    return anybind.normalize(np.concatenate(features))


if __name__ == "__main__":
    main()
