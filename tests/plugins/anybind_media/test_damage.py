"""Damaged audio files and depth maps are read or rejected on one line, with limited memory and time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import anybind
from anybind_media.depth import DepthMap
from anybind_media.sound import Waveform
from helpers import fuzz_readers as fuzz

CASES = 120
SOUNDS = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".rf64", ".w64")
DEPTHS = (".npy", ".tiff", ".png", ".pgm")


def write_sample(path: Path) -> bytes:
    """Write a small file in the format of its suffix."""
    random = np.random.default_rng(0)
    levels = (1000 + 10 * np.add.outer(np.arange(30), np.arange(40))).astype(np.uint16)
    if path.suffix in SOUNDS:
        noise = random.uniform(-0.5, 0.5, (2, 6000)).astype(np.float32)
        anybind.write(Waveform(noise, 48_000), path)
    elif path.suffix == ".pgm":
        path.write_bytes(b"P5 40 30 65535\n" + levels.astype(">u2").tobytes())
    elif path.suffix == ".png":
        PIL.Image.fromarray(levels).save(path)
    else:
        anybind.write(DepthMap(levels / np.float32(1000)), path)
    return path.read_bytes()


@pytest.mark.parametrize("suffix", [*SOUNDS, *DEPTHS])
def test_damaged_file_is_read_or_rejected(tmp_path: Path, suffix: str) -> None:
    content = write_sample(tmp_path / f"whole{suffix}")
    given: dict[str, Any] = {"reader": "depth", "preset": "tum"} if suffix in DEPTHS else {}
    assert fuzz.find_broken_rule(content, suffix, tmp_path, **given) is None
    faults = {}
    for seed in range(CASES):
        damaged = fuzz.damage_content(content, seed)
        faults[seed] = fuzz.find_broken_rule(damaged, suffix, tmp_path, chunks=seed % 3 == 2, **given)
    assert {seed: fault for seed, fault in faults.items() if fault} == {}
