"""CUHK Avenue: one walkway; running, throwing, walking the wrong way are abnormal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
from scipy.io import loadmat

from anybind.plugin import BadInput, Item
from anybind_datasets.films import FilmDataset, Spans, film_item, films_by_name, spans_of_mask


class Avenue(FilmDataset):
    """21 films to test and 16 normal ones to learn from.

    The folder holds `testing_videos/01.avi`, ..., the ground truth anywhere as `1_label.mat`, ... (`volLabel`: a
    mask for each frame, which is abnormal where any pixel is set), and for the training part `training_videos`.
    Reading the masks takes some seconds a film. Lu, Shi and Jia, ICCV 2013.
    """

    name = "CUHK Avenue"
    size = "37 films, 30,652 frames"
    parts: ClassVar = {"train": 16, "test": 21}
    published = "http://www.cse.cuhk.edu.hk/leojia/projects/detectabnormal/dataset.html"

    def find(self, root: Path) -> Iterator[Item]:
        masks = {path.stem.removesuffix("_label"): path for path in sorted(root.rglob("*_label.mat"))}
        if not masks:
            raise self.lacking(root, "ground truth (1_label.mat, ...)")
        films = {name.lstrip("0"): path for name, path in films_by_name(root / "testing_videos").items()}
        for name, path in sorted(masks.items()):
            film = films.get(name.lstrip("0"))
            if film is None:
                self.absent(f"testing_videos/{int(name):02}.avi" if name.isdigit() else name)
                continue
            yield film_item(film.stem, film, "test", _abnormal(path))
        for name, path in films_by_name(root / "training_videos").items():
            yield film_item(f"training {name}", path, "train", False)


def _abnormal(path: Path) -> Spans:
    """The frames whose mask has a pixel set. SciPy reads MATLAB's formats as data and runs nothing of them."""
    try:
        masks = loadmat(path)["volLabel"]
        if masks.dtype != object or not masks.size:
            raise BadInput(f"{path}: volLabel must be a cell array with a mask in each cell")
        marks = [np.asarray(mask).any() for mask in masks.ravel()]
    except BadInput:
        raise
    except KeyError:
        raise BadInput(f"{path} has no volLabel, the masks of its film's frames") from None
    except Exception as error:  # SciPy's reader raises whatever comes up in a damaged file
        raise BadInput(f"{path} is no readable MATLAB file: {error}") from error
    return spans_of_mask(np.array(marks))
