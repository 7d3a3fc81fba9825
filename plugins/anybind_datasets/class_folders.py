"""Published datasets with a folder a class and splits in folders of their own, and the datasets of events that are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from anybind.plugin import BadInput, BadOption, Dataset, Item, errors
from anybind_datasets.lists import held_out, load_lists

HELD_OUT = 0.2
"""Share of each class of N-Caltech101 that the split `val` takes."""
UNSEEN = 0.2
"""Share of the classes of N-ImageNet mini that the paper never trains on."""


class ClassFolders(Dataset):
    """Recordings as `SPLIT/CLASS/FILE`: a record is enough.

    Attributes:
        folders: the folder of each split, from the root; its name by default.
        suffix: of the recordings, with the dot.
        sensor: width and height in pixels, which the files do not say.
        picture_suffix: of the images that recordings were made of.
        pictures: the folder of these images, a folder a class, from `folder` or absolute. If given, every recording has
            its image as its partner `image`.
    """

    sample_modalities = ("event",)
    lists_incomplete = True
    folders: ClassVar[Mapping[str, str]] = {}
    suffix: ClassVar[str]
    sensor: ClassVar[tuple[int, int]]
    picture_suffix: ClassVar[str] = ".jpg"
    pictures: str | os.PathLike[str] | None = None

    def list_required_paths(self, splits: Sequence[str]) -> Sequence[str]:
        return [self.folders.get(split, split) for split in splits]

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        for label in self.selected_labels:
            for folder in (self.root / self.folders.get(split, split) / label for split in splits):
                if not folder.is_dir():
                    yield self.missing(f"there is no folder {folder}")
                    continue
                files = sorted(each for each in folder.iterdir() if each.suffix == self.suffix and each.name[0] != ".")
                if not files:
                    yield self.missing(f"{folder} holds no {self.suffix} files")
                for path in files:
                    yield Item(self.make_id(path), path, self.class_by_label[label], {"size": self.sensor})

    def complete_item(self, item: Item) -> Iterator[Item | BadInput]:
        if self.pictures is None:
            yield item
            return
        path = self.picture_folder() / item.source.parent.name / f"{item.source.stem}{self.picture_suffix}"
        if not path.is_file():
            yield self.missing(f"{item.id} does not pair: there is no picture {path}")
        yield replace(item, partners={"image": path})

    def picture_folder(self) -> Path:
        """The folder of class folders of images."""
        return self.folder / (self.pictures or "")


class NMnist(ClassFolders):
    """60,000 recordings to train and 10,000 to test, as `Train/0/00002.bin`; the classes are `0` to `9`.

    The folder holds `Train` and `Test`, or `N-MNIST` which does. Source: Orchard et al., 2015, "Converting Static Image
    Datasets to Spiking Neuromorphic Datasets Using Saccades".
    """

    name = "N-MNIST"
    licence = "CC BY-SA 4.0"
    size = "70,000 recordings, 1.1 GB packed"
    published = "https://www.garrickorchard.com/datasets/n-mnist (Train.zip and Test.zip, unpacked side by side)"
    splits: ClassVar = {"train": 60_000, "test": 10_000}
    split = "test"
    inner = "N-MNIST"
    folders: ClassVar = {"train": "Train", "test": "Test"}
    suffix, sensor = ".bin", (34, 34)

    def class_names(self) -> Mapping[str, str]:
        return {str(digit): str(digit) for digit in range(10)}


class NCars(ClassFolders):
    """15,422 recordings of 100 ms to train and 8,607 to test, as `n-cars_train/cars/obj_000000_td.dat`.

    The folder holds `n-cars_train` and `n-cars_test`, or `Prophesee_Dataset_n_cars` which does. Source: Sironi et al.,
    2018, "HATS: Histograms of Averaged Time Surfaces for Robust Event-based Object Classification".
    """

    name = "N-CARS"
    licence = "as published with the data (for research)"
    size = "24,029 recordings of 100 ms"
    published = "https://www.prophesee.ai/dataset-n-cars-download (n-cars_train.zip and n-cars_test.zip, unpacked)"
    splits: ClassVar = {"train": 15_422, "test": 8_607}
    split = "test"
    inner = "Prophesee_Dataset_n_cars"
    folders: ClassVar = {"train": "n-cars_train", "test": "n-cars_test"}
    suffix, sensor = ".dat", (120, 100)  # the largest recording

    def class_names(self) -> Mapping[str, str]:
        return {"background": "background", "cars": "car"}


class NCaltech101(ClassFolders):
    """8,709 recordings in 101 classes (100 kinds of thing and the background), as `Caltech101/ant/image_0001.bin`.

    The folder holds the 101 class folders, or `Caltech101` which does; `pictures` is Caltech101's
    `101_ObjectCategories`. The data have no published split. EventBind's has 6,968 recordings to train and 1,741 to
    validate, but its list of files is not known here; `val` is a fifth of each class by hash (see `held_out`), so that
    its sizes are near those and its files are others: figures of the two compare only roughly.

    Source: Orchard et al., 2015, "Converting Static Image Datasets to Spiking Neuromorphic Datasets Using Saccades".
    """

    name = "N-Caltech101"
    licence = "CC BY 4.0"
    size = "8,709 recordings"
    published = "https://www.garrickorchard.com/datasets/n-caltech101 (Caltech101.zip, unpacked)"
    splits: ClassVar = {"all": 8_709, "train": None, "val": None}
    split = "val"
    inner = "Caltech101"
    folders: ClassVar = {"all": ""}
    suffix, sensor = ".bin", (240, 180)
    options = ("pictures", "seed")
    seed: int = 0
    """Of the split."""

    def class_names(self) -> Mapping[str, str]:
        return load_lists("n_caltech101").names

    def list_required_paths(self, splits: Sequence[str]) -> Sequence[str]:
        return list(self.class_by_label)

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        return super().scan(["all"])

    def select(self, items: Sequence[Item], limit: int | None) -> list[Item]:
        if self.split != "all":
            by_class = ([item.id for item in items if item.label == name] for name in self.classes)
            val = {id for ids in by_class for id in held_out(ids, HELD_OUT, self.seed)}
            items = [item for item in items if (item.id in val) == (self.split == "val")]
        return super().select(items, limit)


class NImageNet(ClassFolders):
    """1,281,166 recordings to train and 50,000 to validate, as `extracted_val/n01440764/ILSVRC2012_val_00000293.npz`.

    The folder holds `extracted_train` and `extracted_val`, or `N_Imagenet` which does; `split` may also be the folder
    of a variant, such as `val_mode_1` of N_ImageNet_cam.7z; `pictures` is ImageNet's folder, which holds `train` and
    `val`. The classes are called as CLIP's prompts call those of ImageNet.

    Source: Kim et al., 2021, "N-ImageNet: Towards Robust, Fine-Grained Object Recognition with Event Cameras".
    """

    name = "N-ImageNet"
    licence = "as published with the data (ImageNet's terms: for research)"
    size = "1,331,166 recordings"
    published = "https://github.com/82magnolia/n_imagenet (N_ImageNet.7z, unpacked)"
    splits: ClassVar = {"train": 1_281_166, "val": 50_000}
    split = "val"
    inner = "N_Imagenet"
    suffix, sensor, picture_suffix = ".npz", (640, 480), ".JPEG"
    options = ("pictures",)

    def class_names(self) -> Mapping[str, str]:
        return load_lists("n_imagenet").names

    def resolve_splits(self) -> Sequence[str]:
        return [self.split if (self.folder / self.split).is_dir() else f"extracted_{self.split}"]

    def picture_folder(self) -> Path:
        return super().picture_folder() / ("train" if "train" in self.split else "val")


class NImageNetMini(NImageNet):
    """The 100 classes of N-ImageNet that Masked Event Modeling chose (Klenk et al., 2023), and the paper's 80/20 rule.

    The paper trains on 80 % of the classes and asks about the others, but does not say which they are: here the
    unseen fifth is drawn by hash (see `held_out`). Its zero-shot figures are of 20 classes with 50 recordings each,
    asked among all 100 names.
    """

    name = "N-ImageNet mini"
    size = "100 classes of N-ImageNet, 5,000 recordings of them to validate; about 45 GB"
    splits: ClassVar = {"train": None, "val": 5_000}
    options = ("pictures", "part", "seed")
    part: str = "all"
    """`seen` (80 classes), `unseen` (20) or `all`."""
    seed: int = 0
    """Of the choice of unseen classes."""

    def class_names(self) -> Mapping[str, str]:
        lists = load_lists("n_imagenet")
        return {label: lists.names[label] for label in lists.mini}

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        unseen = held_out(self.class_by_label, UNSEEN, self.seed)
        parts = {"all": {*self.class_by_label}, "seen": {*self.class_by_label} - unseen, "unseen": unseen}
        if self.part not in parts:
            raise BadOption(f"there is no part {self.part!r}{errors.suggest_names(self.part, parts)}")
        self.selected_labels = [label for label in self.selected_labels if label in parts[self.part]]
        return super().scan(splits)
