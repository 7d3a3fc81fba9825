"""SUN-D: scene classification on SUN RGB-D, depth maps of four cameras and images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np

from anybind.plugin import BadInput, BadOption, Dataset, Item
from anybind_datasets.lists import load_lists, read_mat_array

SPLITS = Path("SUNRGBDtoolbox", "traintestSUNRGBD", "allsplit.mat")
LISTS = {"train": "alltrain", "test": "alltest"}
"""Array of scene folders by split, in the splits file."""
ROOT_FOLDER = "SUNRGBD"
DEPTH_FOLDERS = ("depth_bfx", "depth")


class SunRgbd(Dataset):
    """SUN-D: 9,504 depth maps and images of SUN RGB-D's 19 scene classes with more than 80 images.

    The folder contains `SUNRGBD` and `SUNRGBDtoolbox`. Each scene has a folder such as `SUNRGBD/kv1/NYUdata/NYU0001`
    with its class and camera intrinsics. The published test split has 4,659 scenes of these classes; ImageBind reports
    4,660. An item's source is a depth map (or an image, if only `image` is selected), the other its partner.

    Source: Song, Lichtenberg and Xiao, 2015, "SUN RGB-D: A RGB-D Scene Understanding Benchmark Suite".
    """

    name = "SUN-D"
    licence = "as published with the data"
    size = "10,335 depth maps with images, 9,504 of them in the 19 classes"
    published = "https://rgbd.cs.princeton.edu (SUNRGBD.zip and SUNRGBDtoolbox.zip, unpacked side by side)"
    sample_modalities = ("depth", "image")
    splits: ClassVar = {"train": 4_845, "test": 4_659}
    split = "test"
    options = ("depth",)
    depth: str = "depth_bfx"
    """`depth_bfx` (holes filled) or `depth` (raw camera output)."""

    def class_names(self) -> Mapping[str, str]:
        return load_lists("sun_d").names

    def list_required_paths(self, splits: Sequence[str]) -> Sequence[str]:
        return [str(SPLITS), ROOT_FOLDER]

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        if self.depth not in DEPTH_FOLDERS:
            raise BadOption(f"depth: expected {' or '.join(DEPTH_FOLDERS)}, got {self.depth!r}")
        table, baselines = self.root / SPLITS, load_lists("sun_d").baselines
        for cell in (cell for split in splits for cell in np.ravel(read_mat_array(table, LISTS[split]))):
            path = PurePosixPath(str(cell if isinstance(cell, str) else "".join(map(str, cell))))
            if ROOT_FOLDER not in path.parts:
                raise BadInput(f"{table}: expected a folder in {ROOT_FOLDER}, got {path}")
            subfolders = path.parts[path.parts.index(ROOT_FOLDER) + 1 :]
            if not subfolders or subfolders[0] not in baselines:
                raise BadInput(f"{table}: unknown camera in {path}; expected {', '.join(baselines)}")
            yield from self._list_scene(self.root.joinpath(ROOT_FOLDER, *subfolders), baselines[subfolders[0]])

    def _list_scene(self, folder: Path, baseline: float) -> Iterator[Item | BadInput]:
        """List the item of one scene folder, unless its class is not one of the 19."""
        try:
            label = self.class_by_label.get((folder / "scene.txt").read_text(encoding="utf-8").strip())
            if label is None:
                return
            fields = (folder / "intrinsics.txt").read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            yield self.missing(f"cannot read {(isinstance(error, OSError) and error.filename) or folder}")
            return
        files: dict[str, Path] = {}
        for modality, subfolder, suffix in (("depth", self.depth, ".png"), ("image", "image", ".jpg")):
            paths = sorted(path for path in (folder / subfolder).glob(f"*{suffix}") if path.name[0] != ".")
            if not paths:
                yield self.missing(f"no {suffix} file in {folder / subfolder}")
                return
            files[modality] = paths[0]
        options = {"depth": {"preset": "sun-rgbd", "fx": _parse_focal_length(folder, fields), "baseline": baseline}}
        id = self.make_id(folder)
        yield self.merge_modalities(
            {modality: Item(id, path, label, options.get(modality, {})) for modality, path in files.items()}
        )


def _parse_focal_length(folder: Path, fields: list[str]) -> float:
    """Parse the focal length in pixels, the first of the camera's nine intrinsics."""
    try:
        fx = float(fields[0])
    except (IndexError, ValueError):
        fx = 0.0
    if not 0 < fx < float("inf"):
        raise BadInput(f"{folder / 'intrinsics.txt'}: expected a positive focal length in pixels as the first number")
    return fx
