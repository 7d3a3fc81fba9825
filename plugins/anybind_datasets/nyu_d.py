"""NYU-D: scene classification on NYU Depth v2's labelled set, depth maps and images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np

from anybind.plugin import BadInput, Dataset, Item
from anybind_datasets.lists import load_lists, read_mat_array
from anybind_datasets.nyu_mat import read_scene_types

LABELLED, SPLITS = "nyu_depth_v2_labeled.mat", "splits.mat"
INDEX_LISTS = {"train": "trainNdxs", "test": "testNdxs"}
"""Array of image numbers, counted from 1, by split, in the splits file."""
CAMERA = {"fx": 518.857901, "baseline": 0.075}
"""Focal length in pixels from the dataset's toolbox, and the Kinect's baseline in metres."""
OTHERS = "others"


class NyuDepth(Dataset):
    """NYU-D: 1,449 depth maps and images of 640x480 pixels in ten scene classes: the nine most common, and others.

    The folder contains `nyu_depth_v2_labeled.mat` and `splits.mat`; each depth map or image is read on demand from the
    first. An item's source is a depth map (or an image, if only `image` is selected), the other its partner. Classes
    are LanguageBind's. ImageBind reports 653 test maps, and scores `others` by the best of 18 scene names.

    Source: Silberman et al., 2012, "Indoor Segmentation and Support Inference from RGBD Images".
    """

    name = "NYU-D"
    licence = "as published with the data"
    size = "1,449 depth maps with images, 2.8 GB"
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
        scenes = read_scene_types(path)
        for split in splits:
            for number in sorted(
                int(each) for each in np.ravel(read_mat_array(self.root / SPLITS, INDEX_LISTS[split]))
            ):
                if not 1 <= number <= len(scenes):
                    raise BadInput(f"{self.root / SPLITS}: image {number} exceeds the {len(scenes)} of {LABELLED}")
                label = self.class_by_label.get(scenes[number - 1], self.class_by_label[OTHERS])
                id, index = f"{number:04d}", {"index": number - 1}
                yield self.merge_modalities(
                    {"depth": Item(id, path, label, index | CAMERA), "image": Item(id, path, label, index)}
                )
