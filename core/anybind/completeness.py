"""`SplitContents`: the samples of a published dataset that a folder contains, and those that are missing."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anybind.errors import BadInput
from anybind.item import Item, collect_missing

if TYPE_CHECKING:
    from anybind.dataset import Dataset

ALL = "all"
"""The name of all splits together, and of the one split of a dataset that is published without any."""


@dataclass(frozen=True)
class SplitContents:
    """The contents of one split of a dataset in a folder.

    Attributes:
        name: name of the split, such as `train`; `all` for a dataset without splits.
        n_found: number of samples in the folder.
        published: published number of samples; None if unknown.
        classes: number of samples by class.
        missing: descriptions of missing data, one line each.
        empty_files: ids of samples whose file, or a partner's, has 0 bytes.
    """

    name: str
    n_found: int
    published: int | None
    classes: Mapping[str, int]
    missing: tuple[str, ...]
    empty_files: tuple[str, ...]

    @property
    def n_missing(self) -> int:
        """Number of published samples that are missing."""
        return max(0, (self.published or 0) - self.n_found)

    @property
    def empty_classes(self) -> tuple[str, ...]:
        """Classes without samples."""
        return tuple(label for label, count in self.classes.items() if not count)

    @property
    def complete(self) -> bool:
        """Whether nothing is missing; more samples than published are allowed."""
        return bool(self.n_found) and not (self.missing or self.empty_files or self.n_missing or self.empty_classes)


def check_folder(
    dataset: type[Dataset], folder: str | os.PathLike[str], options: Mapping[str, Any]
) -> tuple[SplitContents, ...]:
    """Count the samples of each split in a folder; see `Dataset.check`."""
    if not Path(folder).is_dir():
        raise BadInput(f"{folder} is not a folder; check the path")
    published = {} if set(options) - {"split"} else dataset.published_splits(folder)
    if "split" in options or not dataset.split_names():
        options_by_split = {options.get("split", ALL): options}
    else:
        names = (ALL,) if ALL in dataset.splits else dataset.splits
        options_by_split = {name: {**options, "split": name} for name in names}
    return tuple(
        _check_split(dataset, folder, name, each, published.get(name)) for name, each in options_by_split.items()
    )


def _check_split(
    dataset: type[Dataset],
    folder: str | os.PathLike[str],
    name: str,
    options: Mapping[str, Any],
    published: int | None,
) -> SplitContents:
    with collect_missing() as missing:
        try:
            listed = dataset(folder, **options)
            items, classes = listed.items, listed.classes
        except BadInput as error:
            missing.append(str(error))
            items, classes = [], []
    counts = Counter(item.label for item in items)
    files = (each for item in items for each in (item, *map(item.partner, item.partners)))
    return SplitContents(
        name, len(items), published, {label: counts[label] for label in classes}, tuple(missing), _empty_files(files)
    )


def _empty_files(items: Iterable[Item]) -> tuple[str, ...]:
    """Return the ids of the items whose source is a file of 0 bytes."""
    empty = (item.id for item in items if isinstance(item.source, Path) and _is_empty(item.source))
    return tuple(dict.fromkeys(empty))


def _is_empty(path: Path) -> bool:
    try:
        info = path.stat()
    except OSError:  # removed or not accessible: reading it reports the error
        return False
    return stat.S_ISREG(info.st_mode) and info.st_size == 0
