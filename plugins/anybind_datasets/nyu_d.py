"""NYU-D: the scenes of NYU Depth v2's labelled set, as depth maps and pictures."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

from anybind.plugin import BadInput, Item
from anybind_datasets.local_dataset import LocalDataset
from anybind_datasets.mat_lists import mat_array
from anybind_datasets.nyu_mat import scene_types
from anybind_datasets.pairs import chosen_parts, in_first_asked, load_lists

LABELLED, SPLITS = "nyu_depth_v2_labeled.mat", "splits.mat"
NUMBERS = {"train": "trainNdxs", "test": "testNdxs"}
"""Names of the lists of numbers of pictures, counted from 1, in the file of splits."""
CAMERA = {"fx": 518.857901, "baseline": 0.075}
"""Focal length in pixels as the toolbox of the data set has it, and the Kinect's baseline in metres."""
OTHERS = "others"


class NyuDepth(LocalDataset):
    """1,449 depth maps and pictures of 640x480 pixels in ten classes of scene: the nine most common, and all others.

    The whole is one file, of which a map or picture is read when it is asked for. An item's source is a depth map (or a
    picture, where only pictures are asked for), the other its partner. The classes are those that LanguageBind asks
    for. ImageBind counts 653 test maps, and takes for `others` the likeliest of 18 names of scenes.

    Source: Silberman et al., 2012, "Indoor Segmentation and Support Inference from RGBD Images".
    """

    name = "NYU-D"
    licence = "as published with the data"
    size = "1,449 depth maps with pictures, 2.8 GB"
    published = (
        "https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html (nyu_depth_v2_labeled.mat), and the split: "
        "http://horatio.cs.nyu.edu/mit/silberman/indoor_seg_sup/splits.mat"
    )
    kinds = ("depth", "image")
    parts: ClassVar = {"train": 795, "test": 654}

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        modalities: Iterable[str] | None = None,
        classes: Iterable[str] | None = None,
        limit: int | None = None,
        split: str = "test",
    ) -> None:
        """List the scenes; of the large file, only their kinds are read.

        Args:
            folder: holds `nyu_depth_v2_labeled.mat` and `splits.mat`.
            modalities: `depth` and `image`: what is asked for; both by default.
            classes: keep only these, by kind of scene or class name.
            limit: keep about this many, spread evenly over the classes.
            split: `train`, `test` or `all`, as published.

        Raises:
            BadInput: a file is missing or damaged, or the two do not belong together.
            BadOption: no such class or split, or a limit below 1.
        """
        super().__init__(folder, modalities)
        self.keep_classes(load_lists(__file__)["names"], classes)
        parts = chosen_parts(split, list(NUMBERS))
        absent = [name for name in (LABELLED, SPLITS) if not (self.root / name).is_file()]
        if absent:
            raise self.missing(f"it lacks {', '.join(absent)}")
        self.hold(self._scenes(self.root / LABELLED, parts), limit)

    def _scenes(self, path: Path, parts: Iterable[str]) -> Iterator[Item]:
        scenes = scene_types(path)
        for part in parts:
            for number in sorted(int(each) for each in mat_array(self.root / SPLITS, NUMBERS[part])):
                if not 1 <= number <= len(scenes):
                    raise BadInput(f"{self.root / SPLITS} names picture {number}, and {LABELLED} holds {len(scenes)}")
                label = self.names.get(scenes[number - 1], self.names[OTHERS])
                depth = Item(f"{number:04d}", path, label, {"index": number - 1, **CAMERA})
                picture = Item(f"{number:04d}", path, label, {"index": number - 1})
                yield in_first_asked({"depth": depth, "image": picture}, self.asked)
