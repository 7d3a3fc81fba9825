"""Training data: items of one or several datasets, in versions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch.nn import functional

from anybind import AnybindError, Binder, derive, read
from anybind.plugin import BadInput, BadOption, Dataset, Encoder, Item, create_part, errors, modalities, readers, tables
from anybind_train.input_augmentation import InputAugmentation
from anybind_train.invalid_samples import InvalidSamples
from anybind_train.recipe import DatasetConfig, Recipe

T = TypeVar("T")
SourceKey = tuple[str | int, str]
N_SEEDS = (1 << 31) - 1
"""Seeds are below this number."""

Sources = Path | Mapping[str, Dataset]
"""The folder that a recipe's paths are relative to, or datasets by the `path` of their table, of which then only
`path` and `shots` are used.
"""


@dataclass(frozen=True)
class LabelledItem:
    """One item of the training data and the index of its class."""

    item: Item
    label: int


def open_dataset(config: DatasetConfig, sources: Sources, modality: str) -> Dataset:
    """Open the dataset of a recipe's table; `shots` is not applied.

    Raises:
        BadInput, BadOption, UnknownName: as the dataset does.
    """
    if isinstance(sources, Mapping):
        return sources[config.path]
    options: dict[str, object] = {"modalities": (modality, *modalities.list_sources(modality)[1:]), **config.options}
    if config.classes:
        options["classes"] = parse_class_names(config.classes, sources)
    if config.limit:
        options["limit"] = config.limit
    return create_part("dataset", config.dataset, sources / config.path, **options)


def parse_class_names(names: str | Sequence[str], sources: Sources) -> list[str]:
    """Parse class names of a recipe: a list, `a,b`, or a file below the data folder (`FILE.txt`, `FILE.json:KEY`)."""
    if not isinstance(names, str):
        return list(names)
    folder = Path() if isinstance(sources, Mapping) else sources
    return tables.parse_names(str(folder / names) if ".json" in names or names.endswith(".txt") else names)


def select_few_shots(dataset: Dataset, shots: int, seed: int) -> list[Item]:
    """Draw `shots` items of each class by the seed; return all items for 0.

    Raises:
        BadInput: a class has fewer.
    """
    if not shots:
        return list(dataset.items)
    selected: list[Item] = []
    for number, name in enumerate(dataset.classes):
        items = [item for item in dataset.items if item.label == name]
        if len(items) < shots:
            raise BadInput(f"{dataset.name}: expected at least {shots} samples of class {name!r}, got {len(items)}")
        indices = np.random.default_rng((seed, number)).permutation(len(items))[:shots]
        selected += [items[index] for index in sorted(indices)]
    return selected


def get_source_key(item: Item) -> SourceKey:
    """Identify the source of an item: its path, or the identity of its sample in memory, with its read options."""
    source = str(item.source) if isinstance(item.source, str | Path) else id(item.source)
    return source, repr(sorted(item.options.items()))


class TrainingSet:
    """The items of a recipe's datasets, in versions; `len` is the number of items.

    Attributes:
        items: items with labels; a label is an index into `classes`, or -1.
        classes: class names of all datasets, each once.
        labels: (n,) the label of each item.
        invalid: items that are left out.
    """

    def __init__(self, recipe: Recipe, binder: Binder, sources: Sources, student: Encoder) -> None:
        """List the items; no sample is read.

        Raises:
            BadInput: fewer items than a batch.
            BadOption, UnknownName: an augmentation of an unknown modality, or with an unknown option.
        """
        self.recipe, self.binder, self.student = recipe, binder, student
        for name, options in recipe.augment.items():
            modalities.check_augmentation(name, options)
        self._augment_input = InputAugmentation.from_table(recipe.augment_input)
        self.items: list[LabelledItem] = []
        self.classes: list[str] = []
        for config in recipe.data:
            dataset = open_dataset(config, sources, recipe.modality)
            self.classes += [name for name in dict.fromkeys(dataset.classes) if name not in self.classes]
            labels = {name: label for label, name in enumerate(self.classes)}
            for item in select_few_shots(dataset, config.shots, recipe.seed):
                prefixed = replace(item, id=f"{dataset.name}/{item.id}")
                self.items.append(LabelledItem(prefixed, labels.get(item.label, -1)))
        if len(self.items) < recipe.batch_size:
            raise BadInput(
                f"recipe {recipe.name}: expected at least one batch of {recipe.batch_size} training samples,"
                f" got {len(self.items)}"
            )
        self.labels = torch.tensor([entry.label for entry in self.items])
        self.invalid = InvalidSamples(recipe.skip_invalid, len(self.items), "training")

    def __len__(self) -> int:
        return len(self.items)

    @property
    def source_keys(self) -> set[SourceKey]:
        """The source keys of all items."""
        return {get_source_key(entry.item) for entry in self.items}

    @functools.cached_property
    def hash(self) -> str:
        """Hash of the items, their classes and sizes, and everything that shapes their versions."""
        recipe = self.recipe
        augment = {name: dict(options) for name, options in recipe.augment.items()}
        items = [_describe_item(entry.item) for entry in self.items]
        return tables.hash_settings([items, recipe.variants, recipe.seed, dict(recipe.derive), augment])

    def make_seed(self, number: int, version: int, purpose: int) -> int:
        """Make a seed for an item, version and purpose; the same in every run of the recipe."""
        sequence = np.random.SeedSequence((self.recipe.seed, number, version, purpose))
        return int(sequence.generate_state(1)[0]) % N_SEEDS

    def read_source(self, number: int, version: int) -> tuple[object, str]:
        """Read the file of an item and augment it for this version; return the sample and its modality."""
        return self._augment_source(*_read_item(self.items[number].item, self.recipe.modality), number, version)

    def _augment_source(self, sample: object, modality: str, number: int, version: int) -> tuple[object, str]:
        options = self.recipe.augment.get(modality)
        if options is not None and modality != self.recipe.modality:
            seed = self.make_seed(number, version, 0)
            sample = modalities.find_modality(modality).augment(sample, seed=seed, **options)
        return sample, modality

    def prepare_student_input(self, source: tuple[object, str], number: int, version: int, epoch: int) -> torch.Tensor:
        """Derive, augment and preprocess a source for the student."""
        sample, source_modality = source
        modality = self.recipe.modality
        if source_modality != modality:
            seed = self.make_seed(number, epoch if self.recipe.derive_each_epoch else version, 1)
            sample = derive(modality, sample, source=source_modality, seed=seed, **self.recipe.derive)
        if modality in self.recipe.augment:
            seed = self.make_seed(number, epoch, 2)
            sample = modalities.find_modality(modality).augment(sample, seed=seed, **self.recipe.augment[modality])
        modalities.find_modality(modality).check(sample)
        prepared = self.student.preprocess(sample)
        if self.recipe.augment_input:
            prepared = self._augment_input(prepared, self.make_seed(number, epoch, 3))
        return _resize_input(prepared, self.recipe.student.input_size)

    def load_student_input(self, number: int, version: int, epoch: int) -> torch.Tensor:
        """Read an item and prepare it for the student; errors name the item."""
        return self.call_for_item(
            number, lambda: self.prepare_student_input(self.read_source(number, version), number, version, epoch)
        )

    def select_teacher_sample(self, source: tuple[object, str], number: int, version: int) -> object:
        """Return the sample that the teacher embeds: a version of the item's partner, or of the item itself.

        Raises:
            BadInput: the item has no sample of the teacher's modality.
        """
        sample, modality = source
        teacher, item = self.recipe.teacher, self.items[number].item
        if teacher in item.partners:
            sample, modality = self._augment_source(*_read_item(item.partner(teacher), teacher), number, version)
        if modality != teacher:
            raise BadInput(f"{item.id}: expected a paired {teacher} for the teacher, got {modality} alone")
        modalities.find_modality(teacher).check(sample)
        return sample

    def load_teacher_sample(self, number: int, version: int) -> object:
        """Read the sample that the teacher embeds; errors name the item."""
        return self.call_for_item(
            number, lambda: self.select_teacher_sample(self.read_source(number, version), number, version)
        )

    def load_teacher_input(self, number: int, version: int) -> object:
        """Read an item and prepare it for the teacher; errors name the item."""
        sample = self.load_teacher_sample(number, version)
        return self.call_for_item(number, lambda: self.binder.encoder(self.recipe.teacher).preprocess(sample))

    def call_for_item(self, number: int, function: Callable[[], T]) -> T:
        """Call a function; its errors name the item."""
        id = self.items[number].item.id
        try:
            return function()
        except AnybindError as error:
            raise error if id in str(error) else type(error)(f"{id}: {error}") from error

    def call_or_skip(self, number: int, function: Callable[[], T]) -> T | None:
        """Call a function; return None if the item is invalid and is left out, see `InvalidSamples`."""
        id = self.items[number].item.id
        try:
            return self.call_for_item(number, function)
        except AnybindError as error:
            self.invalid.skip(id, error)
        except Exception as error:  # a bug of a plugin, for example of a simulation
            if not self.invalid.share:
                raise
            message = " ".join(f"{type(error).__name__}: {error}".split())
            self.invalid.skip(id, errors.PluginError(f"{id}: cannot be prepared: {message}"))
        return None


def shuffle_epoch(count: int, seed: int, epoch: int) -> np.ndarray:
    """Return the order of the items in an epoch, a permutation that depends on seed and epoch alone."""
    return np.random.default_rng((seed, 1 + epoch)).permutation(count)


def _describe_item(item: Item) -> list[object]:
    """Return id, class and file sizes of an item: files of another folder may have the same names."""
    sizes = {modality: _get_file_size(item.partner(modality).source) for modality in item.partners}
    return [item.id, item.label, _get_file_size(item.source), sizes]


def _get_file_size(source: object) -> int:
    try:
        return Path(source).stat().st_size if isinstance(source, str | Path) else 0
    except OSError:  # reading the item raises it, with the item's id
        return 0


def _read_item(item: Item, modality: str) -> tuple[object, str]:
    if not isinstance(item.source, str | Path):
        return item.source, modalities.infer_modality(item.source)
    reader = readers.find_reader(item.source, modality)
    return read(item.source, reader=reader, **item.options), reader.spec.modality


def _resize_input(prepared: object, side: int) -> torch.Tensor:
    if not isinstance(prepared, torch.Tensor):
        raise BadOption(f"expected an encoder whose inputs are tensors, got {type(prepared).__name__}: not trainable")
    if not side:
        return prepared
    if prepared.ndim != 3:
        raise BadOption(f"student.input_size: expected image inputs (c, h, w), got shape {tuple(prepared.shape)}")
    return functional.interpolate(prepared[None], (side, side), mode="bilinear", antialias=True, align_corners=False)[0]
