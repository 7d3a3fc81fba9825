"""N-Caltech101: the pictures of Caltech101 as an event camera saw them in three saccades."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import ClassVar

from anybind.plugin import Item
from anybind_datasets.local import EventDataset, choose, held_out, load_lists

SENSOR = (240, 180)
HELD_OUT = 0.2
"""Share of each class that the split `val` takes."""
SPLITS = {"train": (False,), "val": (True,), "all": (False, True)}
"""Whether a split has the recordings that are held out, those that are not, or both."""


class NCaltech101(EventDataset):
    """8,709 recordings in 101 classes (100 kinds of thing and the background), as `Caltech101/ant/image_0001.bin`.

    The data have no published split. EventBind's has 6,968 recordings to train and 1,741 to validate, but its list
    of files is not known here; this one takes a fifth of each class by hash (see `held_out`), so that its sizes
    are near those and its files are others: figures of the two compare only roughly.

    Source: Orchard et al., 2015, "Converting Static Image Datasets to Spiking Neuromorphic Datasets Using Saccades".
    """

    name = "N-Caltech101"
    licence = "CC BY 4.0"
    size = "8,709 recordings"
    parts: ClassVar = {"all": 8_709}
    published = "https://www.garrickorchard.com/datasets/n-caltech101 (Caltech101.zip, unpacked)"

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        modalities: Iterable[str] | None = None,
        classes: Iterable[str] | None = None,
        limit: int | None = None,
        split: str = "val",
        pictures: str | os.PathLike[str] | None = None,
        seed: int = 0,
    ) -> None:
        """List the recordings.

        Args:
            folder: holds the 101 class folders, or `Caltech101` which does.
            modalities: what kinds of file count as samples; `event` must be among them.
            classes: keep only these, by folder or class name.
            limit: keep about this many, spread evenly over the classes.
            split: `train`, `val` or `all`.
            pictures: Caltech101's folder of class folders (`101_ObjectCategories`), from `folder` or absolute: every
                recording then has the picture it was made of as its partner `image`.
            seed: of the split.

        Raises:
            BadInput: a class folder is missing or holds no recordings, or a recording's picture is missing.
            BadOption: no such class or split, or a limit below 1.
        """
        super().__init__(folder, load_lists(__file__)["names"], modalities, classes)
        parts = choose(split, SPLITS)
        root = self.find_root("Caltech101", list(self.names))
        items = list(self.recordings([root], ".bin", size=SENSOR))
        val = {id for name in self.classes for id in held_out(_ids(items, name), HELD_OUT, seed)}
        self.hold((item for item in items if (item.id in val) in parts), limit)
        if pictures is not None:
            self.beside_pictures(self.folder / pictures, ".jpg")


def _ids(items: Iterable[Item], label: str) -> list[str]:
    return [item.id for item in items if item.label == label]
