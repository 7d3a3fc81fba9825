"""The pictures of `anybind demo`: photographs that scikit-image's wheel carries, and what is on them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from anybind.plugin import errors

PICTURES = {
    "astronaut.png": "astronaut",
    "brick.png": "brick wall",
    "camera.png": "photographer",
    "chelsea.png": "cat",
    "coffee.png": "cup of coffee",
    "coins.png": "coins",
    "horse.png": "horse",
    "motorcycle_left.png": "motorcycle",
    "page.png": "page of text",
    "rocket.jpg": "rocket",
}


def demo_pictures() -> dict[Path, str]:
    """What is on each picture, by path; raises `MissingExtra` when scikit-image is not installed."""
    spec = importlib.util.find_spec("skimage")  # finds the package without importing it
    if spec is None or spec.origin is None:
        raise errors.MissingExtra("the demo's pictures come with scikit-image: pip install 'anybind[mini]'")
    folder = Path(spec.origin).parent / "data"
    return {folder / name: caption for name, caption in PICTURES.items() if (folder / name).is_file()}
