"""Scale the images below a folder down to at most 400 pixels, as training data that is read fast.

    python -m anybind_mini.scale_images FOLDER OUTPUT

Images are written as PNG at the same relative paths, transparency on white; of two files with one stem, the second
keeps its whole name (`cat.png.png`). Files that are not readable images, images of one color, and images whose aspect
ratio is above that of the modality are left out and listed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import PIL.Image

from anybind import AnybindError, BadInput, read, write
from anybind.commandline import print_text
from anybind.plugin import loops, modalities

MAX_SIDE = 400
MAX_PIXELS = 1 << 28
SUFFIXES = (".png", ".jpg", ".jpeg")


def scale_images(folder: Path, output: Path) -> int:
    """Write scaled copies; return their number.

    Raises:
        BadInput: no images in the folder, or a copy cannot be written.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise BadInput(f"{folder}: expected a folder with images ({', '.join(SUFFIXES)}), got none")
    targets: set[Path] = set()
    with loops.progress_bar(len(paths), "images") as advance:
        for path in paths:
            advance(1)
            try:
                pixels = _read_scaled(path)
            except AnybindError as error:
                print_text(f"left out: {error}" if str(path) in str(error) else f"left out: {path}: {error}")
                continue
            target = (output / path.relative_to(folder)).with_suffix(".png")
            if target in targets:
                target = target.with_name(f"{path.name}.png")
            targets.add(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            write(pixels, target)
    return len(targets)


def _read_scaled(path: Path) -> np.ndarray:
    """Read and scale an image; raise `BadInput` if it is of no use for training."""
    image = PIL.Image.fromarray(read(path, reader="image", max_pixels=MAX_PIXELS))
    image.thumbnail((MAX_SIDE, MAX_SIDE), PIL.Image.Resampling.LANCZOS)
    pixels = np.asarray(image)
    if not np.ptp(pixels):
        raise BadInput("an image of one color")
    modalities.find_modality("image").check(pixels)
    return pixels


def main() -> None:
    """Scale the images of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with images")
    parser.add_argument("output", type=Path, help="folder of the copies")
    options = parser.parse_args()
    try:
        count = scale_images(options.folder, options.output)
    except AnybindError as error:
        parser.error(str(error))
    print_text(f"wrote {count} images")


if __name__ == "__main__":
    main()
