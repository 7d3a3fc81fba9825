"""Fixed samples, by which a changed base is found.

They are a part of the format of packs: a change of any of them would refuse every pack made before. So they are made by
integer arithmetic, not by NumPy's random numbers, which may differ between its versions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from anybind.plugin import modalities

TEXTS = (
    "a photo of a dog",
    "three red apples on a wooden table beside a window",
    "the sound of rain",
    "0123456789 metres above the sea, at night",
)
RATE = 16_000


def make_fixed_samples(modality: str) -> list[object]:
    """Make the fixed samples of a modality, four of them; none for a modality that has none."""
    return [MAKERS[modality](number) for number in range(4)] if modality in MAKERS else []


def _make_noise(number: int, count: int) -> np.ndarray:
    """Make (count,) numbers from 0 to 255, by a hash of integers of 64 bits (splitmix64)."""
    state = (np.arange(count, dtype=np.uint64) + np.uint64(number * 1_000_003 + 1)) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (state >> np.uint64(56)).astype(np.int64)


def _make_image(number: int) -> np.ndarray:
    """Make an image of blocks on a gradient with noise: (height, width, 3) uint8."""
    height, width = 160 + 32 * number, 224
    rows, columns = np.mgrid[:height, :width]
    ramps = rows * 200 // height, columns * 200 // width, (rows + columns) * 200 // (height + width)
    levels = np.stack(ramps, axis=2)
    blocks = _make_noise(number, 3 * 49).reshape(7, 7, 3)[rows * 7 // height, columns * 7 // width]
    noise = _make_noise(number + 100, 3 * height * width).reshape(height, width, 3)
    return ((2 * levels + 3 * blocks) // 5 + noise // 16).astype(np.uint8)


def _make_sound(number: int) -> object:
    """Make an audio clip of two seconds: triangle waves that change their pitch, and noise."""
    times = np.arange(2 * RATE)
    waveform = (_make_noise(number, 2 * RATE) - 128) // 8
    for voice in range(1, 4):
        period = 20 + 13 * voice * (number + 1) + times // 800
        waveform = waveform + np.abs(times % period - period // 2) * 80 // period * (4 - voice)
    waveform = waveform - int(waveform.sum()) // len(waveform)
    return modalities.make_sample("sound", (waveform / 256).astype(np.float32)[None], RATE)


def _make_depth(number: int) -> object:
    """Make a depth map of boxes before a slanted wall, in whole millimetres."""
    rows, columns = np.mgrid[:120, :160]
    boxes = _make_noise(number, 48).reshape(6, 8)[rows // 20, columns // 20]
    millimetres = np.where(boxes > 128, 800 + 8 * boxes, 3000 + 10 * rows + 5 * columns * (number + 1))
    return modalities.make_sample("depth", (millimetres / 1000).astype(np.float32), fx=520.0, baseline=0.075)


MAKERS: Mapping[str, Callable[[int], object]] = {
    "text": lambda number: TEXTS[number],
    "image": _make_image,
    "sound": _make_sound,
    "depth": _make_depth,
}
