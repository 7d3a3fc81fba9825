"""Datasets of videos in which it is annotated when something abnormal happens."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np

from anybind import AnybindWarning
from anybind.plugin import BadInput, Dataset, Item, tables
from anybind_datasets.video_annotations import (
    Spans,
    fields_as_spans,
    films_by_name,
    read_lines,
    spans_from_one,
    spans_of_marks,
    spans_of_mask,
    spans_of_masks,
    spans_of_script,
    subfolders,
)
from anybind_datasets.lists import mat_array

NORMAL = "normal"
"""Label of a video without anomalies."""
LABELS = "labels.json"
UCF_TEST, UCF_TRAIN = "Temporal_Anomaly_Annotation*.txt", "Anomaly_Train.txt"
UCSD_FPS = 10.0
"""Frames a second, which folders of frames do not say."""
XD_ANNOTATIONS = "annotations.txt"
XD_CODES = {
    "A": "normal",
    "B1": "fighting",
    "B2": "shooting",
    "B4": "riot",
    "B5": "abuse",
    "B6": "car accident",
    "G": "explosion",
}
"""What the codes at the end of a file name of XD-Violence mean, as in `..._label_B2-0-0`."""


class FilmDataset(Dataset):
    """Videos whose abnormal frames are annotated: items' notes hold `split` and `abnormal` (see `Item`).

    `scan` lists both splits; `limit` keeps the first so many of each, by id. Annotated videos that are missing are
    reported in a warning, and the others are used.
    """

    licence = "as published with the data"
    sample_modalities = ("video",)
    derived = True
    splits: ClassVar = {"all": None, "train": None, "test": None}

    def absent(self, name: str, split: str = "test") -> BadInput:
        """What is missing where the annotations name a video that is not there."""
        return self.missing(f"there is no film {name}", needed=False, split=split)

    def select(self, items: Sequence[Item], limit: int | None) -> list[Item]:
        by_id = sorted(items, key=lambda item: item.id)
        splits = [split for split in ("test", "train") if self.split in ("all", split)]
        chosen = [item for split in splits for item in [each for each in by_id if each.split == split][:limit]]
        if not chosen:
            part = "" if self.split == "all" else f" of the part {self.split}"
            raise self.missing(f"{self.root} has no films{part}")
        return chosen

    def warn_missing(self, missing: Sequence[BadInput]) -> None:
        told = f"{self.folder}: annotated videos are missing: {len(missing)}, first: {missing[0]}; the others are used"
        warnings.warn(told, AnybindWarning, stacklevel=2)

    @property
    def classes(self) -> Sequence[str]:
        return sorted({item.label for item in self._items})

    @property
    def all_classes(self) -> Sequence[str]:
        """The classes of the videos that are listed."""
        return self.classes


class LabelledFilms(FilmDataset):
    """Videos of one's own, or folders of frames, in and below a folder, with `labels.json` in it.

    The file says of each video, by its name without the ending, which frames are abnormal, counted from 1, the last
    included, and may say its split (`test` if not) and its class:
    `{"01": {"anomalous": [[61, 180]], "split": "train", "class": "fighting"}}`.
    """

    fps: ClassVar[float | None] = None
    """Frames a second of folders of frames, where they are known."""

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        path = self.root / LABELS
        if not path.is_file():
            raise BadInput(f"{self.root} has no {LABELS}: a film's name, and its abnormal frames as first and last")
        labels = tables.read_json(path)
        if not isinstance(labels, dict) or not all(isinstance(about, dict) for about in labels.values()):
            raise BadInput(
                f'{path} must hold an entry for each film: {{"name": {{"anomalous": [[first, last], ...]}}}}'
            )
        folders = (each for folder in (self.root, self.root / "frames") for each in subfolders(folder))
        places = films_by_name(self.root) | {each.name: each for each in folders}
        for name, about in labels.items():
            pairs, split = about.get("anomalous", []), about.get("split", "test")
            if name not in places:
                yield self.absent(name, str(split))
                continue
            lists = isinstance(pairs, list) and all(isinstance(pair, list) for pair in pairs)
            if split not in ("train", "test") or not lists:
                raise BadInput(
                    f"{path}: {name!r} needs anomalous as [[first, last], ...], and split train or test if any"
                )
            spans = spans_from_one(pairs, f"{path}, {name!r}")
            options = {"fps": self.fps} if self.fps and places[name].is_dir() else {}
            yield film_item(name, places[name], split, spans, str(about.get("class", "")), options)


class UcsdPed(LabelledFilms):
    """Videos as folders of frames: `UCSDped1` (36 to test, 34 to train) or `UCSDped2` (12 and 16).

    The folder holds `Test/Test001`, ..., and for training `Train/Train001`, .... Which frames are abnormal is said by
    `Test/UCSDped2.m`, a line `gt_frame = [61:180];` for each video (counted from 1, the last included), else by the
    masks in `Test/Test001_gt`. A folder with `labels.json` is read as `labelled-films` are. People on walkways:
    bicycles, skateboards and vehicles are abnormal. Mahadevan et al., CVPR 2010.
    """

    name = "UCSD Ped"
    size = "Ped1: 70 films of 200 frames; Ped2: 28 films of 120 to 180 frames"
    splits: ClassVar = {"train": 16, "test": 12}
    published = "http://www.svcl.ucsd.edu/projects/anomaly/dataset.htm"
    fps = UCSD_FPS

    @classmethod
    def published_splits(cls, folder: str | PathLike[str]) -> Mapping[str, int | None]:
        root = Path(folder).resolve()
        first = "ped1" in root.name.lower() or (root / "Test" / "UCSDped1.m").is_file()
        return {"train": 34, "test": 36} if first else cls.splits

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        self.name = self.folder.resolve().name
        if (self.root / LABELS).is_file():
            yield from super().scan(splits)
            return
        films = [path for path in subfolders(self.root / "Test") if re.fullmatch(r"Test\d+", path.name)]
        scripts = sorted((self.root / "Test").glob("*.m"))
        listed = spans_of_script(scripts[0]) if scripts else []
        if not films:
            raise self.missing(f"{self.root} has no Test/Test001, ...")
        for path in films:
            number, masks = int(path.name[4:]), path.with_name(f"{path.name}_gt")
            if number > len(listed) and not masks.is_dir():
                told = f"labels of {path.name}, neither in Test/*.m nor as Test/{masks.name}"
                raise self.missing(f"{self.root} has no {told}")
            spans = listed[number - 1] if number <= len(listed) else spans_of_masks(masks)
            yield film_item(path.name, path, "test", spans, options={"fps": UCSD_FPS})
        for number in range(1, len(listed) + 1):
            if self.root / "Test" / f"Test{number:03}" not in films:
                yield self.absent(f"Test/Test{number:03}")
        for path in subfolders(self.root / "Train"):
            yield film_item(path.name, path, "train", [], options={"fps": UCSD_FPS})


class Avenue(FilmDataset):
    """21 videos to test and 16 normal ones to train. Running, throwing, walking the wrong way are abnormal.

    The folder holds `testing_videos/01.avi`, ..., the ground truth anywhere as `1_label.mat`, ... (`volLabel`: a
    mask for each frame, which is abnormal where any pixel is set), and for training `training_videos`. Reading the
    masks takes some seconds a video. Lu, Shi and Jia, ICCV 2013.
    """

    name = "CUHK Avenue"
    size = "37 films, 30,652 frames"
    splits: ClassVar = {"train": 16, "test": 21}
    published = "http://www.cse.cuhk.edu.hk/leojia/projects/detectabnormal/dataset.html"

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        masks = {path.stem.removesuffix("_label"): path for path in sorted(self.root.rglob("*_label.mat"))}
        if not masks:
            raise self.missing(f"{self.root} has no ground truth (1_label.mat, ...)")
        films = {name.lstrip("0"): path for name, path in films_by_name(self.root / "testing_videos").items()}
        for name, path in sorted(masks.items()):
            film = films.get(name.lstrip("0"))
            if film is None:
                yield self.absent(f"testing_videos/{int(name):02}.avi" if name.isdigit() else name)
                continue
            cells = mat_array(path, "volLabel")
            if cells.dtype != object or not cells.size:
                raise BadInput(f"{path}: volLabel must be a cell array with a mask in each cell")
            marks = np.array([np.asarray(mask).any() for mask in cells.ravel()])
            yield film_item(film.stem, film, "test", spans_of_mask(marks))
        for name, path in films_by_name(self.root / "training_videos").items():
            yield film_item(f"training {name}", path, "train", False)


class ShanghaiTech(FilmDataset):
    """107 videos to test, as folders of frames with a mask, and 330 normal ones to train. 13 places on a campus.

    The folder holds `testing/frames/01_0014/000.jpg`, `testing/test_frame_mask/01_0014.npy` (a number for each frame,
    0 where normal) and for training `training/videos/01_001.avi`. Luo, Liu and Gao, ICCV 2017.
    """

    name = "ShanghaiTech Campus"
    size = "437 films, 317,398 frames"
    splits: ClassVar = {"train": 330, "test": 107}
    published = "https://svip-lab.github.io/dataset/campus_dataset.html"

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        masks = sorted((self.root / "testing" / "test_frame_mask").glob("*.npy"))
        if not masks:
            raise self.missing(f"{self.root} has no testing/test_frame_mask/*.npy")
        for path in masks:
            frames = self.root / "testing" / "frames" / path.stem
            if frames.is_dir():
                yield film_item(path.stem, frames, "test", spans_of_marks(path))
            else:
                yield self.absent(str(frames.relative_to(self.root)))
        for name, path in films_by_name(self.root / "training").items():
            yield film_item(name, path, "train", False)
        for frames in subfolders(self.root / "training" / "frames"):
            yield film_item(frames.name, frames, "train", False)


class UcfCrime(FilmDataset):
    """290 videos to test whose abnormal frames are known, and 1,610 to train of which only the class is.

    The folder holds `Temporal_Anomaly_Annotation_for_Testing_Videos.txt`, the videos in any folders, and for training
    `Anomaly_Train.txt`. A line of the first is a video, its class, and first and last frame of up to two abnormal parts
    (-1 for none), which are taken as counted from 1. Sultani, Chen and Shah, CVPR 2018.
    """

    name = "UCF-Crime"
    size = "1,900 films, 128 hours"
    splits: ClassVar = {"train": 1_610, "test": 290}
    published = "https://www.crcv.ucf.edu/projects/real-world/"

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        annotations = sorted(self.root.rglob(UCF_TEST))
        if not annotations:
            raise self.missing(f"{self.root} has no annotation file {UCF_TEST}")
        films = films_by_name(self.root)
        for number, fields in read_lines(annotations[0]):
            where, name = f"{annotations[0]}, line {number}", PurePosixPath(fields[0]).stem
            if len(fields) < 4:
                raise BadInput(f"{where}: expected a film, its class and two numbers or more")
            if name in films:
                yield film_item(name, films[name], "test", fields_as_spans(fields[2:], where), _ucf_class(fields[1]))
            else:
                yield self.absent(fields[0])
        for listed in sorted(self.root.rglob(UCF_TRAIN))[:1]:
            for _, fields in read_lines(listed):
                place = PurePosixPath(fields[0])
                if place.stem in films:
                    abnormal = "normal" not in place.parts[0].lower()
                    yield film_item(place.stem, films[place.stem], "train", abnormal, _ucf_class(place.parts[0]))
                else:
                    yield self.absent(str(place), "train")


class XdViolence(FilmDataset):
    """800 videos to test whose violent frames are known, and 3,954 to train whose names say the classes.

    The folder holds `annotations.txt` and the videos in any folders. A line is the name of a violent test video and
    first and last frame of each violent part, taken as counted from 1. Videos that it does not name are of the test
    split when they are normal and their folder's name has `test` in it or is `videos`; others are of the training
    split. A video of several classes has the first as its label. Wu et al., ECCV 2020.
    """

    name = "XD-Violence"
    size = "4,754 films, 217 hours"
    splits: ClassVar = {"train": 3_954, "test": 800}
    published = "https://roc-ng.github.io/XD-Violence/"

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        annotations = sorted(self.root.rglob(XD_ANNOTATIONS))
        if not annotations:
            raise self.missing(f"{self.root} has no annotation file {XD_ANNOTATIONS}")
        films = films_by_name(self.root)
        for number, (name, *fields) in read_lines(annotations[0]):
            stem = name.removesuffix(".mp4")
            if stem in films:
                spans = fields_as_spans(fields, f"{annotations[0]}, line {number}")
                yield film_item(stem, films.pop(stem), "test", spans, _xd_class(stem))
            else:
                yield self.absent(name)
        for stem, path in films.items():
            label, folder = _xd_class(stem), path.parent.name.lower()
            test = label == NORMAL and ("test" in folder or folder == "videos")
            yield film_item(stem, path, "test" if test else "train", label != NORMAL, label)


def _ucf_class(text: str) -> str:
    """`RoadAccidents` as `road accidents`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).lower()


def _xd_class(stem: str) -> str:
    found = re.search(r"_label_([A-Z]\d?)", stem)
    if not found or found[1] not in XD_CODES:
        raise BadInput(f"{stem}: the name of a film must end in the codes of its classes, as _label_A or _label_B2-0-0")
    return XD_CODES[found[1]]


def film_item(
    id: str,
    source: Path,
    split: str,
    abnormal: Spans | bool,
    label: str = "",
    options: Mapping[str, object] | None = None,
) -> Item:
    """An item of a video. The label is `normal` or, without a better one, `abnormal`."""
    label = (label or "abnormal") if abnormal else NORMAL
    return Item(id, source, label, options or {}, notes={"split": split, "abnormal": abnormal or []})
