"""UCF-Crime: long films of surveillance cameras, 13 kinds of what is abnormal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import ClassVar

from anybind.plugin import BadInput, Item
from anybind_datasets.films import FilmDataset, fields_as_spans, film_item, films_by_name, read_lines

TEST = "Temporal_Anomaly_Annotation*.txt"
TRAIN = "Anomaly_Train.txt"


class UcfCrime(FilmDataset):
    """290 films to test whose abnormal frames are known, and 1,610 to learn from of which only the class is.

    The folder holds `Temporal_Anomaly_Annotation_for_Testing_Videos.txt`, the films in any folders, and for the
    training part `Anomaly_Train.txt`. A line of the first is a film, its class, and first and last frame of up to two
    abnormal parts (-1 for none), which are taken as counted from 1. Sultani, Chen and Shah, CVPR 2018.
    """

    name = "UCF-Crime"
    size = "1,900 films, 128 hours"
    parts: ClassVar = {"train": 1_610, "test": 290}
    published = "https://www.crcv.ucf.edu/projects/real-world/"

    def find(self, root: Path) -> Iterator[Item]:
        annotations = sorted(root.rglob(TEST))
        if not annotations:
            raise self.lacking(root, f"annotation file {TEST}")
        films = films_by_name(root)
        for number, fields in read_lines(annotations[0]):
            where = f"{annotations[0]}, line {number}"
            if len(fields) < 4:
                raise BadInput(f"{where}: expected a film, its class and two numbers or more")
            name = PurePosixPath(fields[0]).stem
            if name not in films:
                self.absent(fields[0])
                continue
            yield film_item(name, films[name], "test", fields_as_spans(fields[2:], where), _class_name(fields[1]))
        for listed in sorted(root.rglob(TRAIN))[:1]:
            for _, fields in read_lines(listed):
                place = PurePosixPath(fields[0])
                if place.stem not in films:
                    self.absent(str(place), "train")
                    continue
                abnormal = "normal" not in place.parts[0].lower()
                yield film_item(place.stem, films[place.stem], "train", abnormal, _class_name(place.parts[0]))


def _class_name(text: str) -> str:
    """`RoadAccidents` as `road accidents`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).lower()
