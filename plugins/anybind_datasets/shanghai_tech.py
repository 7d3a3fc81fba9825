"""ShanghaiTech Campus: 13 places on a campus, anything but walking is abnormal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from anybind.plugin import BadInput, Item
from anybind_datasets.films import FilmDataset, film_item, films_by_name, spans_of_mask, subfolders


class ShanghaiTech(FilmDataset):
    """107 films to test, as folders of frames with a mask, and 330 normal ones to learn from.

    The folder holds `testing/frames/01_0014/000.jpg`, `testing/test_frame_mask/01_0014.npy` (a number for each frame,
    0 where normal) and for the training part `training/videos/01_001.avi`. Luo, Liu and Gao, ICCV 2017.
    """

    name = "ShanghaiTech Campus"
    size = "437 films, 317,398 frames"
    parts: ClassVar = {"train": 330, "test": 107}
    published = "https://svip-lab.github.io/dataset/campus_dataset.html"

    def find(self, root: Path) -> Iterator[Item]:
        masks = sorted((root / "testing" / "test_frame_mask").glob("*.npy"))
        if not masks:
            raise self.lacking(root, "testing/test_frame_mask/*.npy")
        for path in masks:
            frames = root / "testing" / "frames" / path.stem
            if not frames.is_dir():
                self.absent(str(frames.relative_to(root)))
                continue
            yield film_item(path.stem, frames, "test", spans_of_mask(_mask(path)))
        for name, path in films_by_name(root / "training").items():
            yield film_item(name, path, "train", False)
        for frames in subfolders(root / "training" / "frames"):
            yield film_item(frames.name, frames, "train", False)


def _mask(path: Path) -> np.ndarray:
    try:
        mask = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadInput(f"{path} is no NumPy file of numbers: {error}") from error
    if mask.ndim != 1 or mask.dtype.kind not in "biuf":
        raise BadInput(f"{path} must hold one number for each frame, got {mask.dtype} of shape {mask.shape}")
    return mask
