"""Example files of the datasets for the conformance checks: a few small files in each published layout."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import PIL.Image

from anybind.testing import Example


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """Return the example of a dataset, or of a reader of dataset files."""
    if kind == "reader":
        _write_rgbd("nyu", folder)
        return Example(files=[folder / "nyu_depth_v2_labeled.mat"])
    return Example(folder=folder, options=LAYOUTS[name](folder) or {})


def _touch(paths: Iterable[Path]) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", (32, 24), "red").save(path)


def _write_folders(folder: Path) -> None:
    for label in ("cat", "dog"):
        _write_image(folder / label / "a.png")


def _write_files(folder: Path) -> None:
    _write_image(folder / "cat.png")


def _write_labelled_videos(folder: Path) -> None:
    for number in range(4):
        _write_image(folder / "01" / f"{number}.png")
    (folder / "labels.json").write_text(json.dumps({"01": {"anomalous": [[2, 3]]}}))


def _write_ucf_crime(folder: Path) -> None:
    _touch([folder / "Abuse" / "Abuse001_x264.mp4"])
    lines = "Abuse001_x264.mp4  Abuse  2  3  -1  -1\n"
    (folder / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt").write_text(lines)


def _write_xd_violence(folder: Path) -> None:
    _touch([folder / "videos" / "a_label_B2-0-0.mp4", folder / "videos" / "b_label_A.mp4"])
    (folder / "annotations.txt").write_text("a_label_B2-0-0 2 3\n")


def _write_ucf_crime_dvs(folder: Path) -> None:
    _touch([folder / "test" / "7" / "Normal_Videos_001_x264.npz"])
    annotations = folder / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt"
    annotations.write_text("Normal_Videos_001_x264.mp4  Normal  -1  -1  -1  -1  \n")


def _write_msad(folder: Path) -> None:
    _touch([folder / "MSAD_blur" / "MSAD_normal_testing_blur" / "MSAD_normal_testing_1.mp4"])
    columns = "name,scenario,total frames,starting frame of anomaly,ending frame of anomaly"
    (folder / "anomaly_annotation.csv").write_text(f"{columns}\nFire_1,shop,9,2,3\n")
    (folder / "MSAD_I3D_WS_Test.list").write_text("/features/i3d/MSAD_normal_testing_1_i3d.npy\n")


def _write_ewad(folder: Path) -> None:
    _touch([folder / "test" / "a.npz"])
    (folder / "labels.json").write_text('{"a": {"split": "test", "anomalous": [[2, 3]], "fps": 30}}')


def _write_shanghai_tech(folder: Path) -> None:
    _write_image(folder / "testing" / "frames" / "01_0014" / "000.jpg")
    (folder / "testing" / "test_frame_mask").mkdir()
    np.save(folder / "testing" / "test_frame_mask" / "01_0014.npy", np.array([1]))


def _write_ucsd_ped(folder: Path) -> None:
    for number in range(4):
        _write_image(folder / "Test" / "Test001" / f"{number:03}.tif")
    (folder / "Test" / "UCSDped2.m").write_text("TestVideoFile{end+1}.gt_frame = [2:3];\n")


def _write_avenue(folder: Path) -> None:
    from scipy.io import savemat

    _touch([folder / "testing_videos" / "01.avi"])
    masks = np.empty((1, 2), object)
    masks[0, 0], masks[0, 1] = np.zeros((2, 3)), np.ones((2, 3))
    savemat(folder / "1_label.mat", {"volLabel": masks})


def _write_classes(module: str, pattern: str, folder: Path, *, mini: bool = False) -> None:
    """Write one empty file per class of a dataset's list."""
    from anybind_datasets.lists import load_lists

    lists = load_lists(module)
    _touch(folder / pattern.format(label) for label in (lists.mini if mini else lists.names))


def _write_gestures(folder: Path) -> None:
    _touch([folder / "user24_led.aedat"])
    (folder / "trials_to_test.txt").write_text("user24_led.aedat\n")
    lines = [f"{gesture},{gesture * 1000},{gesture * 1000 + 900}" for gesture in range(1, 12)]
    (folder / "user24_led_labels.csv").write_text("\n".join(["class,startTime_usec,endTime_usec", *lines]))


