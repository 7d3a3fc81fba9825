"""The samples of `anybind demo`: photographs, and a recording of a real event camera; `CREDITS.txt` beside them."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).with_name("demo_samples")
CAPTIONS = {
    "astronaut.jpg": "astronaut",
    "brick.jpg": "brick wall",
    "camera.jpg": "photographer",
    "chelsea.jpg": "cat",
    "coffee.jpg": "cup of coffee",
    "handwriting.jpg": "handwriting",
    "horse.jpg": "horse",
    "raccoon.jpg": "raccoon",
    "rocket.jpg": "rocket",
    "staircase.jpg": "staircase",
}
RECORDING, RECORDING_CAPTION = FOLDER / "faces_easy_0001.bin", "face"
"""A recording of N-Caltech101: a real camera before a screen."""


def list_demo_images() -> dict[Path, str]:
    """Return the caption of each image, by path."""
    return {FOLDER / name: caption for name, caption in CAPTIONS.items()}
