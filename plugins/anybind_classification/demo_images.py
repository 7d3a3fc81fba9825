"""The samples of `anybind demo`: photographs from scikit-image's wheel, and a recording of a real event camera."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from anybind.plugin import errors

CAPTIONS = {
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
RECORDING, RECORDING_CAPTION = Path(__file__).with_name("demo_recording.bin"), "face"
"""A recording of N-Caltech101 (CC BY 4.0, credited in `demo_recording.txt`): a real camera before a screen."""


def list_demo_images() -> dict[Path, str]:
    """Return the caption of each image, by path; raise `MissingExtra` if scikit-image is not installed."""
    spec = importlib.util.find_spec("skimage")  # finds the package without importing it
    if spec is None or spec.origin is None:
        raise errors.MissingExtra("the demo images come with scikit-image: pip install 'anybind[mini]'")
    folder = Path(spec.origin).parent / "data"
    return {folder / name: caption for name, caption in CAPTIONS.items() if (folder / name).is_file()}
