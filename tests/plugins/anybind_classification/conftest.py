"""A small world of pictures for the commands: a folder a class, and the bad files that people have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import anybind


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two classes of two pictures each."""
    random = np.random.default_rng(0)
    root = tmp_path / "pictures"
    for folder in ("001 - Cup_of Coffee", "rocket"):
        (root / folder).mkdir(parents=True)
        for name in ("a.png", "b.jpg"):
            noise = random.integers(0, 256, (12, 16, 3), dtype=np.uint8)
            PIL.Image.fromarray(noise).resize((64, 48)).save(root / folder / name)
    return root


@pytest.fixture
def bad_files(tmp_path: Path) -> dict[str, Path]:
    """Files that cannot be used, by what is wrong with them."""
    folder = tmp_path / "bad"
    folder.mkdir()
    files = {name: folder / name for name in ("truncated.jpg", "text.png", "zero.png", "truncated.npz", "empty.npz")}
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    PIL.Image.fromarray(noise).save(files["truncated.jpg"])
    files["truncated.jpg"].write_bytes(files["truncated.jpg"].read_bytes()[:900])
    files["text.png"].write_text("this is no picture")
    files["zero.png"].touch()
    anybind.write(anybind.derive("event", np.full((4, 4, 3), 9, dtype=np.uint8)), files["empty.npz"])
    files["truncated.npz"].write_bytes(files["empty.npz"].read_bytes()[:-30])
    files["missing.png"] = folder / "missing.png"
    files["unknown.xyz"] = folder / "unknown.xyz"
    files["unknown.xyz"].write_text("?")
    return files
