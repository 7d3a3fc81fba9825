"""UCF-Crime, and UCF-Crime-DVS, its recordings by an event camera."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import ClassVar

from anybind.plugin import BadInput, Item
from anybind_datasets.video_annotations import Spans, find_videos, parse_spans, read_lines
from anybind_datasets.videos import NORMAL, VideoDataset, make_video_item

UCF_TEST, UCF_TRAIN = "Temporal_Anomaly_Annotation*.txt", "Anomaly_Train.txt"
DVS_CLASSES = (
    *("abuse", "arrest", "arson", "assault", "burglary", "explosion", "fighting", NORMAL, "road accidents"),
    *("robbery", "shooting", "shoplifting", "stealing", "vandalism"),
)
"""Class by folder number of UCF-Crime-DVS."""
DVS_OPTIONS = {"size": (1280, 720)}
"""Sensor size of UCF-Crime-DVS, which its files do not state."""
DVS_FPS = 30.0
"""Frame rate in Hz of UCF-Crime, whose annotations refer to its frames."""


class UcfCrime(VideoDataset):
    """UCF-Crime: 290 test videos with annotated abnormal frames, and 1,610 training videos with classes only.

    The folder contains `Temporal_Anomaly_Annotation_for_Testing_Videos.txt`, the videos in any subfolders, and for
    training `Anomaly_Train.txt`. A line of the first is a video, its class, and first and last frame of up to two
    abnormal spans (-1 for none), assumed to be counted from 1. Sultani, Chen and Shah, CVPR 2018.
    """

    name = "UCF-Crime"
    size = "1,900 videos, 128 hours"
    splits: ClassVar = {"train": 1_610, "test": 290}
    published = "https://www.crcv.ucf.edu/projects/real-world/"

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        videos = find_videos(self.root)
        for name, spans, label, location in read_ucf_test(self):
            if name in videos:
                yield make_video_item(name, videos[name], "test", spans, label)
            else:
                yield self.missing_video(location)
        for training_list in sorted(self.root.rglob(UCF_TRAIN))[:1]:
            for _, fields in read_lines(training_list):
                path = PurePosixPath(fields[0])
                if path.stem in videos:
                    abnormal = "normal" not in path.parts[0].lower()
                    yield make_video_item(
                        path.stem, videos[path.stem], "train", abnormal, _format_ucf_class(path.parts[0])
                    )
                else:
                    yield self.missing_video(str(path), "train")


class UcfCrimeDvs(VideoDataset):
    """UCF-Crime-DVS: the videos of UCF-Crime, recorded from a monitor by an event camera, as 1,900 files `.npz`.

    The folder contains `train/0/Abuse001_x264.npz`, ..., `test/13/...` (folders by class number, 7 for normal), and
    `Temporal_Anomaly_Annotation_for_Testing_Videos.txt` of UCF-Crime, whose frames are those at 30 Hz from the first
    event. Qian et al., AAAI 2025; the layout is that of the authors' conversion to `.npz`.
    """

    name = "UCF-Crime-DVS"
    size = "1,900 recordings of 1280x720"
    splits: ClassVar = {"train": 1_610, "test": 290}
    published = "https://github.com/YBQian-Roy/UCF-Crime-DVS"
    sample_modalities = ("event",)

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        recordings = {split: find_videos(self.root / split, (".npz",)) for split in ("train", "test")}
        for name, spans, label, location in read_ucf_test(self):
            path = recordings["test"].get(name, recordings["test"].get(name.removesuffix("_x264")))
            if path is None:
                yield self.missing_video(location)
            else:
                yield make_video_item(name, path, "test", spans, label, DVS_OPTIONS, DVS_FPS)
        for name, path in recordings["train"].items():
            number = path.parent.name
            if not (number.isdigit() and int(number) < len(DVS_CLASSES)):
                raise BadInput(f"{path}: expected a folder by class number, 0 to {len(DVS_CLASSES) - 1}, got {number}")
            label = DVS_CLASSES[int(number)]
            yield make_video_item(name, path, "train", label != NORMAL, label, DVS_OPTIONS, DVS_FPS)


def read_ucf_test(dataset: VideoDataset) -> Iterator[tuple[str, Spans, str, str]]:
    """Read UCF-Crime's annotated test videos: name without suffix, abnormal spans, class, and file name."""
    annotations = sorted(dataset.root.rglob(UCF_TEST))
    if not annotations:
        raise dataset.missing(f"{dataset.root} has no annotation file {UCF_TEST}")
    for number, fields in read_lines(annotations[0]):
        location = f"{annotations[0]}, line {number}"
        if len(fields) < 4:
            raise BadInput(f"{location}: expected a video, its class and at least two numbers")
        spans = parse_spans(fields[2:], location)
        yield PurePosixPath(fields[0]).stem, spans, _format_ucf_class(fields[1]), fields[0]


def _format_ucf_class(text: str) -> str:
    """Format `RoadAccidents` as `road accidents`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).lower()
