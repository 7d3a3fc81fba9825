"""Published datasets with split folders and class folders: a base class, and the event datasets of this form."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from anybind.plugin import BadInput, BadOption, Dataset, Item, errors
from anybind_datasets.lists import draw_subset, load_lists

VAL_FRACTION = 0.2
"""Fraction of each class of N-Caltech101 in the split `val`."""
UNSEEN_FRACTION = 0.2
"""Fraction of the classes of N-ImageNet mini in the subset `unseen`, as in the paper."""


class ClassFolders(Dataset):
    """Recordings as `SPLIT/CLASS/FILE`; subclasses only set class attributes.

    Attributes:
        folders: folder of each split, relative to the root. [default: the split's name]
        suffix: suffix of the recordings, with the dot.
        sensor: width and height in pixels, which the files do not state.
        image_suffix: suffix of the source images of the recordings.
        images: folder of the source images, one subfolder a class, absolute or relative to `folder`. If given, every
            recording has its image as partner `image`.
    """

    sample_modalities = ("event",)
    lists_incomplete = True
    folders: ClassVar[Mapping[str, str]] = {}
    suffix: ClassVar[str]
    sensor: ClassVar[tuple[int, int]]
    image_suffix: ClassVar[str] = ".jpg"
    images: str | os.PathLike[str] | None = None

    def list_required_paths(self, splits: Sequence[str]) -> Sequence[str]:
        return [self.folders.get(split, split) for split in splits]

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        for label in self.selected_labels:
            for folder in (self.root / self.folders.get(split, split) / label for split in splits):
                if not folder.is_dir():
                    yield self.missing(f"missing folder {folder}")
                    continue
                files = sorted(each for each in folder.iterdir() if each.suffix == self.suffix and each.name[0] != ".")
                if not files:
                    yield self.missing(f"{folder} has no {self.suffix} files")
                for path in files:
                    yield Item(self.make_id(path), path, self.class_by_label[label], {"size": self.sensor})

    def complete_item(self, item: Item) -> Iterator[Item | BadInput]:
        if self.images is None:
            yield item
            return
        path = self.find_image_folder() / item.source.parent.name / f"{item.source.stem}{self.image_suffix}"
        if not path.is_file():
            yield self.missing(f"{item.id}: missing image {path}")
        yield replace(item, partners={"image": path})

    def find_image_folder(self) -> Path:
        """Return the folder of the images' class folders."""
        return self.folder / (self.images or "")


class NMnist(ClassFolders):
    """N-MNIST: 60,000 training and 10,000 test recordings, as `Train/0/00002.bin`; the classes are `0` to `9`.

    The folder contains `Train` and `Test`, or a subfolder `N-MNIST` with both. Source: Orchard et al., 2015,
    "Converting Static Image Datasets to Spiking Neuromorphic Datasets Using Saccades".
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
    """N-CARS: 15,422 training and 8,607 test recordings of 100 ms, as `n-cars_train/cars/obj_000000_td.dat`.

    The folder contains `n-cars_train` and `n-cars_test`, or a subfolder `Prophesee_Dataset_n_cars` with both. Source:
    Sironi et al., 2018, "HATS: Histograms of Averaged Time Surfaces for Robust Event-based Object Classification".
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
    """N-Caltech101: 8,709 recordings of 100 object classes and background, as `Caltech101/ant/image_0001.bin`.

    The folder contains the 101 class folders, or a subfolder `Caltech101` with them; `images` is Caltech101's
    `101_ObjectCategories`. The dataset has no published split. EventBind's has 6,968 training and 1,741 validation
    recordings, but its file list is not published; here `val` is a fifth of each class by hash (see `draw_subset`): its
    size is similar and its files differ, so that results compare only roughly.

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
    options = ("images", "seed")
    seed: int = 0
    """Seed of the split."""

    def class_names(self) -> Mapping[str, str]:
        return load_lists("n_caltech101").names

    def list_required_paths(self, splits: Sequence[str]) -> Sequence[str]:
        return list(self.class_by_label)

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        return super().scan(["all"])

    def select(self, items: Sequence[Item], limit: int | None) -> list[Item]:
        if self.split != "all":
            by_class = ([item.id for item in items if item.label == name] for name in self.classes)
            val = {id for ids in by_class for id in draw_subset(ids, VAL_FRACTION, self.seed)}
            items = [item for item in items if (item.id in val) == (self.split == "val")]
        return super().select(items, limit)


class NImageNet(ClassFolders):
    """N-ImageNet: 1,281,166 training and 50,000 validation recordings of 1,000 classes.

    The folder contains `extracted_train` and `extracted_val` (with files such as `n01440764/ILSVRC2012_val_*.npz`), or
    a subfolder `N_Imagenet` with both; `split` may also be the folder of a variant, such as `val_mode_1` of
    N_ImageNet_cam.7z; `images` is ImageNet's folder with `train` and `val`. Class names are those of CLIP's prompts for
    ImageNet; those of the subset `authors` are ImageNet's full synset names, such as "tench, Tinca tinca".

    The subset `authors` has the 100 classes of the published lists of the paper's authors, 16 of which are in
    N-ImageNet mini. They evaluate zero- and few-shot on 20 of them with 50 validation recordings each, with all 100
    classes as candidate labels, and pre-train on the others.

    Source: Kim et al., 2021, "N-ImageNet: Towards Robust, Fine-Grained Object Recognition with Event Cameras".
    """

    name = "N-ImageNet"
    licence = "as published with the data (ImageNet's terms: for research)"
    size = "1,331,166 recordings"
    published = "https://github.com/82magnolia/n_imagenet (N_ImageNet.7z, unpacked)"
    splits: ClassVar = {"train": 1_281_166, "val": 50_000}
    split = "val"
    inner = "N_Imagenet"
    suffix, sensor, image_suffix = ".npz", (640, 480), ".JPEG"
    options = ("images", "subset")
    subset: str = "all"
    """Class subset: `all`, or `authors` (100 classes), `authors-seen` (80) or `authors-unseen` (20)."""

    def class_names(self) -> Mapping[str, str]:
        return load_lists("n_imagenet_authors" if self.subset.startswith("authors") else "n_imagenet").names

    def find_subsets(self) -> Mapping[str, set[str]]:
        """Return the labels of each subset."""
        authors = load_lists("n_imagenet_authors")
        unseen = set(authors.unseen)
        subsets = {"authors": {*authors.names}, "authors-seen": {*authors.names} - unseen, "authors-unseen": unseen}
        return {"all": {*load_lists("n_imagenet").names}, **subsets}

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        subsets = self.find_subsets()
        if self.subset not in subsets:
            raise BadOption(f"there is no subset {self.subset!r}{errors.suggest_names(self.subset, subsets)}")
        self.selected_labels = [label for label in self.selected_labels if label in subsets[self.subset]]
        return super().scan(splits)

    def resolve_splits(self) -> Sequence[str]:
        return [self.split if (self.folder / self.split).is_dir() else f"extracted_{self.split}"]

    def find_image_folder(self) -> Path:
        return super().find_image_folder() / ("train" if "train" in self.split else "val")


class NImageNetMini(NImageNet):
    """N-ImageNet mini: the 100 classes of Masked Event Modeling (Klenk et al., 2023) and EventCLIP.

    `seen` and `unseen` are 80 and 20 of them; the unseen fifth is drawn by hash (see `draw_subset`). The paper's
    classes are those of its authors' lists: see the subset `authors` of `NImageNet`.
    """

    name = "N-ImageNet mini"
    size = "100 classes of N-ImageNet, 5,000 validation recordings; about 45 GB"
    splits: ClassVar = {"train": None, "val": 5_000}
    options = ("images", "subset", "seed")
    subset: str = "all"
    """Class subset: `seen` (80 classes), `unseen` (20) or `all`."""
    seed: int = 0
    """Seed of the draw of unseen classes."""

    def class_names(self) -> Mapping[str, str]:
        lists = load_lists("n_imagenet")
        return {label: lists.names[label] for label in lists.mini}

    def find_subsets(self) -> Mapping[str, set[str]]:
        labels = {*self.class_by_label}
        unseen = draw_subset(labels, UNSEEN_FRACTION, self.seed)
        return {"all": labels, "seen": labels - unseen, "unseen": unseen}
