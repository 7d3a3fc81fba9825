"""UCSD Ped1 and Ped2: people on walkways; bicycles, skateboards and vehicles are abnormal."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import PIL.Image

from anybind.plugin import BadInput, Item
from anybind_datasets.films import FilmDataset, Spans, film_item, spans_from_one, spans_of_mask, subfolders
from anybind_datasets.labelled_films import LABELS, labelled_films

FPS = 10.0
"""Frames a second, which folders of frames do not say."""


class UcsdPed(FilmDataset):
    """Films as folders of frames: `UCSDped1` (36 to test, 34 to learn from) or `UCSDped2` (12 and 16).

    The folder holds `Test/Test001`, ..., and for the training part `Train/Train001`, .... Which frames are abnormal is
    said by `Test/UCSDped2.m`, a line `gt_frame = [61:180];` for each film (counted from 1, the last included), else by
    the masks in `Test/Test001_gt`. A folder with `labels.json` is read as `labelled-films` are. Mahadevan et al., CVPR
    2010.
    """

    name = "UCSD Ped"
    size = "Ped1: 70 films of 200 frames; Ped2: 28 films of 120 to 180 frames"
    parts: ClassVar = {"train": 16, "test": 12}
    published = "http://www.svcl.ucsd.edu/projects/anomaly/dataset.htm"

    @classmethod
    def published_parts(cls, folder: str | os.PathLike[str]) -> Mapping[str, int | None]:
        root = Path(folder).resolve()
        first = "ped1" in root.name.lower() or (root / "Test" / "UCSDped1.m").is_file()
        return {"train": 34, "test": 36} if first else cls.parts

    def find(self, root: Path) -> Iterator[Item]:
        self.name = root.resolve().name
        if (root / LABELS).is_file():
            yield from labelled_films(root, self, fps=FPS)
            return
        films = [path for path in subfolders(root / "Test") if re.fullmatch(r"Test\d+", path.name)]
        scripts = sorted((root / "Test").glob("*.m"))
        listed = _script(scripts[0]) if scripts else []
        if not films:
            raise self.lacking(root, "Test/Test001, ...")
        for path in films:
            number = int(path.name[4:])
            if number <= len(listed):
                spans = listed[number - 1]
            elif path.with_name(f"{path.name}_gt").is_dir():
                spans = _masks(path.with_name(f"{path.name}_gt"))
            else:
                raise self.lacking(root, f"labels of {path.name}, neither in Test/*.m nor as Test/{path.name}_gt")
            yield _item(path, "test", spans)
        for number in range(1, len(listed) + 1):
            if root / "Test" / f"Test{number:03}" not in films:
                self.absent(f"Test/Test{number:03}")
        for path in subfolders(root / "Train"):
            yield _item(path, "train", [])


def _item(path: Path, split: str, spans: Spans) -> Item:
    item = film_item(path.name, path, split, spans)
    return Item(item.id, item.source, item.label, {"fps": FPS}, notes=item.notes)


def _script(path: Path) -> list[Spans]:
    """The films' spans in a MATLAB script of lines such as `TestVideoFile{end+1}.gt_frame = [5:90, 140:200];`."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from error
    films = []
    for number, line in enumerate(text.splitlines(), start=1):
        found = re.search(r"gt_frame\s*=\s*\[(.*?)\]", line)
        if found and not line.lstrip().startswith("%"):
            pairs = [re.findall(r"\d+", part) for part in re.split(r"[,;]", found[1]) if part.strip()]
            whole = [[int(part[0]), int(part[-1])] for part in pairs if part]
            films.append(spans_from_one(whole, f"{path}, line {number}"))
    return films


def _masks(folder: Path) -> Spans:
    """The frames whose mask has any pixel set."""
    marks = []
    for path in sorted(folder.glob("*.bmp")):
        try:
            with PIL.Image.open(path) as mask:
                marks.append(np.asarray(mask).any())
        except (OSError, SyntaxError) as error:
            raise BadInput(f"{path} is no readable mask: {error}") from error
    return spans_of_mask(np.array(marks))
