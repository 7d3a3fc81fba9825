"""Examples of the conformance checks: thermal images. Encoders cannot be checked without downloaded weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image

from anybind.testing import Example
from anybind_languagebind.thermal import ThermalImage


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """Return the example of a part; for encoders, the reason why they are not checked."""
    if kind == "encoder":
        return Example(cannot="its weights are downloaded from a hub")
    if kind == "modality":
        samples = [ThermalImage(_make_thermal_pixels(seed)) for seed in range(2)]
        return Example(
            samples=samples,
            wrong=[ThermalImage(_make_thermal_pixels(0)[:0])],
            sources={"image": _make_thermal_pixels(2)},
        )
    if kind == "reader":
        PIL.Image.fromarray(_make_thermal_pixels(0)).save(folder / "thermal.png")
        return Example(files=[folder / "thermal.png"])
    return None


def _make_thermal_pixels(seed: int) -> np.ndarray:
    """Return smooth gray levels, (48, 64, 3) uint8."""
    coarse = PIL.Image.fromarray(np.random.default_rng(seed).integers(0, 256, (6, 8), dtype=np.uint8))
    return np.asarray(coarse.resize((64, 48), PIL.Image.Resampling.BICUBIC).convert("RGB"))
