"""SUN-D: the scenes of SUN RGB-D, as depth maps of four cameras and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np

from anybind.plugin import BadInput, BadOption, Dataset, Item
from anybind_datasets.lists import load_lists, mat_array

SPLITS = Path("SUNRGBDtoolbox", "traintestSUNRGBD", "allsplit.mat")
LISTS = {"train": "alltrain", "test": "alltest"}
"""Names of the lists of folders in the file of splits."""
HOME = "SUNRGBD"
DEPTHS = ("depth_bfx", "depth")


class SunRgbd(Dataset):
    """9,504 depth maps and pictures in 19 classes of scene: those of SUN RGB-D that have more than 80 pictures.

    The folder holds `SUNRGBD` and `SUNRGBDtoolbox`. Each scene lies in a folder such as `SUNRGBD/kv1/NYUdata/NYU0001`,
    beside its kind of scene and its camera's focal length. The published split has 4,659 of these classes to test;
    ImageBind counts 4,660. An item's source is a depth map (or a picture, where only pictures are asked for), the other
    its partner.

    Source: Song, Lichtenberg and Xiao, 2015, "SUN RGB-D: A RGB-D Scene Understanding Benchmark Suite".
    """

    name = "SUN-D"
    licence = "as published with the data"
    size = "10,335 depth maps with pictures, 9,504 of them in the 19 classes"
    published = "https://rgbd.cs.princeton.edu (SUNRGBD.zip and SUNRGBDtoolbox.zip, unpacked side by side)"
    sample_modalities = ("depth", "image")
    splits: ClassVar = {"train": 4_845, "test": 4_659}
    split = "test"
    options = ("depth",)
    depth: str = "depth_bfx"
    """`depth_bfx`, the maps whose holes were filled, or `depth`, as the camera gave them."""

    def class_names(self) -> Mapping[str, str]:
        return load_lists("sun_d").names

    def list_required_paths(self, splits: Sequence[str]) -> Sequence[str]:
        return [str(SPLITS), HOME]

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        if self.depth not in DEPTHS:
            raise BadOption(f"depth is {' or '.join(DEPTHS)}, got {self.depth!r}")
        table, baselines = self.root / SPLITS, load_lists("sun_d").baselines
        for cell in (cell for split in splits for cell in np.ravel(mat_array(table, LISTS[split]))):
            place = PurePosixPath(str(cell if isinstance(cell, str) else "".join(map(str, cell))))
            if HOME not in place.parts:
                raise BadInput(f"{table}: {place} is no folder in {HOME}")
            inside = place.parts[place.parts.index(HOME) + 1 :]
            if not inside or inside[0] not in baselines:
                raise BadInput(f"{table}: {place} is of no camera that is known ({', '.join(baselines)})")
            yield from self._scene(self.root.joinpath(HOME, *inside), baselines[inside[0]])

    def _scene(self, home: Path, baseline: float) -> Iterator[Item | BadInput]:
        """The item of one folder; none where its kind of scene is none of the 19."""
        try:
            label = self.class_by_label.get((home / "scene.txt").read_text(encoding="utf-8").strip())
            if label is None:
                return
            words = (home / "intrinsics.txt").read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            yield self.missing(f"cannot read {(isinstance(error, OSError) and error.filename) or home}")
            return
        files = {"depth": _only(home / self.depth, ".png"), "image": _only(home / "image", ".jpg")}
        for kind, suffix, folder in (("depth", ".png", self.depth), ("image", ".jpg", "image")):
            if files[kind] is None:
                yield self.missing(f"there is no {suffix} in {home / folder}")
                return
        options = {"depth": {"preset": "sun-rgbd", "fx": _focal_length(home, words), "baseline": baseline}}
        id = self.make_id(home)
        yield self.merge_modalities(
            {kind: Item(id, path, label, options.get(kind, {})) for kind, path in files.items()}
        )


def _only(folder: Path, suffix: str) -> Path | None:
    """The first file of a folder with an ending, by name."""
    found = sorted(path for path in folder.glob(f"*{suffix}") if not path.name.startswith("."))
    return found[0] if found else None


def _focal_length(home: Path, words: list[str]) -> float:
    """The first of the camera's nine numbers, in pixels."""
    try:
        fx = float(words[0])
    except (IndexError, ValueError):
        fx = 0.0
    if not 0 < fx < float("inf"):
        raise BadInput(f"{home / 'intrinsics.txt'} must begin with a focal length in pixels")
    return fx
