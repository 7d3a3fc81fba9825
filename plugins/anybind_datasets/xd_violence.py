"""XD-Violence: films and clips of the web with six kinds of violence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from anybind.plugin import BadInput, Item
from anybind_datasets.films import FilmDataset, fields_as_spans, film_item, films_by_name, read_lines

ANNOTATIONS = "annotations.txt"
CODES = {
    "A": "normal",
    "B1": "fighting",
    "B2": "shooting",
    "B4": "riot",
    "B5": "abuse",
    "B6": "car accident",
    "G": "explosion",
}
"""What the codes at the end of a film's name mean, as in `..._label_B2-0-0`."""


class XdViolence(FilmDataset):
    """800 films to test whose violent frames are known, and 3,954 to learn from whose names say the classes.

    The folder holds `annotations.txt` and the films in any folders. A line is the name of a violent test film and first
    and last frame of each violent part, taken as counted from 1. Films that it does not name are of the test part
    when they are normal and their folder's name has `test` in it or is `videos`; others are of the training part. A
    film of several classes has the first as its label. Wu et al., ECCV 2020.
    """

    name = "XD-Violence"
    size = "4,754 films, 217 hours"
    parts: ClassVar = {"train": 3_954, "test": 800}
    published = "https://roc-ng.github.io/XD-Violence/"

    def find(self, root: Path) -> Iterator[Item]:
        annotations = sorted(root.rglob(ANNOTATIONS))
        if not annotations:
            raise self.lacking(root, f"annotation file {ANNOTATIONS}")
        films = films_by_name(root)
        for number, (name, *fields) in read_lines(annotations[0]):
            stem = name.removesuffix(".mp4")
            if stem not in films:
                self.absent(name)
                continue
            spans = fields_as_spans(fields, f"{annotations[0]}, line {number}")
            yield film_item(stem, films.pop(stem), "test", spans, _class_of(stem))
        for stem, path in films.items():
            label = _class_of(stem)
            folder = path.parent.name.lower()
            test = label == "normal" and ("test" in folder or folder == "videos")
            yield film_item(stem, path, "test" if test else "train", label != "normal", label)


def _class_of(stem: str) -> str:
    found = re.search(r"_label_([A-Z]\d?)", stem)
    if not found or found[1] not in CODES:
        raise BadInput(f"{stem}: the name of a film must end in the codes of its classes, as _label_A or _label_B2-0-0")
    return CODES[found[1]]
