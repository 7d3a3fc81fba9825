"""`Dataset`: labelled samples in a local folder or in memory, and their class names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Self

from anybind.completeness import ALL, SplitContents, check_folder
from anybind.errors import BadInput, BadOption, suggest_names
from anybind.files import portable_name
from anybind.item import Item, MissingData, get_missing, spread_over_labels
from anybind.registry import create_part
from anybind.spec import DatasetSpec
from anybind.tables import hash_settings, list_names


class Dataset:
    """Labelled samples: the description of a dataset, and `scan`, which lists its samples in a folder.

    A subclass sets the class attributes that describe the dataset and defines `scan` and, if labels are not class
    names, `class_names`. The base class checks the folder, modalities and options, selects classes, applies the limit
    and reports missing data. A dataset of samples in memory defines an `__init__` that calls `set_items`, or the
    properties `items` and `classes`.

    Attributes:
        name: name in results; by default that of the folder.
        licence: licence of the data, as far as it is known.
        size: published size as text; empty if there is none, as for a user's own folder.
        published: where the data is published, as text; empty if it is not.
        sample_modalities: modalities of the samples; empty if they depend on the folder.
        splits: published number of samples by split (None: unknown); `all` stands for the whole dataset.
        split: the listed split, an option of datasets with splits. The class sets the default.
        inner: folder at the top of the published archive; the root is this one or the folder itself.
        lists_incomplete: whether `scan` lists samples even if some of `list_required_paths` are missing.
        options: names of further options, each a class attribute that holds its default.
        takes_limit: whether it takes the option `limit`; False for an `__init__` without it.
        derived: whether samples of other modalities are derived from its samples, so that `modalities` selects none.
        folder, modalities, limit: the arguments.
        root: the folder that ids of samples are relative to.
        selected_modalities: the selected ones of `sample_modalities`, in their order.
        class_by_label: class name by published label, of the whole dataset, in class order.
        selected_labels: published labels of the selected classes.
        checking: whether `check` is listing the folder.
    """

    name: str = ""
    licence: str = ""
    size: ClassVar[str] = ""
    published: ClassVar[str] = ""
    sample_modalities: ClassVar[tuple[str, ...]] = ()
    splits: ClassVar[Mapping[str, int | None]] = {ALL: None}
    split: str = ALL
    inner: ClassVar[str] = ""
    lists_incomplete: ClassVar[bool] = False
    options: ClassVar[tuple[str, ...]] = ()
    takes_limit: ClassVar[bool] = True
    derived: ClassVar[bool] = False
    class_by_label: Mapping[str, str] = MappingProxyType({})
    selected_labels: Sequence[str] = ()
    _items: Sequence[Item] = ()
    _missing: list[str] | None = None
    _selection: Mapping[str, object] | None = None

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        modalities: Iterable[str] | None = None,
        classes: Iterable[str] | None = None,
        limit: int | None = None,
        **options: object,
    ) -> None:
        """List the samples of a folder without reading them.

        Args:
            folder: the local folder.
            modalities: modalities of the files that count as samples, one or several. [default: all]
            classes: classes to select, one or several, by published label or class name. [default: all]
            limit: approximate number of samples to select, spread evenly over the classes. [default: all]
            options: `split`, for a dataset with splits, and the dataset's `options`.

        Raises:
            BadInput: the folder is missing, incomplete, or has no samples of the selection.
            BadOption: no such option, split or class, or a limit below 1.
        """
        self._set_options(options, limit)
        self.limit, self.modalities = limit, None if modalities is None else list_names(modalities)
        selected = None if classes is None else set(list_names(classes))
        self._selection = {**options, "modalities": self.modalities, "classes": selected, "limit": limit}
        self.folder = self.root = Path(folder)
        if not self.folder.is_dir():
            remedy = f"{self.name} is published at {self.published}" if self.published else "check the path"
            raise BadInput(f"{self.folder} is not a folder; {remedy}")
        self.name = self.name or self.folder.resolve().name
        names = self.sample_modalities if self.derived or self.modalities is None else self.modalities
        self.selected_modalities = [name for name in self.sample_modalities if name in names]
        if self.sample_modalities and not self.selected_modalities:
            available, others = ", ".join(self.sample_modalities), ", ".join(sorted(names)) or "none"
            raise BadInput(f"{self.name} holds samples of {available}, not of {others}")
        self._missing = get_missing()
        try:
            self._list_items(selected, limit)
        except MissingData as missing:
            if self.checking:
                raise
            if not self.published:
                raise BadInput(f"{self.folder}: {missing}") from None
            problem = f"is not a complete copy of {self.name}: {missing}"
            raise BadInput(f"{self.folder} {problem}; it is published at {self.published}") from None

    def set_items(self, items: Sequence[Item], classes: Iterable[str] = ()) -> None:
        """Set samples in memory and their classes, for an `__init__` that lists no folder."""
        self._items = list(items)
        self.class_by_label = {name: name for name in classes}
        self.selected_labels = list(self.class_by_label)

    def _set_options(self, options: Mapping[str, object], limit: int | None) -> None:
        own = (*(("split",) if self.split_names() else ()), *self.options)
        for option, value in options.items():
            if option not in own:
                takes = ", ".join(("modalities", "classes", "limit", *own))
                raise BadOption(f"{self.name or type(self).__name__} takes no option {option!r} (options: {takes})")
            setattr(self, option, value)
        if limit is not None and limit < 1:
            raise BadOption(f"the limit must be at least 1, got {limit}")

    def _list_items(self, selected: set[str] | None, limit: int | None) -> None:
        splits, names, unneeded = self.resolve_splits(), self.class_names(), list[MissingData]()
        if names is not None:
            self._select_classes(names, selected)
        self._find_root(self.list_required_paths(splits))
        items = list(self._collect(self.scan(splits), unneeded))
        if names is None:
            self._select_classes({label: label for label in sorted({item.label for item in items} - {""})}, selected)
        unneeded = [each for each in unneeded if not each.split or each.split in splits]
        if self._missing is not None:
            self._missing += map(str, unneeded)
        elif unneeded:
            self.warn_missing(unneeded)
        class_names = {self.class_by_label[label] for label in self.selected_labels}
        items = self.select([item for item in items if selected is None or item.label in class_names], limit)
        self._items = [each for item in items for each in self._collect(self.complete_item(item), unneeded)]
        if not self._items:
            self.record_missing(self.missing("it has no samples of the selection"))

    def _collect(self, listed: Iterable[Item | BadInput], unneeded: list[MissingData]) -> Iterator[Item]:
        """Yield the items; record missing data, or append it to `unneeded` if the dataset works without it."""
        for each in listed:
            if isinstance(each, Item):
                yield each
            elif isinstance(each, MissingData) and not each.needed:
                unneeded.append(each)
            else:
                self.record_missing(each)

    def _select_classes(self, names: Mapping[str, str], selected: set[str] | None) -> None:
        self.class_by_label = dict(names)
        all_names = {*self.class_by_label, *self.class_by_label.values()}
        if selected is not None:
            selected = {name if name in all_names else self.resolve_class_name(name) for name in selected}
            for name in sorted(selected - all_names):
                raise BadOption(f"{self.name} has no class {name!r}{suggest_names(name, all_names)}")
        self.selected_labels = [
            label for label, name in self.class_by_label.items() if selected is None or {label, name} & selected
        ]

    def _find_root(self, required: Sequence[str]) -> None:
        """Set the root to the folder or to `inner` in it, whichever contains more of the required paths."""
        folders = (self.folder, self.folder / self.inner)
        missing_by_folder = {place: [name for name in required if not (place / name).exists()] for place in folders}
        self.root = min(missing_by_folder, key=lambda place: len(missing_by_folder[place]))
        missing = missing_by_folder[self.root]
        if missing and not (self.checking and self.lists_incomplete and len(missing) < len(required)):
            raise self.missing(f"{self.root if self.inner else 'it'} lacks {', '.join(missing)}")

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        """List the samples without reading them, in an order that is the same on every machine.

        Yields items, and `missing(...)` for missing data: `check` lists all of it, and opening the dataset raises the
        first. Raise `missing(...)` if no sample can be listed without it.

        Args:
            splits: splits to list; (`all`,) for a dataset without splits.
        """
        raise NotImplementedError(f"{type(self).__name__} defines neither scan nor items")

    def class_names(self) -> Mapping[str, str] | None:
        """Return class names by published label, in class order; None for the sorted labels of the samples."""
        return None

    def list_required_paths(self, splits: Sequence[str]) -> Sequence[str]:
        """Return paths in the root that listing these splits requires."""
        return ()

    def resolve_splits(self) -> Sequence[str]:
        """Return the splits selected by the option `split`; raise `BadOption` for one that does not exist."""
        names = self.split_names()
        if self.split not in (*names, ALL):
            raise BadOption(f"there is no split {self.split!r}{suggest_names(self.split, (*names, ALL))}")
        return (names or (ALL,)) if self.split == ALL else (self.split,)

    def select(self, items: Sequence[Item], limit: int | None) -> list[Item]:
        """Select about `limit` items, spread evenly over the labels, the first ones of each label; all by default.

        The order stays the same.
        """
        return spread_over_labels(items, limit)

    def complete_item(self, item: Item) -> Iterator[Item | BadInput]:
        """Complete a selected item: yield it, as `scan` does, with metadata that takes longer than listing."""
        yield item

    def warn_missing(self, missing: Sequence[MissingData]) -> None:
        """Warn of missing data that the dataset works without; silent by default."""

    @classmethod
    def published_splits(cls, folder: str | os.PathLike[str]) -> Mapping[str, int | None]:
        """Return the published number of samples by split; override it for folders of one of several datasets."""
        return cls.splits

    @property
    def checking(self) -> bool:
        return self._missing is not None

    def missing(self, what: str, *, needed: bool = True, split: str = "") -> MissingData:
        """Describe missing data, to be yielded or raised by `scan`.

        Args:
            what: description with the path. The error adds the folder and where the dataset is published.
            needed: whether the dataset cannot be used without it. If not, only `check` and `warn_missing` report it.
            split: the split that needs it; empty for any.
        """
        return MissingData(what, needed=needed, split=split)

    def record_missing(self, missing: BadInput) -> None:
        """Raise an error of missing data, or record it while the folder is being checked."""
        if self._missing is None:
            raise missing
        self._missing.append(str(missing))

    def make_id(self, path: Path) -> str:
        """Return a path relative to the root, the same on every machine."""
        return portable_name(path.relative_to(self.root))

    def merge_modalities(self, forms: Mapping[str, Item]) -> Item:
        """Merge the items of one sample in several modalities: the first selected modality, the others as partners."""
        first = self.selected_modalities[0]
        return replace(forms[first], partners={kind: item for kind, item in forms.items() if kind != first})

    @property
    def items(self) -> Sequence[Item]:
        """The samples, in an order that is the same on every machine."""
        return self._items

    @property
    def classes(self) -> Sequence[str]:
        """Class names of the labels, without duplicates; empty if there are no labels."""
        return [self.class_by_label[label] for label in self.selected_labels]

    @property
    def all_classes(self) -> Sequence[str]:
        """Class names of the whole dataset, including those not selected."""
        return list(self.class_by_label.values()) or self.classes

    def resolve_class_name(self, text: str) -> str:
        """Return the class name of a published label or an alias; the text itself if it is neither."""
        return self.class_by_label.get(text, text)

    @classmethod
    def split_names(cls) -> tuple[str, ...]:
        """Return the splits other than `all`, in order; none for a dataset without splits."""
        return tuple(name for name in cls.splits if name != ALL)

    def with_split(self, name: str) -> Dataset:
        """Open another split, such as `train`, with the same options; raise `BadInput` if the dataset has no splits."""
        if not self.split_names() or self._selection is None:
            raise BadInput(f"{self.name} is published in one part: there is no {name!r}")
        return self.with_options(**{**self._selection, "split": name})

    def with_options(self, **options: object) -> Self:
        """Open the same folder with other options; the modalities stay unless given.

        Raises:
            BadInput: the folder has no samples of the selection.
            BadOption: an option that the dataset does not take, or the samples are in memory.
        """
        if self._selection is None:
            raise BadOption(f"expected a dataset in a folder, got {self.name} in memory: it takes no options")
        return type(self)(self.folder, **{"modalities": self.modalities, **options})

    @classmethod
    def check(cls, folder: str | os.PathLike[str], **options: object) -> tuple[SplitContents, ...]:
        """Count the samples of each split in a folder and list missing data, without reading samples.

        Args:
            folder: the local folder.
            options: options of the dataset. With `split`, only that split is counted; with any other option, counts are
                not compared with the published ones, which are of the whole dataset.

        Raises:
            BadInput: there is no such folder.
            BadOption: an option that the dataset does not take.
        """
        return check_folder(cls, folder, options)

    @property
    def split_hash(self) -> str:
        """Hash of ids, labels, notes and classes: two results are comparable only if it is equal."""
        rows = [[item.id, item.label, *([dict(item.notes)] if item.notes else [])] for item in self.items]
        return hash_settings([list(self.classes), rows])


def load_dataset(name: str, folder: str | os.PathLike[str], **options: object) -> Dataset:
    """Open a registered dataset in a local folder.

    Args:
        name: registered name of the dataset; `anybind datasets` lists them.
        folder: the local folder.
        options: options of the dataset, such as `split`, `classes`, `limit` or `modalities`.

    Raises:
        UnknownName: no such dataset; the message suggests the nearest names.
        BadInput: the folder is missing or is not a copy of the dataset.
        BadOption: an option that the dataset does not take.
    """
    return create_part(DatasetSpec, name, folder, **{"modalities": None, **options})
