"""What embedding through a binding costs over the bare tower: `make bench-embed`.

Both embed the same files on the same torch model in one process, by turns; the bare loop is what one would write by
hand with Pillow, timm's transform and batches of 32, without threads. Prints a table and writes
benchmarks/results/embed.json. Ratios travel between machines, rates do not.
"""

from __future__ import annotations

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

ROUNDS = 7
FILES = 160
TEXTS = 512
BATCH = 32


def main() -> None:
    """Measure, print and write."""
    binder = anybind.load("mini")
    pictures = list(list_demo_images()) * (FILES // 10)
    words = [f"a photo of a thing number {number}" for number in range(TEXTS)]
    contests = {
        "pictures from files": (
            lambda: binder.embed("image", pictures),
            lambda: bare_pictures(binder, pictures),
            FILES,
        ),
        "texts": (lambda: binder.embed("text", words), lambda: bare_texts(binder, words), TEXTS),
    }
    rows = [{"what": what, **contest(*sides)} for what, sides in contests.items()]
    print_table(
        ("what", "n", "binder per s", "bare loop per s", "ratio"),
        [(r["what"], str(r["n"]), f"{r['binder']:.0f}", f"{r['bare']:.0f}", f"{r['ratio']:.2f}") for r in rows],
    )
    results = Path(__file__).parent / "results" / "embed.json"
    results.write_text(
        json.dumps({"threads": torch.get_num_threads(), "rounds": ROUNDS, "rows": rows}, indent=1) + "\n"
    )


def contest(ours: Callable[[], object], bare: Callable[[], object], n: int) -> dict[str, float]:
    """Median rates of both, taken by turns after one round that does not count, and the median of the ratios."""
    seconds = np.array([[timed(ours), timed(bare)] for _ in range(ROUNDS + 1)])[1:]
    ratio = statistics.median(seconds[:, 1] / seconds[:, 0])
    return {"n": n, "binder": n / np.median(seconds[:, 0]), "bare": n / np.median(seconds[:, 1]), "ratio": ratio}


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def bare_pictures(binder: anybind.Binder, paths: list[Path]) -> np.ndarray:
    """Decode, transform and embed, batch by batch, then adapt."""
    tower = binder.encoder("image")
    assert isinstance(tower, TorchEncoder)
    found = []
    with torch.inference_mode():
        for start in range(0, len(paths), BATCH):
            opened = [PIL.Image.open(path).convert("RGB") for path in paths[start : start + BATCH]]
            batch = torch.stack([tower.preprocess(np.asarray(picture)) for picture in opened])
            found.append(tower.module(batch.contiguous(memory_format=torch.channels_last)).numpy())
    return binder.route("image")[0].map(anybind.normalize(np.concatenate(found)))


def bare_texts(binder: anybind.Binder, texts: list[str]) -> np.ndarray:
    """Tokenise and embed, batch by batch."""
    tower = binder.encoder("text")
    assert isinstance(tower, TorchEncoder)
    found = []
    with torch.inference_mode():
        for start in range(0, len(texts), BATCH):
            batch = tower.collate([tower.preprocess(text) for text in texts[start : start + BATCH]])
            found.append(tower.module(batch).numpy())
    return anybind.normalize(np.concatenate(found))


if __name__ == "__main__":
    main()
