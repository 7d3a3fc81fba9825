"""What the conformance kit tries this plugin's parts on: a few pictures, and empty films in published layouts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import PIL.Image

import anybind
from anybind.testing import Example


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """The example of a part."""
    if kind == "dataset":
        DATASETS[name](folder)
        return Example(folder=folder)
    if kind == "head":
        return Example(options={"steps": 10} if name == "mil" else {})
    if kind == "task" and name in TASKS:
        return Example(options=TASKS[name], dataset=Pictures(), modality="image")
    return Example(cannot="it plays films for a minute") if name == "vad" else None


TASKS = {"zero-shot": {}, "retrieval": {"to": "text"}}


class Pictures(anybind.Dataset):
    """Six pictures of two classes, each with a description."""

    name = "pictures"
    licence = "Apache-2.0"

    @property
    def items(self) -> list[anybind.Item]:
        random = np.random.default_rng(0)
        return [
            anybind.Item(
                f"{number}",
                random.integers(0, 256, (48, 64, 3), dtype=np.uint8),
                label,
                partners={"text": f"a {label}, number {number}"},
            )
            for number, label in enumerate(["cat", "dog"] * 3)
        ]

    @property
    def classes(self) -> tuple[str, ...]:
        return ("cat", "dog")


def _touch(paths: Iterable[Path]) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", (32, 24), "red").save(path)


def _folders(folder: Path) -> None:
    for label in ("cat", "dog"):
        _picture(folder / label / "a.png")


def _files(folder: Path) -> None:
    _picture(folder / "cat.png")


def _labelled(folder: Path) -> None:
    for number in range(4):
        _picture(folder / "01" / f"{number}.png")
    (folder / "labels.json").write_text(json.dumps({"01": {"anomalous": [[2, 3]]}}))


def _ucf_crime(folder: Path) -> None:
    _touch([folder / "Abuse" / "Abuse001_x264.mp4"])
    lines = "Abuse001_x264.mp4  Abuse  2  3  -1  -1\n"
    (folder / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt").write_text(lines)


def _xd_violence(folder: Path) -> None:
    _touch([folder / "videos" / "a_label_B2-0-0.mp4", folder / "videos" / "b_label_A.mp4"])
    (folder / "annotations.txt").write_text("a_label_B2-0-0 2 3\n")


def _shanghai_tech(folder: Path) -> None:
    _picture(folder / "testing" / "frames" / "01_0014" / "000.jpg")
    (folder / "testing" / "test_frame_mask").mkdir()
    np.save(folder / "testing" / "test_frame_mask" / "01_0014.npy", np.array([1]))


def _ucsd_ped(folder: Path) -> None:
    for number in range(4):
        _picture(folder / "Test" / "Test001" / f"{number:03}.tif")
    (folder / "Test" / "UCSDped2.m").write_text("TestVideoFile{end+1}.gt_frame = [2:3];\n")


def _avenue(folder: Path) -> None:
    from scipy.io import savemat

    _touch([folder / "testing_videos" / "01.avi"])
    masks = np.empty((1, 2), object)
    masks[0, 0], masks[0, 1] = np.zeros((2, 3)), np.ones((2, 3))
    savemat(folder / "1_label.mat", {"volLabel": masks})


DATASETS: dict[str, Callable[[Path], None]] = {
    "folder": _folders,
    "files": _files,
    "labelled-films": _labelled,
    "ucf-crime": _ucf_crime,
    "xd-violence": _xd_violence,
    "shanghai-tech": _shanghai_tech,
    "ucsd-ped": _ucsd_ped,
    "avenue": _avenue,
}
