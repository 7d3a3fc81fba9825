"""SUN-D: the scenes of SUN RGB-D, as depth maps of four cameras and pictures."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import ClassVar

from anybind.plugin import BadInput, BadOption, Item
from anybind_datasets.local_dataset import LocalDataset
from anybind_datasets.mat_lists import mat_array
from anybind_datasets.pairs import chosen_parts, in_first_asked, load_lists

SPLITS = Path("SUNRGBDtoolbox", "traintestSUNRGBD", "allsplit.mat")
LISTS = {"train": "alltrain", "test": "alltest"}
"""Names of the lists of folders in the file of splits."""
HOME = "SUNRGBD"
DEPTHS = ("depth_bfx", "depth")


class SunRgbd(LocalDataset):
    """9,504 depth maps and pictures in 19 classes of scene: those of SUN RGB-D that have more than 80 pictures.

    Each lies in a folder such as `SUNRGBD/kv1/NYUdata/NYU0001`, beside its kind of scene and its camera's focal length.
    The published split has 4,659 of these classes to test; ImageBind counts 4,660. An item's source is a depth map (or
    a picture, where only pictures are asked for), the other its partner.

    Source: Song, Lichtenberg and Xiao, 2015, "SUN RGB-D: A RGB-D Scene Understanding Benchmark Suite".
    """

    name = "SUN-D"
    licence = "as published with the data"
    size = "10,335 depth maps with pictures, 9,504 of them in the 19 classes"
    published = "https://rgbd.cs.princeton.edu (SUNRGBD.zip and SUNRGBDtoolbox.zip, unpacked side by side)"
    kinds = ("depth", "image")
    parts: ClassVar = {"train": 4_845, "test": 4_659}

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        modalities: Iterable[str] | None = None,
        classes: Iterable[str] | None = None,
        limit: int | None = None,
        split: str = "test",
        depth: str = "depth_bfx",
    ) -> None:
        """List the scenes; their kinds and focal lengths are read, no map or picture.

        Args:
            folder: holds `SUNRGBD` and `SUNRGBDtoolbox`.
            modalities: `depth` and `image`: what is asked for; both by default.
            classes: keep only these, by kind of scene or class name.
            limit: keep about this many, spread evenly over the classes.
            split: `train`, `test` or `all`, as published.
            depth: `depth_bfx`, the maps whose holes were filled, or `depth`, as the camera gave them.

        Raises:
            BadInput: the folder lacks a part, or a file in it is damaged.
            BadOption: no such class or split or kind of depth, or a limit below 1.
        """
        super().__init__(folder, modalities)
        lists = load_lists(__file__)
        self.keep_classes(lists["names"], classes)
        self.baselines: dict[str, float] = lists["baselines"]
        parts = chosen_parts(split, list(LISTS))
        if depth not in DEPTHS:
            raise BadOption(f"depth is {' or '.join(DEPTHS)}, got {depth!r}")
        absent = [str(name) for name in (SPLITS, Path(HOME)) if not (self.root / name).exists()]
        if absent:
            raise self.missing(f"it lacks {', '.join(absent)}")
        self.hold((item for part in parts for item in self._scenes(part, depth)), limit)

    def _scenes(self, part: str, depth: str) -> Iterator[Item]:
        table = self.root / SPLITS
        for cell in mat_array(table, LISTS[part]):
            place = PurePosixPath(str(cell if isinstance(cell, str) else "".join(map(str, cell))))
            if HOME not in place.parts:
                raise BadInput(f"{table}: {place} is no folder in {HOME}")
            inside = place.parts[place.parts.index(HOME) + 1 :]
            home = self.root.joinpath(HOME, *inside)
            if not inside or inside[0] not in self.baselines:
                raise BadInput(f"{table}: {place} is of no camera that is known ({', '.join(self.baselines)})")
            item = self._scene(home, depth, self.baselines[inside[0]])
            if item is not None:
                yield item

    def _scene(self, home: Path, depth: str, baseline: float) -> Item | None:
        """One folder; None where its kind of scene is none of the 19, or it lacks something."""
        try:
            label = self.names.get((home / "scene.txt").read_text(encoding="utf-8").strip())
            if label is None:
                return None
            words = (home / "intrinsics.txt").read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            self.lack(f"cannot read {getattr(error, 'filename', None) or home}")
            return None
        files = [_only(home / depth, ".png"), _only(home / "image", ".jpg")]
        if None in files:
            lacking = home / depth if files[0] is None else home / "image"
            self.lack(f"there is no {'.png' if files[0] is None else '.jpg'} in {lacking}")
            return None
        options = {"preset": "sun-rgbd", "fx": _focal_length(home, words), "baseline": baseline}
        held = {
            "depth": Item(self.id_of(home), files[0], label, options),
            "image": Item(self.id_of(home), files[1], label),
        }
        return in_first_asked(held, self.asked)


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
