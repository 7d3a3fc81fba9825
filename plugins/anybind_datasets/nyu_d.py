"""NYU-D: the scenes of NYU Depth v2's labelled set, as depth maps and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np

from anybind.plugin import BadInput, Dataset, Item
from anybind_datasets.lists import load_lists, mat_array
from anybind_datasets.nyu_mat import scene_types

LABELLED, SPLITS = "nyu_depth_v2_labeled.mat", "splits.mat"
NUMBERS = {"train": "trainNdxs", "test": "testNdxs"}
"""Names of the lists of numbers of pictures, counted from 1, in the file of splits."""
CAMERA = {"fx": 518.857901, "baseline": 0.075}
"""Focal length in pixels as the toolbox of the data set has it, and the Kinect's baseline in metres."""
OTHERS = "others"


class NyuDepth(Dataset):
    """1,449 depth maps and pictures of 640x480 pixels in ten classes of scene: the nine most common, and all others.

    The folder holds `nyu_depth_v2_labeled.mat` and `splits.mat`. The whole is one file, of which a map or picture is
    read when it is asked for. An item's source is a depth map (or a picture, where only pictures are asked for), the
    other its partner. The classes are those that LanguageBind asks for. ImageBind counts 653 test maps, and takes for
    `others` the likeliest of 18 names of scenes.

    Source: Silberman et al., 2012, "Indoor Segmentation and Support Inference from RGBD Images".
    """

    name = "NYU-D"
    licence = "as published with the data"
    size = "1,449 depth maps with pictures, 2.8 GB"
    published = (
        "https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html (nyu_depth_v2_labeled.mat), and the split: "
        "http://horatio.cs.nyu.edu/mit/silberman/indoor_seg_sup/splits.mat"
    )
    sample_modalities = ("depth", "image")
    splits: ClassVar = {"train": 795, "test": 654}
    split = "test"

    def class_names(self) -> Mapping[str, str]:
        return load_lists("nyu_d").names

    def list_required_paths(self, splits: Sequence[str]) -> Sequence[str]:
        return [LABELLED, SPLITS]

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        path = self.root / LABELLED
        scenes = scene_types(path)
        for split in splits:
            for number in sorted(int(each) for each in np.ravel(mat_array(self.root / SPLITS, NUMBERS[split]))):
                if not 1 <= number <= len(scenes):
                    raise BadInput(f"{self.root / SPLITS} names picture {number}, and {LABELLED} holds {len(scenes)}")
                label = self.class_by_label.get(scenes[number - 1], self.class_by_label[OTHERS])
                id, index = f"{number:04d}", {"index": number - 1}
                yield self.merge_modalities(
                    {"depth": Item(id, path, label, index | CAMERA), "image": Item(id, path, label, index)}
                )
