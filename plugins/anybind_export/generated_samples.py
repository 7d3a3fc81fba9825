"""Samples for the measurement of an export without samples of the user: random, and the same on every machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import PIL.Image

from anybind import derive
from anybind.plugin import BadOption, ModalitySpec, find_part, modalities, readers

CLASS_NAMES = (
    "airplane", "apple", "backpack", "ball", "banana", "barn", "bear", "bee", "bicycle", "boat", "book", "bottle",
    "bridge", "bus", "butterfly", "cake", "camera", "candle", "car", "castle", "cat", "chair", "clock", "cloud",
    "computer", "cow", "crab", "crocodile", "cup", "dog", "dolphin", "door", "drum", "duck", "elephant", "eye", "fish",
    "flower", "frog", "giraffe", "glass", "guitar", "hammer", "hat", "helicopter", "horse", "house", "key", "lamp",
    "leaf", "lion", "lobster", "monkey", "moon", "motorcycle", "mountain", "mushroom", "owl", "panda", "piano",
    "pizza", "rain", "road", "scissors", "shoe", "snake", "spider", "star", "sunflower", "telephone", "tiger", "train",
    "tree", "truck", "umbrella", "violin", "watch", "whistle", "wolf", "zebra",
)  # fmt: skip
"""Class names of the comparison of zero-shot answers."""
TEMPLATES = ("{}", "a photo of a {}", "There is a {} on a table beside a window, and behind it another {}.")
KINECT = {"fx": 520.0, "baseline": 0.075}
"""Focal length in pixels and baseline in metres of a Kinect."""
RATE = 16_000


def make_samples(modality: str, number: int, folder: Path) -> list[object]:
    """Make samples of a modality.

    Args:
        modality: the modality.
        number: number of samples; each has a random seed of its own.
        folder: folder for files that samples need.

    Raises:
        BadOption: there are none for this modality.
    """
    if modality == "text":
        return [TEMPLATES[i % 3].replace("{}", CLASS_NAMES[i % len(CLASS_NAMES)]) for i in range(number)]
    if modality in MAKERS:
        return [MAKERS[modality](np.random.default_rng(seed)) for seed in range(number)]
    if modality == "video":
        return [_make_video(np.random.default_rng(seed), folder / f"video-{seed}.png") for seed in range(number)]
    if "image" in find_part(ModalitySpec, modality).spec.derived_from:
        images = [_make_image(np.random.default_rng(seed)) for seed in range(number)]
        return [derive(modality, image, source="image", seed=seed) for seed, image in enumerate(images)]
    raise BadOption(f"no samples of {modality} can be made: give files by --samples")


def _make_image(random: np.random.Generator) -> np.ndarray:
    """Make an image of rectangles on a gradient, with noise: (height, width, 3) uint8."""
    height, width = random.integers(96, 256, 2)
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    pixels = rows[..., None] * random.uniform(0, 160, 3) + columns[..., None] * random.uniform(0, 95, 3)
    for _ in range(8):
        top, left = random.integers(0, height - 16), random.integers(0, width - 16)
        bottom, right = top + random.integers(8, height), left + random.integers(8, width)
        pixels[top:bottom, left:right] = random.uniform(0, 255, 3)
    return np.clip(pixels + random.normal(0, 8, pixels.shape), 0, 255).astype(np.uint8)


def _make_depth(random: np.random.Generator) -> object:
    """Make a depth map of boxes before a slanted wall."""
    rows, columns = np.mgrid[0:1:120j, 0:1:160j]
    metres = random.uniform(3, 6) + random.uniform(-2, 2) * rows + random.uniform(-2, 2) * columns
    for _ in range(5):
        top, left = random.integers(0, 100), random.integers(0, 140)
        metres[top : top + random.integers(10, 60), left : left + random.integers(10, 80)] = random.uniform(0.6, 3)
    return modalities.make_sample("depth", np.maximum(metres, 0.5).astype(np.float32), **KINECT)


def _make_sound(random: np.random.Generator) -> object:
    """Make an audio clip of decaying tones in noise, 1 to 4 seconds."""
    times = np.arange(int(random.uniform(1, 4) * RATE)) / RATE
    waveform = random.normal(0, random.uniform(0.001, 0.05), len(times))
    for _ in range(6):
        start, pitch = random.uniform(0, times[-1]), 2 ** random.uniform(6, 12)
        level = np.where(times >= start, np.exp((start - times) * random.uniform(1, 12)), 0)
        waveform += random.uniform(0.05, 0.3) * level * np.sin(2 * np.pi * pitch * times)
    return modalities.make_sample("sound", np.clip(waveform, -1, 1)[None].astype(np.float32), RATE)


def _make_video(random: np.random.Generator, path: Path) -> object:
    """Make a video, an animated PNG of 10 frames of an image that moves."""
    image = _make_image(random)
    first, *others = [PIL.Image.fromarray(np.roll(image, 4 * number, axis=1)) for number in range(10)]
    first.save(path, save_all=True, append_images=others, duration=40)
    return readers.read(path, reader="video")


MAKERS: Mapping[str, Callable[[np.random.Generator], object]] = {
    "image": _make_image,
    "depth": _make_depth,
    "sound": _make_sound,
}
