"""Trains the network of `mini-picture` on pictures and their simulated recordings, and writes its file.

    python -m anybind_mini.build_event_image --data DIR [--output FILE]           (make mini-picture DATA=DIR)

DIR holds `caltech101` (its `splits.json` names the classes that may be seen) and `imagenet_samples`. First the network
learns pixels: the picture's gray values and their differences. Then it learns what mini's image tower, frozen, says of
the picture. Every tenth seen class is left out, for choosing; the unseen classes are never read.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch.nn import functional

from anybind import derive, read
from anybind.plugin import create_part, modalities, progress_bar, tables, tensors
from anybind_mini.event_image import FILE, SHORT_SIDE, prepare_slices
from anybind_mini.image_encoder import MiniImageEncoder
from anybind_mini.reconstruction_net import N_SLICES, ReconstructionNet

SIDE = 160
"""Of the squares that are cut out of recordings and pictures for training."""
VERSIONS = 2
PIXEL_STEPS, PIXEL_BATCH, PIXEL_RATE = 1500, 16, 2e-3
FEATURE_STEPS, FEATURE_BATCH, FEATURE_RATE = 900, 32, 1e-3
TEMPERATURE = 0.07


@dataclass
class TrainingExamples:
    """Squares of recordings, (n, 6, 160, 160) int8, and of the pictures behind them, (n, 160, 160) uint8."""

    slices: np.ndarray
    gray: np.ndarray

    def get_batch(self, numbers: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Slices in [-1, 1] and pictures, (n, 1, 160, 160), in [0, 1]."""
        slices = torch.from_numpy(self.slices[numbers]).float() / 127
        gray = torch.from_numpy(self.gray[numbers]).float()[:, None] / 255
        return slices.contiguous(memory_format=torch.channels_last), gray


def list_training_images(data: Path) -> list[Path]:
    """The pictures to learn from: seen classes less every tenth, and ImageNet's samples."""
    seen = sorted(tables.read_json(data / "caltech101" / "splits.json")["seen"])
    folders = [data / "caltech101" / "images" / name for name in seen if name not in seen[3::10]]
    return [path for folder in (*folders, data / "imagenet_samples") for path in sorted(folder.glob("*.jpg"))]


def make_examples(pictures: list[Path]) -> TrainingExamples:
    """Every picture in two versions: other crops, other sensors, other saccades."""
    places = [(path, number, version) for version in range(VERSIONS) for number, path in enumerate(pictures)]
    examples = TrainingExamples(
        np.zeros((len(places), N_SLICES, SIDE, SIDE), np.int8), np.zeros((len(places), SIDE, SIDE), np.uint8)
    )
    with ThreadPoolExecutor() as pool, progress_bar(len(places), "recordings") as advance:
        for at, (slices, gray) in enumerate(pool.map(lambda place: make_example(*place), places)):
            examples.slices[at], examples.gray[at] = slices, gray
            advance(1)
    kept = examples.gray.reshape(len(places), -1).std(axis=1) > 0  # of an even picture there is nothing to learn
    return TrainingExamples(examples.slices[kept], examples.gray[kept])


def make_example(path: Path, number: int, version: int) -> tuple[np.ndarray, np.ndarray]:
    """A square of a recording and of its picture, cut at the same place."""
    random = np.random.default_rng((number, version))
    seed = int(random.integers(1 << 30))
    image: Any = modalities.find_modality("image")
    picture = image.augment(read(path), seed=seed, crop=(0.6, 1.0), flip=True)
    recording = derive("event", picture, seed=int(random.integers(1 << 30)), vary=True)
    slices = prepare_slices(create_part("representation", "signed-slices", parts=N_SLICES)(recording)).numpy()
    height, width = slices.shape[1:]
    gray = PIL.Image.fromarray(picture).convert("L").resize((width, height), PIL.Image.Resampling.BICUBIC)
    left, top = (int(random.integers(0, side - SIDE + 1)) for side in (width, height))
    window = (slice(top, top + SIDE), slice(left, left + SIDE))
    return np.rint(127 * slices[:, *window]).astype(np.int8), np.asarray(gray)[window]


