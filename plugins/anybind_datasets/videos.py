"""Video anomaly detection datasets with annotated abnormal frames."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import ClassVar

import numpy as np

from anybind import AnybindWarning
from anybind.plugin import BadInput, Dataset, Item, tables
from anybind_datasets.lists import read_mat_array
from anybind_datasets.video_annotations import (
    EVENT_SUFFIXES,
    Spans,
    convert_spans,
    find_spans,
    find_videos,
    list_subfolders,
    parse_spans,
    read_lines,
    read_mask_images,
    read_matlab_script,
    read_numpy_mask,
)

NORMAL = "normal"
"""Label of a video without anomalies."""
LABELS = "labels.json"
UCSD_FPS = 10.0
"""Frame rate in Hz, which folders of frames do not state."""
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
"""Class by code at the end of XD-Violence file names, as in `..._label_B2-0-0`."""


class VideoDataset(Dataset):
    """A dataset of videos with annotated abnormal frames: items' notes hold `split` and `abnormal` (see `Item`).

    `scan` lists both splits; `limit` keeps the first ones of each by id. Missing annotated videos are reported in a
    warning, and the others are used.
    """

    licence = "as published with the data"
    sample_modalities = ("video",)
    derived = True
    splits: ClassVar = {"all": None, "train": None, "test": None}

    def missing_video(self, name: str, split: str = "test") -> BadInput:
        """Return the error for a missing annotated video."""
        return self.missing(f"missing video {name}", needed=False, split=split)

    def select(self, items: Sequence[Item], limit: int | None) -> list[Item]:
        by_id = sorted(items, key=lambda item: item.id)
        splits = [split for split in ("test", "train") if self.split in ("all", split)]
        selected = [item for split in splits for item in [each for each in by_id if each.split == split][:limit]]
        if not selected:
            split_text = "" if self.split == "all" else f" of the split {self.split}"
            raise self.missing(f"{self.root} has no videos{split_text}")
        return selected

    def warn_missing(self, missing: Sequence[BadInput]) -> None:
        message = f"{self.folder}: missing annotated videos: {len(missing)}, first: {missing[0]}; others are used"
        warnings.warn(message, AnybindWarning, stacklevel=2)

    @property
    def classes(self) -> Sequence[str]:
        return sorted({item.label for item in self._items})

    @property
    def all_classes(self) -> Sequence[str]:
        """The classes of the listed videos."""
        return self.classes


class LabelledVideos(VideoDataset):
    """Own videos, folders of frames or event recordings, annotated by `labels.json` in the folder.

    The file has, by video name without suffix, the abnormal frames, counted from 1, ends included, and optionally split
    (default `test`) and class: `{"01": {"anomalous": [[61, 180]], "split": "train", "class": "fighting"}}`. The frames
    of an event recording have equal duration from the first event on, by `"fps"` (default 25).
    """

    fps: ClassVar[float | None] = None
    """Frame rate in Hz of folders of frames, if known."""

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        path = self.root / LABELS
        if not path.is_file():
            raise BadInput(f"{self.root} has no {LABELS} with first and last abnormal frames by video name")
        labels = tables.read_json(path)
        if not isinstance(labels, dict) or not all(isinstance(annotation, dict) for annotation in labels.values()):
            raise BadInput(f'{path}: expected one entry per video: {{"name": {{"anomalous": [[first, last], ...]}}}}')
        folders = (each for folder in (self.root, self.root / "frames") for each in list_subfolders(folder))
        paths = find_videos(self.root, EVENT_SUFFIXES) | find_videos(self.root) | {each.name: each for each in folders}
        for name, about in labels.items():
            pairs, split = about.get("anomalous", []), about.get("split", "test")
            if name not in paths:
                yield self.missing_video(name, str(split))
                continue
            valid = isinstance(pairs, list) and all(isinstance(pair, list) for pair in pairs)
            if split not in ("train", "test") or not valid:
                raise BadInput(
                    f"{path}: {name!r}: expected anomalous as [[first, last], ...], and split (optional) train or test"
                )
            spans = convert_spans(pairs, f"{path}, {name!r}")
            options = {"fps": self.fps} if self.fps and paths[name].is_dir() else {}
            fps = about.get("fps")
            if fps is not None and not (isinstance(fps, int | float) and fps > 0):
                raise BadInput(f"{path}: {name!r}: expected fps above 0, got {fps!r}")
            yield make_video_item(name, paths[name], split, spans, str(about.get("class", "")), options, fps)


class UcsdPed(LabelledVideos):
    """UCSD Ped1 (36 test and 34 training videos) or Ped2 (12 and 16), as folders of frames.

    The folder contains `Test/Test001`, ..., and for training `Train/Train001`, .... Abnormal frames are annotated in
    `Test/UCSDped2.m`, with a line `gt_frame = [61:180];` per video (counted from 1, end included), or else by masks in
    `Test/Test001_gt`. A folder with `labels.json` is read as in `labelled-videos`. Anomalies are bicycles, skateboards
    and vehicles on walkways. Mahadevan et al., CVPR 2010.
    """

    name = "UCSD Ped"
    size = "Ped1: 70 videos of 200 frames; Ped2: 28 videos of 120 to 180 frames"
    splits: ClassVar = {"train": 16, "test": 12}
    published = "http://www.svcl.ucsd.edu/projects/anomaly/dataset.htm"
    fps = UCSD_FPS

    @classmethod
    def published_splits(cls, folder: str | PathLike[str]) -> Mapping[str, int | None]:
        root = Path(folder).resolve()
        is_ped1 = "ped1" in root.name.lower() or (root / "Test" / "UCSDped1.m").is_file()
        return {"train": 34, "test": 36} if is_ped1 else cls.splits

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        self.name = self.folder.resolve().name
        if (self.root / LABELS).is_file():
            yield from super().scan(splits)
            return
        videos = [path for path in list_subfolders(self.root / "Test") if re.fullmatch(r"Test\d+", path.name)]
        scripts = sorted((self.root / "Test").glob("*.m"))
        script_spans = read_matlab_script(scripts[0]) if scripts else []
        if not videos:
            raise self.missing(f"{self.root} has no Test/Test001, ...")
        for path in videos:
            number, masks = int(path.name[4:]), path.with_name(f"{path.name}_gt")
            if number > len(script_spans) and not masks.is_dir():
                labels = f"labels of {path.name}, neither in Test/*.m nor as Test/{masks.name}"
                raise self.missing(f"{self.root} has no {labels}")
            spans = script_spans[number - 1] if number <= len(script_spans) else read_mask_images(masks)
            yield make_video_item(path.name, path, "test", spans, options={"fps": UCSD_FPS})
        for number in range(1, len(script_spans) + 1):
            if self.root / "Test" / f"Test{number:03}" not in videos:
                yield self.missing_video(f"Test/Test{number:03}")
        for path in list_subfolders(self.root / "Train"):
            yield make_video_item(path.name, path, "train", [], options={"fps": UCSD_FPS})


class Avenue(VideoDataset):
    """CUHK Avenue: 21 test videos and 16 normal training videos. Anomalies are running, throwing, wrong direction.

    The folder contains `testing_videos/01.avi`, ..., the ground truth in any subfolder as `1_label.mat`, ...
    (`volLabel`: one mask a frame, abnormal if any pixel is nonzero), and for training `training_videos`. Reading the
    masks takes some seconds a video. Lu, Shi and Jia, ICCV 2013.
    """

    name = "CUHK Avenue"
    size = "37 videos, 30,652 frames"
    splits: ClassVar = {"train": 16, "test": 21}
    published = "http://www.cse.cuhk.edu.hk/leojia/projects/detectabnormal/dataset.html"

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        masks = {path.stem.removesuffix("_label"): path for path in sorted(self.root.rglob("*_label.mat"))}
        if not masks:
            raise self.missing(f"{self.root} has no ground truth (1_label.mat, ...)")
        videos = {name.lstrip("0"): path for name, path in find_videos(self.root / "testing_videos").items()}
        for name, path in sorted(masks.items()):
            video = videos.get(name.lstrip("0"))
            if video is None:
                yield self.missing_video(f"testing_videos/{int(name):02}.avi" if name.isdigit() else name)
                continue
            cells = read_mat_array(path, "volLabel")
            if cells.dtype != object or not cells.size:
                raise BadInput(f"{path}: volLabel: expected a cell array with one mask per cell")
            marks = np.array([np.asarray(mask).any() for mask in cells.ravel()])
            yield make_video_item(video.stem, video, "test", find_spans(marks))
        for name, path in find_videos(self.root / "training_videos").items():
            yield make_video_item(f"training {name}", path, "train", False)


class ShanghaiTech(VideoDataset):
    """ShanghaiTech Campus: 107 test videos as folders of frames, and 330 normal training videos, of 13 scenes.

    The folder contains `testing/frames/01_0014/000.jpg`, `testing/test_frame_mask/01_0014.npy` (one number a frame, 0
    for normal) and for training `training/videos/01_001.avi`. Luo, Liu and Gao, ICCV 2017.
    """

    name = "ShanghaiTech Campus"
    size = "437 videos, 317,398 frames"
    splits: ClassVar = {"train": 330, "test": 107}
    published = "https://svip-lab.github.io/dataset/campus_dataset.html"

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        masks = sorted((self.root / "testing" / "test_frame_mask").glob("*.npy"))
        if not masks:
            raise self.missing(f"{self.root} has no testing/test_frame_mask/*.npy")
        for path in masks:
            frames = self.root / "testing" / "frames" / path.stem
            if frames.is_dir():
                yield make_video_item(path.stem, frames, "test", read_numpy_mask(path))
            else:
                yield self.missing_video(str(frames.relative_to(self.root)))
        for name, path in find_videos(self.root / "training").items():
            yield make_video_item(name, path, "train", False)
        for frames in list_subfolders(self.root / "training" / "frames"):
            yield make_video_item(frames.name, frames, "train", False)


class XdViolence(VideoDataset):
    """XD-Violence: 800 test videos with annotated violent frames, and 3,954 training videos with classes in file names.

    The folder contains `annotations.txt` and the videos in any subfolders. A line is the name of a violent test video
    and first and last frame of each violent span, assumed to be counted from 1. Unlisted videos belong to the test
    split if they are normal and their folder's name contains `test` or is `videos`; others belong to the training
    split. The label of a video with several classes is the first. Wu et al., ECCV 2020.
    """

    name = "XD-Violence"
    size = "4,754 videos, 217 hours"
    splits: ClassVar = {"train": 3_954, "test": 800}
    published = "https://roc-ng.github.io/XD-Violence/"

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        annotations = sorted(self.root.rglob(XD_ANNOTATIONS))
        if not annotations:
            raise self.missing(f"{self.root} has no annotation file {XD_ANNOTATIONS}")
        videos = find_videos(self.root)
        for number, (name, *fields) in read_lines(annotations[0]):
            stem = name.removesuffix(".mp4")
            if stem in videos:
                spans = parse_spans(fields, f"{annotations[0]}, line {number}")
                yield make_video_item(stem, videos.pop(stem), "test", spans, _parse_xd_class(stem))
            else:
                yield self.missing_video(name)
        for stem, path in videos.items():
            label, folder = _parse_xd_class(stem), path.parent.name.lower()
            is_test = label == NORMAL and ("test" in folder or folder == "videos")
            yield make_video_item(stem, path, "test" if is_test else "train", label != NORMAL, label)


def _parse_xd_class(stem: str) -> str:
    match = re.search(r"_label_([A-Z]\d?)", stem)
    if not match or match[1] not in XD_CODES:
        raise BadInput(f"{stem}: expected a file name ending in class codes, such as _label_A or _label_B2-0-0")
    return XD_CODES[match[1]]


def make_video_item(
    id: str,
    source: Path,
    split: str,
    abnormal: Spans | bool,
    label: str = "",
    options: Mapping[str, object] | None = None,
    fps: float | None = None,
) -> Item:
    """Make the item of a video, or of an event recording whose frames have a rate in Hz.

    The label of an abnormal video without class is `abnormal`.
    """
    label = (label or "abnormal") if abnormal else NORMAL
    notes = {"split": split, "abnormal": abnormal or []} | ({} if fps is None else {"fps": fps})
    return Item(id, source, label, options or {}, notes=notes)
