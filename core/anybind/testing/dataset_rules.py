"""What every data set is held to."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anybind.dataset import Dataset, Item
from anybind.testing.rules import NotChecked, Rules, require, require_hash, require_json_like, require_refusal, told

DATASET_RULES = Rules()
_rule = DATASET_RULES.rule


@dataclass
class DatasetCase:
    """How a data set is made, and a folder laid out as it wants it."""

    make: Callable[[Path], Dataset]
    folder: Path

    @functools.cached_property
    def dataset(self) -> Dataset:
        """The data set; raises `NotChecked` where it cannot be made."""
        try:
            made = self.make(self.folder)
            list(made.items)
        except Exception as error:
            raise NotChecked(f"it cannot be made ({told(error)})") from error
        return made


@_rule("can be made", "take the folder, `modalities=` and options; list the samples without reading them")
def _made(case: DatasetCase) -> None:
    made = case.make(case.folder)
    require(isinstance(made, Dataset), f"a {type(made).__name__} was made, no anybind.Dataset")
    require(len(made.items), "it has no items; raise anybind.BadInput where a folder holds none")
    wrong = [item for item in made.items if not isinstance(item, Item)]
    require(not wrong, f"an item is a {type(wrong[0]).__name__ if wrong else ''}, no anybind.Item")


@_rule("name and licence", "set `name`, and `licence` to what is known of the data's licence, in words")
def _licence(case: DatasetCase) -> None:
    for field in ("name", "licence"):
        value = getattr(case.dataset, field, None)
        require(isinstance(value, str) and value.strip(), f"{field} is {value!r}")


@_rule("ids", "give every item an `id` of its own that is the same on every machine: its path from the folder")
def _ids(case: DatasetCase) -> None:
    ids = [item.id for item in case.dataset.items]
    wrong = [id for id in ids if not isinstance(id, str) or not id]
    require(not wrong, f"an id is {wrong[0] if wrong else ''!r}, no text")
    require(len(set(ids)) == len(ids), f"{len(ids)} items have {len(set(ids))} different ids")
    local = [id for id in ids if str(case.folder) in id]
    require(not local, f"the id {local[0] if local else ''!r} holds the folder's path, which is another elsewhere")


@_rule("labels are classes", "take every label from `classes`, which names each class once")
def _labels(case: DatasetCase) -> None:
    classes = list(case.dataset.classes)
    require(len(set(classes)) == len(classes), "a class is named twice")
    strange = {item.label for item in case.dataset.items} - {*classes, ""}
    require(not strange, f"the labels {sorted(strange)[:3]} are not among the classes {classes[:5]}")
    more = set(classes) - set(case.dataset.all_classes)
    require(not more, f"the classes {sorted(more)[:3]} are not in all_classes")


@_rule("sources are there", "give as `source` a path of a file that is there, or the sample itself")
def _sources(case: DatasetCase) -> None:
    for item in case.dataset.items:
        for what, source in [("source", item.source), *item.partners.items()]:
            there = not isinstance(source, Path) or source.exists()
            require(there and source is not None, f"the {what} of {item.id} is not there: {source}")


@_rule(
    "notes are JSON-like",
    "keep in `notes` texts, numbers, lists and tables only, and in `options` what the reader takes",
)
def _notes(case: DatasetCase) -> None:
    for item in case.dataset.items:
        require_json_like(dict(item.notes), f"the notes of {item.id}")
        require(isinstance(item.options, Mapping), f"the options of {item.id} are no mapping")


@_rule("the same each time", "sort what a folder lists, and take randomness from a seed")
def _again(case: DatasetCase) -> None:
    one, other = case.dataset, case.make(case.folder)
    require([item.id for item in one.items] == [item.id for item in other.items], "made twice, its items differ")
    require_hash(one.split_hash, "split_hash")
    require(one.split_hash == other.split_hash, "made twice, its split_hash differs")


@_rule("refuses a missing folder", "raise anybind.BadInput that says where the data is published")
def _missing(case: DatasetCase) -> None:
    absent: Any = case.folder / "no-such-folder-in-here"
    require_refusal(lambda: list(case.make(absent).items), "a folder that is not there")
