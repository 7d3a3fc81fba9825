"""N-ImageNet: the pictures of ImageNet on a screen, in front of a moving event camera."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import ClassVar

from anybind_datasets.local import EventDataset, choose, held_out, load_lists

SENSOR = (640, 480)
UNSEEN = 0.2
"""Share of the mini classes that the paper never trains on."""


class NImageNet(EventDataset):
    """1,281,166 recordings to train and 50,000 to validate, as `extracted_val/n01440764/ILSVRC2012_val_00000293.npz`.

    The classes are called as CLIP's prompts call those of ImageNet. Source: Kim et al., 2021, "N-ImageNet: Towards
    Robust, Fine-Grained Object Recognition with Event Cameras".
    """

    name = "N-ImageNet"
    licence = "as published with the data (ImageNet's terms: for research)"
    size = "1,331,166 recordings"
    parts: ClassVar = {"train": 1_281_166, "val": 50_000}
    published = "https://github.com/82magnolia/n_imagenet (N_ImageNet.7z, unpacked)"

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        modalities: Iterable[str] | None = None,
        classes: Iterable[str] | None = None,
        limit: int | None = None,
        split: str = "val",
        pictures: str | os.PathLike[str] | None = None,
    ) -> None:
        """List the recordings.

        Args:
            folder: holds `extracted_train` and `extracted_val`, or `N_Imagenet` which does.
            modalities: what kinds of file count as samples; `event` must be among them.
            classes: keep only these, by WordNet id (the folder) or class name.
            limit: keep about this many, spread evenly over the classes.
            split: `train` or `val`, or the folder of a variant, such as `val_mode_1` of N_ImageNet_cam.7z.
            pictures: ImageNet's folder, which holds `train` and `val` with a folder a class, from `folder` or
                absolute: every recording then has the picture it was made of as its partner `image`.

        Raises:
            BadInput: the folder lacks what the split needs, or a recording's picture is missing.
            BadOption: no such class, or a limit below 1.
        """
        super().__init__(folder, self._all_names(), modalities, classes)
        self._list(split, limit, pictures)

    def _all_names(self) -> Mapping[str, str]:
        return load_lists(__file__)["names"]

    def _list(self, split: str, limit: int | None, pictures: str | os.PathLike[str] | None) -> None:
        part = split if (self.folder / split).is_dir() else f"extracted_{split}"
        root = self.find_root("N_Imagenet", [part])
        self.hold(self.recordings([root / part], ".npz", size=SENSOR), limit)
        if pictures is not None:
            source = self.folder / pictures / ("train" if "train" in part else "val")
            self.beside_pictures(source, ".JPEG")


class NImageNetMini(NImageNet):
    """The 100 classes of N-ImageNet that Masked Event Modeling chose (Klenk et al., 2023), and the paper's 80/20 rule.

    The paper trains on 80 % of the classes and asks about the others, but does not say which they are: here the
    unseen fifth is drawn by hash (see `held_out`). Its zero-shot figures are of 20 classes with 50 recordings each,
    asked among all 100 names.
    """

    name = "N-ImageNet mini"
    size = "100 classes of N-ImageNet, 5,000 recordings of them to validate; about 45 GB"
    parts: ClassVar = {"train": None, "val": 5_000}

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        modalities: Iterable[str] | None = None,
        classes: Iterable[str] | None = None,
        limit: int | None = None,
        split: str = "val",
        pictures: str | os.PathLike[str] | None = None,
        part: str = "all",
        seed: int = 0,
    ) -> None:
        """List the recordings.

        Args:
            folder, modalities, limit, split, pictures: as N-ImageNet's.
            classes: keep only these of the part, by WordNet id or class name.
            part: `seen` (80 classes), `unseen` (20) or `all`.
            seed: of the choice of unseen classes.

        Raises:
            BadInput, BadOption: as N-ImageNet; or no such part.
        """
        EventDataset.__init__(self, folder, self._all_names(), modalities, classes)
        unseen = held_out(self.names, UNSEEN, seed)
        parts = {"all": {*self.names}, "seen": {*self.names} - unseen, "unseen": unseen}
        kept = choose(part, parts, "part")
        self.kept = [label for label in self.kept if label in kept]
        self._list(split, limit, pictures)

    def _all_names(self) -> Mapping[str, str]:
        lists = load_lists(__file__)
        return {label: lists["names"][label] for label in lists["mini"]}
