"""Retrieval between depth maps and images of `mini`: `python benchmarks/depth_retrieval.py --data DIR`.

DIR has the folder `rgbd` (six images with depth maps, of three scenes); scikit-image's stereo scene is a fourth. Each
image and its map are also cut into 2x2 and 3x3 tiles; tiles without depth in half of their pixels or more are left
out. A query is searched in the full gallery of its tiling. Writes benchmarks/results/depth_retrieval.json and, for the
documentation, .md, or, with `--output DIR`, there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from retrieval_mini import COLUMNS, format_row, make_rows

import anybind
from anybind.dataset import Dataset, Item
from anybind.files import atomic_path
from anybind.plugin import modalities
from anybind_datasets import packaged
from anybind_retrieval.task import Retrieval

TUM_FX, KINECT_FX = 525.0, 365.0
"""Focal lengths in pixels: of the TUM RGB-D data, and of Kinect v2's depth camera."""
PAIRS = (
    *((f"tum/{number}_rgb.png", f"tum/{number}_depth.pgm", 0.001, TUM_FX) for number in (1, 2, 3)),
    *((f"tum/ch7_{number}_rgb.png", f"tum/ch7_{number}_depth.png", 0.0002, TUM_FX) for number in (1, 2)),
    ("kinect/rgb.png", "kinect/depth.png", 0.001, KINECT_FX),
)
"""Image, depth map, metres of one step, and focal length."""


def load_scenes(folder: Path) -> list[tuple[str, np.ndarray, np.ndarray, float]]:
    """Load images, depth maps in metres and focal lengths in pixels."""
    scenes = []
    for image, depth, scale, fx in PAIRS:
        metres = anybind.read(folder / depth, reader="depth", scale=scale).metres
        scenes.append((image, np.asarray(PIL.Image.open(folder / image).convert("RGB")), metres, fx))
    stereo = packaged.find_skimage_data()
    disparity = np.load(stereo / "motorcycle_disp.npz")["arr_0"]
    metres = (
        packaged.FX_PX
        * packaged.BASELINE_M
        / (np.where(np.isfinite(disparity), disparity, np.nan) + packaged.OFFSET_PX)
    )
    image = np.asarray(PIL.Image.open(stereo / "motorcycle_left.png").convert("RGB"))
    return [*scenes, ("motorcycle", image, metres, packaged.FX_PX)]


class Tiles(Dataset):
    """Images with depth maps as partners, cut into `side` x `side` tiles."""

    def __init__(self, scenes: list[tuple[str, np.ndarray, np.ndarray, float]], side: int) -> None:
        items = []
        for name, image, metres, fx in scenes:
            height, width = (length // side for length in metres.shape)
            for row, column in np.ndindex(side, side):
                tile = slice(row * height, (row + 1) * height), slice(column * width, (column + 1) * width)
                if np.isfinite(metres[tile]).mean() > 0.5:
                    depth = modalities.make_sample("depth", metres[tile], fx)
                    items.append(Item(f"{name} {row}-{column}", image[tile], partners={"depth": depth}))
        self.name = f"RGB-D, {side}x{side} tiles" if side > 1 else "RGB-D, whole images"
        self.set_items(items)


def main() -> None:
    """Evaluate, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data")
    parser.add_argument("--binding", default="mini")
    parser.add_argument("--output", type=Path, help="folder of the results [default: benchmarks/results]")
    options = parser.parse_args()
    binder, scenes = anybind.load(options.binding), load_scenes(options.data / "rgbd")
    rows: list[dict[str, Any]] = []
    for side in (1, 2, 3):
        rows += make_rows(Retrieval(to="depth").run(binder, Tiles(scenes, side), modality="image"))
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * 3 + "|---:" * (len(COLUMNS) - 3) + "|"]
    lines += ["| " + " | ".join(format_row(row)) + " |" for row in rows]
    folder = options.output or Path(__file__).parent / "results"
    folder.mkdir(parents=True, exist_ok=True)
    title = f"# Retrieval between depth maps and images by {binder.name}, full gallery"
    texts = {
        "depth_retrieval.json": json.dumps({"binding": binder.name, "rows": rows}, indent=1),
        "depth_retrieval.md": "\n".join([title, "", *lines]),
    }
    for name, text in texts.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
