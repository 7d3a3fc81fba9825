"""Surveillance datasets of 2024 to 2026: MSAD, and the event recordings of EWAD."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import ClassVar

from anybind.plugin import BadInput, Item
from anybind_datasets.video_annotations import find_videos, parse_spans
from anybind_datasets.videos import LabelledVideos, VideoDataset, make_video_item

MSAD_ANNOTATIONS = "anomaly_annotation.csv"
MSAD_COLUMNS = ("name", "starting frame of anomaly", "ending frame of anomaly")
MSAD_TEST = "MSAD_I3D_WS_Test.list"


class Msad(VideoDataset):
    """MSAD: 480 normal and 240 abnormal videos of 14 scenarios, 11 classes of anomaly.

    The folder contains `anomaly_annotation.csv` with a row per abnormal video (`name`, `starting frame of anomaly`,
    `ending frame of anomaly`, assumed to be counted from 1, ends included), and the videos in any subfolders
    (`MSAD_blur/MSAD_anomaly_blur/Assault/Assault_1.mp4`). With the list `MSAD_I3D_WS_Test.list` of features
    (`Assault_2_i3d.npy`), these are the test videos (the weakly supervised protocol: 360 normal and 120 abnormal
    training videos). Without it, all abnormal videos are, and normal ones whose name or folder contains `testing` (the
    unsupervised protocol). Zhu et al., NeurIPS 2024; names as the files are cited in published code.
    """

    name = "MSAD"
    size = "720 videos"
    splits: ClassVar = {"train": 480, "test": 240}
    published = "https://msad-dataset.github.io/"

    @classmethod
    def published_splits(cls, folder: str | PathLike[str]) -> Mapping[str, int | None]:
        has_list = any(Path(folder).rglob(MSAD_TEST))
        return cls.splits if has_list else {"train": 360, "test": 360}

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        annotations = sorted(self.root.rglob(MSAD_ANNOTATIONS))
        if not annotations:
            raise self.missing(f"{self.root} has no annotation file {MSAD_ANNOTATIONS}")
        spans = _read_msad_spans(annotations[0])
        videos = find_videos(self.root)
        lists = sorted(self.root.rglob(MSAD_TEST))
        test_names = _read_feature_names(lists[0]) if lists else None
        for name in sorted({*spans, *videos}):
            path = videos.get(name)
            if test_names is not None:
                is_test = name in test_names
            else:
                is_test = name in spans or (path is not None and "testing" in f"{path.parent.name} {name}".lower())
            split = "test" if is_test else "train"
            if path is None:
                yield self.missing_video(name, split)
            else:
                label = name.rpartition("_")[0].replace("_", " ").lower() if name in spans else ""
                yield make_video_item(name, path, split, spans.get(name, []), label)


class Ewad(LabelledVideos):
    """An event dataset of EWAD (Wu et al., arXiv 2603.24991), with a `labels.json` as of `labelled-videos`.

    The paper announces three sets of event recordings with videos; their layout is not published. Save the recordings
    in the folder, and write their annotated frames and frame rate to `labels.json`:
    `{"01_0014": {"anomalous": [[61, 180]], "split": "test", "fps": 25}}`.
    """

    name = "EWAD"
    size = "three sets of event recordings"
    splits: ClassVar = {"train": None, "test": None}
    published = "https://arxiv.org/abs/2603.24991"
    sample_modalities = ("event",)


def _read_msad_spans(path: Path) -> dict[str, list[list[int]]]:
    """Read the abnormal spans of each abnormal video; raise `BadInput`."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"cannot read {path}: {error}") from error
    spans: dict[str, list[list[int]]] = {}
    for number, row in enumerate(rows, start=2):
        values = [(row.get(column) or "").strip() for column in MSAD_COLUMNS]
        if not all(values):
            raise BadInput(f"{path}, line {number}: expected the columns {', '.join(MSAD_COLUMNS)}")
        name = values[0].removesuffix(".mp4")
        spans.setdefault(name, []).extend(parse_spans(values[1:], f"{path}, line {number}"))
    return spans


def _read_feature_names(path: Path) -> set[str]:
    """Read the names of videos from a list of feature files, as `.../Assault_2_i3d.npy`."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read {path}: {error}") from error
    return {PurePosixPath(line.strip().replace("\\", "/")).stem.removesuffix("_i3d") for line in lines if line.strip()}
