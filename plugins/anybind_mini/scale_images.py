"""Scale the images below a folder down to at most 400 pixels, as training data that is read fast.

    python -m anybind_mini.scale_images FOLDER OUTPUT

Images are written as PNG at the same relative paths, transparency on white. Files that are not readable images, or
images of one color, are left out.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import PIL.Image

from anybind import AnybindError, read, write
from anybind.commandline import print_text
from anybind.plugin import progress_bar

MAX_SIDE = 400
MAX_PIXELS = 1 << 28


def scale_images(folder: Path, output: Path) -> int:
    """Write scaled copies; return their number."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
    count = 0
    with progress_bar(len(paths), "images") as advance:
        for path in paths:
            advance(1)
            try:
                image = PIL.Image.fromarray(read(path, reader="image", max_pixels=MAX_PIXELS))
            except AnybindError as error:
                print_text(f"left out: {error}")
                continue
            image.thumbnail((MAX_SIDE, MAX_SIDE), PIL.Image.Resampling.LANCZOS)
            pixels = np.asarray(image)
            if np.ptp(pixels) > 0:
                target = (output / path.relative_to(folder)).with_suffix(".png")
                target.parent.mkdir(parents=True, exist_ok=True)
                write(pixels, target)
                count += 1
    return count


if __name__ == "__main__":
    print_text(f"wrote {scale_images(Path(sys.argv[1]), Path(sys.argv[2]))} images")
