"""`Dataset`: labelled samples in a local folder, or in memory, and the class names that the labels mean."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Self

from anybind.completeness import ALL, SplitContents, check_folder
from anybind.errors import BadInput, BadOption, suggest_names
from anybind.files import portable_name
from anybind.item import Item, MissingData, get_missing, spread_over_labels
from anybind.registry import create_part
from anybind.spec import DatasetSpec
from anybind.tables import hash_settings


class Dataset:
    """Labelled samples: a record of a dataset, and `scan`, which lists its samples in a folder.

    A subclass sets the class attributes that describe the dataset and defines `scan` and, where the labels found are
    not the class names, `class_names`. The base class checks the folder, the modalities and the options, filters by
    class, limits, counts and reports what is missing. A dataset whose samples are in memory defines `__init__`, which
    calls `set_items`, or the properties `items` and `classes`.

    Attributes:
        name: shown in results; that of the folder if the class sets none.
        licence: what is known of the data's licence.
        size: how much there is of it, in words; empty where there is no published size, as of a user's own folder.
        published: where it can be had, in words; empty where it is not published.
        sample_modalities: the modalities of its samples; empty where that depends on the folder.
        splits: the splits that it has, each with the number of its published samples (None: not known). `all` is what
            the data hold together; a dataset that has no other is not split.
        split: the split that is listed, an option of datasets that are split. The default is set in the class.
        inner: folder that the published archive brings along; the root is this one or the folder itself.
        lists_incomplete: whether `scan` still lists samples where some of `list_required_paths` are missing.
        options: names of options of its own, each a class attribute that holds its default.
        takes_limit: whether it takes the option `limit`: False where an `__init__` of its own does not.
        derived: whether its samples are turned into other modalities, so that `modalities` selects nothing.
        folder, modalities, limit: as they were given.
        root: the folder that ids of samples are paths from.
        selected_modalities: the selected ones of `sample_modalities`, in their order.
        class_by_label: class name by published label, of the whole data and in the order of the classes.
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
    _selection: Mapping[str, Any] | None = None

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        modalities: Iterable[str] | None = None,
        classes: Iterable[str] | None = None,
        limit: int | None = None,
        **options: Any,
    ) -> None:
        """List the samples of a folder; none is read.

        Args:
            folder: the local folder.
            modalities: the kinds of file that count as samples; all by default.
            classes: keep only these, by published label or class name.
            limit: keep about this many samples, spread evenly over the classes.
            options: `split`, where the dataset is split, and `options` of its own.

        Raises:
            BadInput: the folder is missing, damaged, no complete copy, or has no samples of what is asked for.
            BadOption: no such option, split or class, or a limit below 1.
        """
        self._set_options(options, limit)
        self.limit, self.modalities = limit, None if modalities is None else tuple(modalities)
        selected = None if classes is None else set(classes)
        self._selection = {**options, "modalities": self.modalities, "classes": selected, "limit": limit}
        self.folder = self.root = Path(folder)
        if not self.folder.is_dir():
            remedy = f"{self.name} is published at {self.published}" if self.published else "check the path"
            raise BadInput(f"{self.folder} is no folder; {remedy}")
        self.name = self.name or self.folder.resolve().name
        selected_names = self.sample_modalities if self.derived or self.modalities is None else self.modalities
        self.selected_modalities = [kind for kind in self.sample_modalities if kind in selected_names]
        if self.sample_modalities and not self.selected_modalities:
            others = ", ".join(sorted(selected_names)) or "none"
            raise BadInput(f"{self.name} holds samples of {', '.join(self.sample_modalities)}, not of {others}")
        self._missing = get_missing()
        try:
            self._list_items(selected, limit)
        except MissingData as missing:
            if self.checking:
                raise
            if not self.published:
                raise BadInput(f"{self.folder}: {missing}") from None
            where = f"it is published at {self.published}"
            raise BadInput(f"{self.folder} is no complete copy of {self.name}: {missing}; {where}") from None

    def set_items(self, items: Sequence[Item], classes: Iterable[str] = ()) -> None:
        """Take samples that are in memory, and their classes: for an `__init__` that lists no folder."""
        self._items = list(items)
        self.class_by_label = {name: name for name in classes}
        self.selected_labels = list(self.class_by_label)

    def _set_options(self, options: Mapping[str, Any], limit: int | None) -> None:
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
        for each in unneeded if self.checking else ():
            self.record_missing(each)
        if unneeded and not self.checking:
            self.warn_missing(unneeded)
        class_names = {self.class_by_label[label] for label in self.selected_labels}
        items = self.select([item for item in items if selected is None or item.label in class_names], limit)
        self._items = [each for item in items for each in self._collect(self.complete_item(item), unneeded)]
        if not self._items:
            self.record_missing(self.missing("it holds no samples of what was asked for"))

    def _collect(self, listed: Iterable[Item | BadInput], unneeded: list[MissingData]) -> Iterator[Item]:
        """The items; what is missing is noted, or put aside where it is not needed."""
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
        """Take the folder or the one named `inner` in it as root, whichever holds more of the paths needed."""
        folders = (self.folder, self.folder / self.inner)
        missing_by_folder = {place: [name for name in required if not (place / name).exists()] for place in folders}
        self.root = min(missing_by_folder, key=lambda place: len(missing_by_folder[place]))
        missing = missing_by_folder[self.root]
        if missing and not (self.checking and self.lists_incomplete and len(missing) < len(required)):
            raise self.missing(f"{self.root if self.inner else 'it'} lacks {', '.join(missing)}")

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        """List the samples, in an order that is the same on every machine, without reading them.

        Yields items, and `missing(...)` for what the folder lacks: `check` lists all of it, and using the dataset
        raises the first. Raise `missing(...)` where nothing can be listed without it.

        Args:
            splits: those to list, published ones where the data are split; (`all`,) if not.
        """
        raise NotImplementedError(f"{type(self).__name__} defines neither scan nor items")

    def class_names(self) -> Mapping[str, str] | None:
        """The class name by published label, in the order of the classes; None for the sorted labels that are found."""
        return None

    def list_required_paths(self, splits: Sequence[str]) -> Sequence[str]:
        """Paths in the root without which nothing can be listed of these splits."""
        return ()

    def resolve_splits(self) -> Sequence[str]:
        """The splits that the option `split` stands for; raises `BadOption` for one that does not exist."""
        names = self.split_names()
        if self.split not in (*names, ALL):
            raise BadOption(f"there is no split {self.split!r}{suggest_names(self.split, (*names, ALL))}")
        return (names or (ALL,)) if self.split == ALL else (self.split,)

    def select(self, items: Sequence[Item], limit: int | None) -> list[Item]:
        """About `limit` items, spread evenly over the labels, the first of each label first; all by default.

        They stay in their order.
        """
        return spread_over_labels(items, limit)

    def complete_item(self, item: Item) -> Iterator[Item | BadInput]:
        """Complete an item that was selected: yields it, with what takes longer than listing, as `scan` does."""
        yield item

    def warn_missing(self, missing: Sequence[MissingData]) -> None:
        """Warn of what is missing and not needed; silent by default."""

    @classmethod
    def published_splits(cls, folder: str | os.PathLike[str]) -> Mapping[str, int | None]:
        """The published number of samples by split: `splits`, unless a folder may hold one of several datasets."""
        return cls.splits

    @property
    def checking(self) -> bool:
        return self._missing is not None

    def missing(self, what: str, *, needed: bool = True, split: str = "") -> MissingData:
        """What the folder lacks, to be yielded or raised by `scan`.

        Args:
            what: in words, with the path. The error adds the folder and where the dataset is published.
            needed: whether the dataset cannot be used without it. If not, only `check` and `warn_missing` tell of it.
            split: the split that lacks it, where other splits can do without; empty for any.
        """
        return MissingData(what, needed=needed, split=split)

    def record_missing(self, missing: BadInput) -> None:
        """Raise what is missing; note it and go on where the folder is being checked."""
        if self._missing is None:
            raise missing
        self._missing.append(str(missing))

    def make_id(self, path: Path) -> str:
        """A path from the root, the same on every machine."""
        return portable_name(path.relative_to(self.root))

    def merge_modalities(self, forms: Mapping[str, Item]) -> Item:
        """An item that is there in several modalities: in the first one asked for, the others as its partners."""
        first = self.selected_modalities[0]
        return replace(forms[first], partners={kind: item for kind, item in forms.items() if kind != first})

    @property
    def items(self) -> Sequence[Item]:
        """The samples, in an order that is the same on every machine."""
        return self._items

    @property
    def classes(self) -> Sequence[str]:
        """Class names that the labels are taken from, without doubles; empty where there are no labels."""
        return [self.class_by_label[label] for label in self.selected_labels]

    @property
    def all_classes(self) -> Sequence[str]:
        """Class names of the whole data, of which only some may have been asked for."""
        return list(self.class_by_label.values()) or self.classes

    def resolve_class_name(self, text: str) -> str:
        """The class name that a user means by a published label or another text; the text itself if none is known."""
        return self.class_by_label.get(text, text)

    @classmethod
    def split_names(cls) -> tuple[str, ...]:
        """The splits other than `all`, in order; none where the data are not split."""
        return tuple(name for name in cls.splits if name != ALL)

    def with_split(self, name: str) -> Dataset:
        """Another split, such as `train`, with the same options; raises `BadInput` where the data are not split."""
        if not self.split_names() or self._selection is None:
            raise BadInput(f"{self.name} is published in one part: there is no {name!r}")
        return self.with_options(**{**self._selection, "split": name})

    def with_options(self, **options: Any) -> Self:
        """The same folder listed with other options; the modalities stay unless given.

        Raises:
            BadInput: the folder lacks what the options ask for.
            BadOption: an option that the dataset does not take, or the samples are in no folder.
        """
        if self._selection is None:
            raise BadOption(f"options are for datasets in folders, and {self.name} is none")
        return type(self)(self.folder, **{"modalities": self.modalities, **options})

    @classmethod
    def check(cls, folder: str | os.PathLike[str], **options: Any) -> tuple[SplitContents, ...]:
        """Count what a folder holds of each split, and list what it lacks; no sample is opened.

        Args:
            folder: as the dataset takes it.
            options: as the dataset takes them. With a `split` only that one is looked at; with any other option the
                published numbers are not compared, since they are of the whole.

        Raises:
            BadInput: there is no such folder.
            BadOption: an option that the dataset refuses.
        """
        return check_folder(cls, folder, options)

    @property
    def split_hash(self) -> str:
        """Hash of ids, labels, notes and classes: two results are comparable only when these agree."""
        rows = [[item.id, item.label, *([dict(item.notes)] if item.notes else [])] for item in self.items]
        return hash_settings([list(self.classes), rows])


def load_dataset(name: str, folder: str | os.PathLike[str], **options: Any) -> Dataset:
    """A registered dataset, read from a local folder.

    Args:
        name: as it is registered; `anybind datasets` lists them.
        folder: where the data is.
        options: of the dataset, such as `split`, `classes`, `limit` or `modalities`.

    Raises:
        UnknownName: no such dataset; the message offers the nearest ones.
        BadInput: the folder is missing or no copy of the dataset.
        BadOption: an option that the dataset does not take.
    """
    return create_part(DatasetSpec, name, folder, **{"modalities": None, **options})
