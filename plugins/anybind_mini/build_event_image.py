"""Train the network of mini's event representation on images and their simulated recordings, and write its weights.

    python -m anybind_mini.build_event_image --data DIR [--output FILE]

DIR contains `caltech101` (seen classes in its `splits.json`) and `imagenet_samples`. The first stage fits pixels:
the image's gray values and their differences. The second one fits the features of mini's frozen image encoder. Every
tenth seen class is held out for model selection; the unseen classes are never read.
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
"""Side in pixels of the training crops."""
VERSIONS = 2
PIXEL_STEPS, PIXEL_BATCH, PIXEL_RATE = 1500, 16, 2e-3
FEATURE_STEPS, FEATURE_BATCH, FEATURE_RATE = 900, 32, 1e-3
TEMPERATURE = 0.07


@dataclass
class TrainingExamples:
    """Crops of recordings, (n, 6, 160, 160) int8, and of their images, (n, 160, 160) uint8."""

    slices: np.ndarray
    gray: np.ndarray

    def get_batch(self, numbers: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return slices in [-1, 1] and images, (n, 1, 160, 160), in [0, 1]."""
        slices = torch.from_numpy(self.slices[numbers]).float() / 127
        gray = torch.from_numpy(self.gray[numbers]).float()[:, None] / 255
        return slices.contiguous(memory_format=torch.channels_last), gray


def list_training_images(data: Path) -> list[Path]:
    """List the training images: seen classes except every tenth, and ImageNet's samples."""
    seen = sorted(tables.read_json(data / "caltech101" / "splits.json")["seen"])
    folders = [data / "caltech101" / "images" / name for name in seen if name not in seen[3::10]]
    return [path for folder in (*folders, data / "imagenet_samples") for path in sorted(folder.glob("*.jpg"))]


def make_examples(images: list[Path]) -> TrainingExamples:
    """Make two versions of every image, with different crops, sensors and saccades."""
    versions = [(path, number, version) for version in range(VERSIONS) for number, path in enumerate(images)]
    n = len(versions)
    examples = TrainingExamples(np.zeros((n, N_SLICES, SIDE, SIDE), np.int8), np.zeros((n, SIDE, SIDE), np.uint8))
    with ThreadPoolExecutor() as pool, progress_bar(n, "recordings") as advance:
        for row, (slices, gray) in enumerate(pool.map(lambda version: make_example(*version), versions)):
            examples.slices[row], examples.gray[row] = slices, gray
            advance(1)
    has_edges = examples.gray.reshape(n, -1).std(axis=1) > 0  # a uniform crop has no events
    return TrainingExamples(examples.slices[has_edges], examples.gray[has_edges])


def make_example(path: Path, number: int, version: int) -> tuple[np.ndarray, np.ndarray]:
    """Make a crop of a recording and the same crop of its image."""
    random = np.random.default_rng((number, version))
    seed = int(random.integers(1 << 30))
    modality: Any = modalities.find_modality("image")
    image = modality.augment(read(path), seed=seed, crop=(0.6, 1.0), flip=True)
    recording = derive("event", image, seed=int(random.integers(1 << 30)), vary=True)
    slices = prepare_slices(create_part("representation", "signed-slices", parts=N_SLICES)(recording)).numpy()
    height, width = slices.shape[1:]
    gray = PIL.Image.fromarray(image).convert("L").resize((width, height), PIL.Image.Resampling.BICUBIC)
    left, top = (int(random.integers(0, side - SIDE + 1)) for side in (width, height))
    window = (slice(top, top + SIDE), slice(left, left + SIDE))
    return np.rint(127 * slices[:, *window]).astype(np.int8), np.asarray(gray)[window]