def _write_esc(folder: Path) -> None:
    from anybind_datasets.esc import ESC_10_CLASSES

    for name in ESC_10_CLASSES:
        (folder / name).mkdir()
        (folder / name / "1-100-A.ogg").touch()


def _write_manifest(folder: Path) -> None:
    for label in ("cat", "dog"):
        _write_image(folder / f"{label}.png")
    (folder / "manifest.csv").write_text("image,label\ncat.png,cat\ndog.png,dog\n")


def _write_triplets(folder: Path) -> None:
    for name in ("cat.png", "cat.ogg"):
        (folder / name).touch()
    (folder / "manifest.csv").write_text("image,name_en,sound\ncat.png,A cat.,cat.ogg\n")


def _write_digits(folder: Path) -> None:
    from anybind_datasets.spoken_digits import IMAGES, LABELS

    for folder_name in ("mnist", "speech"):
        (folder / folder_name).mkdir()
    header = struct.pack(">4B3I", 0, 0, 8, 3, 2, 28, 28)
    (folder / "mnist" / f"{IMAGES}.gz").write_bytes(gzip.compress(header + bytes(2 * 28 * 28)))
    (folder / "mnist" / f"{LABELS}.gz").write_bytes(gzip.compress(struct.pack(">4BI", 0, 0, 8, 1, 2) + bytes([3, 7])))
    (folder / "speech" / "7_jackson_3.wav").touch()


def _write_paired(folder: Path) -> dict[str, object]:
    for path in ("first/dog/a.png", "first/cat/b.png", "second/hound/c.png", "second/cat/d.png"):
        _write_image(folder / path)
    datasets = {name: {"dataset": "folder", "path": name} for name in ("first", "second")}
    return {**datasets, "classes": {"dog": "hound", "cat": "cat"}}


def _write_rgbd(name: str, folder: Path) -> None:
    """Write an example of `rgbd_examples`, which needs the packages for MATLAB files."""
    from anybind_datasets import rgbd_examples

    getattr(rgbd_examples, f"write_{name}")(folder)


def _write_n_caltech101(folder: Path) -> dict[str, object]:
    # With one recording per class, the split `val` would be empty.
    _write_classes("n_caltech101", "{}/image_0001.bin", folder)
    return {"split": "all"}


LAYOUTS: dict[str, Callable[[Path], Mapping[str, object] | None]] = {
    "folder": _write_folders,
    "files": _write_files,
    "labelled-videos": _write_labelled_videos,
    "ucf-crime": _write_ucf_crime,
    "ucf-crime-dvs": _write_ucf_crime_dvs,
    "msad": _write_msad,
    "ewad": _write_ewad,
    "xd-violence": _write_xd_violence,
    "shanghai-tech": _write_shanghai_tech,
    "ucsd-ped": _write_ucsd_ped,
    "avenue": _write_avenue,
    "n-caltech101": _write_n_caltech101,
    "n-mnist": lambda folder: _touch(folder / "Test" / str(digit) / "00001.bin" for digit in range(10)),
    "n-imagenet": partial(_write_classes, "n_imagenet", "extracted_val/{}/ILSVRC2012_val_00000293.npz"),
    "n-imagenet-mini": partial(_write_classes, "n_imagenet", "extracted_val/{}/ILSVRC2012_val_00000293.npz", mini=True),
    "n-cars": lambda folder: _touch(
        folder / "n-cars_test" / label / "obj_000001_td.dat" for label in ("cars", "background")
    ),
    "dense": lambda folder: _touch(
        folder / "test_sequence_00_town10" / f"{name}_{number:010d}.{suffix}"
        for name, suffix in (("events/data/events", "npy"), ("depth/data/depth", "npy"), ("rgb/frames/frame", "png"))
        for number in range(2)
    ),
    "dvs128-gesture": _write_gestures,
    "esc-50": _write_esc,
    "manifest": _write_manifest,
    "tuxpaint-triplets": _write_triplets,
    "spoken-digits": _write_digits,
    "paired-by-class": _write_paired,
    "llvip": partial(_write_rgbd, "llvip"),
    "nyu-d": partial(_write_rgbd, "nyu"),
    "sun-d": partial(_write_rgbd, "sun"),
}
# Generated datasets and those of installed packages work with any folder.
LAYOUTS |= dict.fromkeys(("digits-8x8", "skimage-images", "stereo-tiles", "synthetic-videos"), lambda folder: None)
