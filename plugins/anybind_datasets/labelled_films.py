"""Films of one's own with a file that says which frames are abnormal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from anybind.plugin import BadInput, Item
from anybind_datasets.films import FilmDataset, film_item, films_by_name, spans_from_one, subfolders

LABELS = "labels.json"


class LabelledFilms(FilmDataset):
    """Films, or folders of frames, in and below a folder, with `labels.json` in it.

    The file says of each film, by its name without the ending, which frames are abnormal, counted from 1, the last
    included, and may say the part it is in (`test` if not) and its class:
    `{"01": {"anomalous": [[61, 180]], "split": "train", "class": "fighting"}}`.
    """

    def find(self, root: Path) -> Iterator[Item]:
        self.name = root.resolve().name
        if not (root / LABELS).is_file():
            raise BadInput(f"{root} has no {LABELS}: a film's name, and its abnormal frames as first and last")
        return labelled_films(root, self)


def labelled_films(root: Path, dataset: FilmDataset, fps: float | None = None) -> Iterator[Item]:
    """The films that `labels.json` names and that are there, as files or as folders in the folder or in `frames`.

    Args:
        root: the folder.
        dataset: is told of those that are missing.
        fps: frames a second of folders of frames.

    Raises:
        BadInput: the file cannot be read, or holds something else.
    """
    path = root / LABELS
    try:
        held: Any = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} is no readable JSON: {error}") from error
    if not isinstance(held, dict) or not all(isinstance(about, dict) for about in held.values()):
        raise BadInput(f'{path} must hold an entry for each film: {{"name": {{"anomalous": [[first, last], ...]}}}}')
    places = films_by_name(root) | {
        each.name: each for folder in (root, root / "frames") for each in subfolders(folder)
    }
    for name, about in held.items():
        if name not in places:
            dataset.absent(name, str(about.get("split", "test")))
            continue
        pairs, split = about.get("anomalous", []), about.get("split", "test")
        if split not in ("train", "test") or not isinstance(pairs, list) or not all(isinstance(p, list) for p in pairs):
            raise BadInput(f"{path}: {name!r} needs anomalous as [[first, last], ...], and split train or test if any")
        spans = spans_from_one(pairs, f"{path}, {name!r}")
        item = film_item(name, places[name], split, spans, str(about.get("class", "")))
        options = {"fps": fps} if fps and places[name].is_dir() else {}
        yield Item(item.id, item.source, item.label, options, notes=item.notes)
