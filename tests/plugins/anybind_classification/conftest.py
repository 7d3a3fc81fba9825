"""A small image dataset for the commands, and invalid files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import anybind
from anybind_classification.demo_command import demo
from anybind_classification.demo_images import list_demo_images


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """Write two classes of two images each."""
    random = np.random.default_rng(0)
    root = tmp_path / "images"
    for folder in ("001 - Cup_of Coffee", "rocket"):
        (root / folder).mkdir(parents=True)
        for name in ("a.png", "b.jpg"):
            noise = random.integers(0, 256, (12, 16, 3), dtype=np.uint8)
            PIL.Image.fromarray(noise).resize((64, 48)).save(root / folder / name)
    return root


@pytest.fixture
def invalid_files(tmp_path: Path) -> dict[str, Path]:
    """Write invalid files, keyed by file name."""
    folder = tmp_path / "invalid"
    folder.mkdir()
    files = {name: folder / name for name in ("truncated.jpg", "text.png", "zero.png", "truncated.npz", "empty.npz")}
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    PIL.Image.fromarray(noise).save(files["truncated.jpg"])
    files["truncated.jpg"].write_bytes(files["truncated.jpg"].read_bytes()[:900])
    files["text.png"].write_text("not an image")
    files["zero.png"].touch()
    anybind.write(anybind.derive("event", np.full((4, 4, 3), 9, dtype=np.uint8)), files["empty.npz"])
    files["truncated.npz"].write_bytes(files["empty.npz"].read_bytes()[:-30])
    files["missing.png"] = folder / "missing.png"
    files["unknown.xyz"] = folder / "unknown.xyz"
    files["unknown.xyz"].write_text("?")
    return files


@pytest.fixture(scope="session")
def demo_images() -> dict[str, Path]:
    """Return the images of the demo by file name."""
    return {path.name: path for path in list_demo_images()}


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the demo once for all tests of its output."""
    folder = tmp_path_factory.mktemp("demo") / "nested" / "folder"
    demo(output=folder)
    return folder