def compute_pixel_loss(output: torch.Tensor, gray: torch.Tensor) -> torch.Tensor:
    """Compute the mean absolute error of gray values, plus half that of their differences over 1, 2 and 4 pixels."""
    error = output - gray
    loss = error.abs().mean()
    for step in (1, 2, 4):
        for axis in (2, 3):
            count = error.shape[axis] - step
            loss = loss + 0.5 * (error.narrow(axis, step, count) - error.narrow(axis, 0, count)).abs().mean()
    return loss


class FrozenImageEncoder:
    """Mini's frozen image encoder on gray images in [0, 1]: unit features, with gradients."""

    def __init__(self) -> None:
        self.module = MiniImageEncoder().module.eval().requires_grad_(False)

    def __call__(self, gray: torch.Tensor, side: int) -> torch.Tensor:
        """Resize (n, 1, h, w) to a side and embed it: (n, 1280)."""
        if gray.shape[-1] != side:
            gray = functional.interpolate(gray, (side, side), mode="bicubic", antialias=True, align_corners=False)
        signed = (2 * gray.clamp(0, 1) - 1).expand(-1, 3, -1, -1)
        return functional.normalize(self.module(signed.contiguous(memory_format=torch.channels_last)))


def train_on_pixels(net: ReconstructionNet, examples: TrainingExamples) -> None:
    """Train the first stage."""
    random = np.random.default_rng(0)
    step = make_step(net, PIXEL_RATE, PIXEL_STEPS)
    with progress_bar(PIXEL_STEPS, "pixels") as advance:
        for _ in range(PIXEL_STEPS):
            slices, gray = examples.get_batch(random.integers(0, len(examples.gray), PIXEL_BATCH))
            advance(1, f"loss {step(compute_pixel_loss(net(slices), gray)):.3f}")


def train_on_features(net: ReconstructionNet, examples: TrainingExamples) -> None:
    """Train the second stage: 2 (1 - cosine) + 0.5 InfoNCE + 0.5 pixel loss."""
    encoder = FrozenImageEncoder()
    with torch.inference_mode():
        blocks = np.array_split(np.arange(len(examples.gray)), len(examples.gray) // 64 + 1)
        targets = torch.cat([encoder(examples.get_batch(numbers)[1], 224) for numbers in blocks]).numpy()
    random = np.random.default_rng(1)
    step = make_step(net, FEATURE_RATE, FEATURE_STEPS)
    with progress_bar(FEATURE_STEPS, "features") as advance:
        for _ in range(FEATURE_STEPS):
            numbers = random.choice(len(examples.gray), FEATURE_BATCH, replace=False)
            slices, gray = examples.get_batch(numbers)
            output = net(slices)
            features, target = encoder(output, SIDE), torch.from_numpy(targets[numbers])
            cosine = (features * target).sum(dim=1).mean()
            info_nce = functional.cross_entropy(features @ target.T / TEMPERATURE, torch.arange(len(numbers)))
            step(2 * (1 - cosine) + 0.5 * info_nce + 0.5 * compute_pixel_loss(output, gray))
            advance(1, f"cosine {float(cosine.detach()):.3f}")


def make_step(net: ReconstructionNet, rate: float, steps: int):
    """Make a function that runs one step of AdamW on a one-cycle schedule and returns the loss's value."""
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of caltech101 and imagenet_samples")
    parser.add_argument("--output", type=Path, default=FILE, help="weight file to write")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    examples = make_examples(list_training_images(arguments.data))
    net = ReconstructionNet().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    train_on_pixels(net, examples)
    train_on_features(net, examples)
    save_net(net, arguments.output, len(examples.gray))


def save_net(net: ReconstructionNet, path: Path, examples: int) -> None:
    """Write the network's weights, float16, with their training settings."""
    card = {"parts": N_SLICES, "short_side": SHORT_SIDE, "examples": examples, "steps": [PIXEL_STEPS, FEATURE_STEPS]}
    tensors.write_tensors(path, {name: tensor.half() for name, tensor in net.state_dict().items()}, card)


if __name__ == "__main__":
    main()