def compute_pixel_loss(made: torch.Tensor, gray: torch.Tensor) -> torch.Tensor:
    """Mean absolute error of gray values, and half of that of their differences over 1, 2 and 4 pixels."""
    loss = (made - gray).abs().mean()
    for step in (1, 2, 4):
        for axis in (2, 3):
            count = made.shape[axis] - step
            later, sooner = (picture.narrow(axis, step, count) for picture in (made, gray))
            loss = (
                loss
                + 0.5 * ((later - made.narrow(axis, 0, count)) - (sooner - gray.narrow(axis, 0, count))).abs().mean()
            )
    return loss


class FrozenImageEncoder:
    """Mini's image tower, frozen, on gray pictures in [0, 1]: unit features, with gradients."""

    def __init__(self) -> None:
        self.module = MiniImageEncoder().module.eval().requires_grad_(False)

    def __call__(self, gray: torch.Tensor, side: int) -> torch.Tensor:
        """(n, 1, h, w) scaled to a side, to (n, 1280)."""
        if gray.shape[-1] != side:
            gray = functional.interpolate(gray, (side, side), mode="bicubic", antialias=True, align_corners=False)
        signed = (2 * gray.clamp(0, 1) - 1).expand(-1, 3, -1, -1)
        return functional.normalize(self.module(signed.contiguous(memory_format=torch.channels_last)))


def train_on_pixels(net: ReconstructionNet, examples: TrainingExamples) -> None:
    """The first stage."""
    random = np.random.default_rng(0)
    step = make_step(net, PIXEL_RATE, PIXEL_STEPS)
    with progress_bar(PIXEL_STEPS, "pixels") as advance:
        for _ in range(PIXEL_STEPS):
            slices, gray = examples.get_batch(random.integers(0, len(examples.gray), PIXEL_BATCH))
            advance(1, f"loss {step(compute_pixel_loss(net(slices), gray)):.3f}")


def train_on_features(net: ReconstructionNet, examples: TrainingExamples) -> None:
    """The second stage: 2 (1 - cosine) + 0.5 InfoNCE + 0.5 pixels."""
    tower = FrozenImageEncoder()
    with torch.inference_mode():
        parts = np.array_split(np.arange(len(examples.gray)), len(examples.gray) // 64 + 1)
        taught = torch.cat([tower(examples.get_batch(numbers)[1], 224) for numbers in parts]).numpy()
    random = np.random.default_rng(1)
    step = make_step(net, FEATURE_RATE, FEATURE_STEPS)
    with progress_bar(FEATURE_STEPS, "features") as advance:
        for _ in range(FEATURE_STEPS):
            numbers = random.choice(len(examples.gray), FEATURE_BATCH, replace=False)
            slices, gray = examples.get_batch(numbers)
            made = net(slices)
            vectors, wanted = tower(made, SIDE), torch.from_numpy(taught[numbers])
            cosine = (vectors * wanted).sum(dim=1).mean()
            named = functional.cross_entropy(vectors @ wanted.T / TEMPERATURE, torch.arange(len(numbers)))
            step(2 * (1 - cosine) + 0.5 * named + 0.5 * compute_pixel_loss(made, gray))
            advance(1, f"cosine {float(cosine.detach()):.3f}")


def make_step(net: ReconstructionNet, rate: float, steps: int):
    """A function that takes a loss, makes one step of AdamW on a one-cycle schedule, and gives the loss's value."""
    adam = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, rate, total_steps=steps, pct_start=0.1)

    def step(loss: torch.Tensor) -> float:
        adam.zero_grad()
        loss.backward()
        adam.step()
        schedule.step()
        return float(loss.detach())

    return step


def main() -> None:
    """Train, and write the file, float16."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=FILE)
    given = parser.parse_args()
    torch.manual_seed(0)
    examples = make_examples(list_training_images(given.data))
    net = ReconstructionNet().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    train_on_pixels(net, examples)
    train_on_features(net, examples)
    save_net(net, given.output, len(examples.gray))


def save_net(net: ReconstructionNet, path: Path, examples: int) -> None:
    """Write the network's weights, float16, and what they were made with."""
    card = {"parts": N_SLICES, "short_side": SHORT_SIDE, "examples": examples, "steps": [PIXEL_STEPS, FEATURE_STEPS]}
    tensors.write_tensors(path, {name: tensor.half() for name, tensor in net.state_dict().items()}, card)


if __name__ == "__main__":
    main()
