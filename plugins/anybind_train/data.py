"""What a run trains on: items of one or more data sets, in versions, with the frozen teacher's vectors beside them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch.nn import functional

from anybind import AnybindError, Binder, EmbeddingStore, derive, read
from anybind.plugin import (
    BadInput,
    BadOption,
    Dataset,
    Encoder,
    Item,
    create_part,
    modalities,
    prefetch,
    progress_bar,
    readers,
    tables,
)
from anybind_train.cache import cache_array
from anybind_train.recipe import DatasetConfig, Recipe

T = TypeVar("T")
N_SEEDS = (1 << 31) - 1

Sources = Path | Mapping[str, Dataset]
"""Where a recipe's data are: the folder that its paths lie below, or data sets that are made already, each by the
`path` of the table that means it; of such a table only `path` and `shots` are looked at.
"""


@dataclass(frozen=True)
class LabelledItem:
    """One item of the training data, and which class it is of."""

    item: Item
    label: int


def open_dataset(config: DatasetConfig, sources: Sources, modality: str) -> Dataset:
    """The data set that a recipe's table names; `shots` is not applied.

    Raises:
        BadInput, BadOption, UnknownName: as the data set's kind does.
    """
    if isinstance(sources, Mapping):
        return sources[config.path]
    kinds = modalities.list_sources(modality)[1:]
    options: dict[str, object] = {"modalities": (modality, *kinds), **config.options}
    if config.classes:
        options["classes"] = parse_class_names(config.classes, sources)
    if config.limit:
        options["limit"] = config.limit
    return create_part("dataset", config.dataset, sources / config.path, **options)


def parse_class_names(given: str | Sequence[str], sources: Sources) -> list[str]:
    """Names as a recipe gives them: a list, `a,b`, or a file below the data folder, `FILE.json:KEY`."""
    if not isinstance(given, str):
        return list(given)
    folder = Path() if isinstance(sources, Mapping) else sources
    return tables.parse_names(str(folder / given) if ".json" in given or given.endswith(".txt") else given)


def select_few_shots(dataset: Dataset, shots: int, seed: int) -> list[Item]:
    """`shots` items of each class, drawn by the seed; all of them for 0.

    Raises:
        BadInput: a class has fewer.
    """
    if not shots:
        return list(dataset.items)
    kept: list[Item] = []
    for number, name in enumerate(dataset.classes):
        of_class = [item for item in dataset.items if item.label == name]
        if len(of_class) < shots:
            raise BadInput(f"{dataset.name}: the class {name!r} has {len(of_class)} samples, fewer than {shots} shots")
        chosen = np.random.default_rng((seed, number)).permutation(len(of_class))[:shots]
        kept += [of_class[each] for each in sorted(chosen)]
    return kept


class TrainingSet:
    """The items of a recipe's data sets, in versions; `len` is the number of items.

    Attributes:
        classes: class names of all data sets, each once; a pair's label is a number in this list, or -1.
    """

    def __init__(self, recipe: Recipe, binder: Binder, sources: Sources, student: Encoder) -> None:
        """List the items; nothing but names is read.

        Raises:
            BadInput: there are no items, or fewer than a batch.
            BadOption, UnknownName: an augmentation is of no modality, or has an option that there is not.
        """
        self.recipe, self.binder, self.student = recipe, binder, student
        for name, options in recipe.augment.items():
            modalities.check_augmentation(name, options)
        self.items: list[LabelledItem] = []
        self.classes: list[str] = []
        for data in recipe.data:
            dataset = open_dataset(data, sources, recipe.modality)
            items = select_few_shots(dataset, data.shots, recipe.seed)
            self.classes += [name for name in dict.fromkeys(dataset.classes) if name not in self.classes]
            number = {name: place for place, name in enumerate(self.classes)}
            self.items += [
                LabelledItem(_prefix_item_id(item, dataset.name), number.get(item.label, -1)) for item in items
            ]
        if len(self.items) < recipe.batch_size:
            raise BadInput(
                f"there are {len(self.items)} samples to train on, fewer than a batch of {recipe.batch_size}"
            )
        self.labels = torch.tensor([pair.label for pair in self.items])

    def __len__(self) -> int:
        return len(self.items)

    @functools.cached_property
    def hash(self) -> str:
        """Hash of the items, their classes and sizes, the versions and whatever makes a version."""
        recipe = self.recipe
        augment = {name: dict(options) for name, options in recipe.augment.items()}
        return tables.hash_settings(
            [
                [_describe_item(pair.item) for pair in self.items],
                recipe.variants,
                recipe.seed,
                dict(recipe.derive),
                augment,
            ]
        )

    def make_seed(self, number: int, version: int, purpose: int) -> int:
        """A seed of its own for each item, version and purpose, the same in every run of the recipe."""
        sequence = np.random.SeedSequence((self.recipe.seed, number, version, purpose))
        return int(sequence.generate_state(1)[0]) % N_SEEDS

    def read_source(self, number: int, version: int) -> tuple[object, str]:
        """What the item's file holds, as this version shows it, and its modality."""
        return self._augment_source(*_read_item(self.items[number].item, self.recipe.modality), number, version)

    def _augment_source(self, sample: object, modality: str, number: int, version: int) -> tuple[object, str]:
        options = self.recipe.augment.get(modality)
        if options is not None and modality != self.recipe.modality:
            sample = modalities.find_modality(modality).augment(
                sample, seed=self.make_seed(number, version, 0), **options
            )
        return sample, modality

    def prepare_student_input(self, source: tuple[object, str], number: int, version: int, epoch: int) -> torch.Tensor:
        """The prepared input of the student."""
        sample, modality = source
        wanted = self.recipe.modality
        if modality != wanted:
            seed = self.make_seed(number, version, 1)
            sample = derive(wanted, sample, source=modality, seed=seed, **self.recipe.derive)
        if self.recipe.augments_each_epoch:
            seed = self.make_seed(number, epoch, 2)
            sample = modalities.find_modality(wanted).augment(sample, seed=seed, **self.recipe.augment[wanted])
        modalities.find_modality(wanted).check(sample)
        return _resize_input(self.student.preprocess(sample), self.recipe.student.input_size)

    def select_teacher_sample(self, source: tuple[object, str], number: int, version: int) -> object:
        """What the teacher embeds: a version of the item's partner, or of the file itself.

        Raises:
            BadInput: the item has no recording of the teacher's modality.
        """
        sample, modality = source
        wanted, item = self.recipe.teacher, self.items[number].item
        if wanted in item.partners:
            partner = _read_item(item.partner(wanted), wanted)
            sample, modality = self._augment_source(*partner, number, version)
        if modality != wanted:
            raise BadInput(f"{item.id} does not pair: it is {modality} and has no {wanted} beside it for the teacher")
        modalities.find_modality(wanted).check(sample)
        return sample

    def prepare_teacher_input(self, source: tuple[object, str], number: int, version: int) -> object:
        """The prepared input of the teacher; see `teacher_sample`."""
        return self.binder.encoder(self.recipe.teacher).preprocess(self.select_teacher_sample(source, number, version))

    def load_teacher_input(self, number: int, version: int) -> object:
        """The prepared input of the teacher, made of what is on disk; errors name the item."""
        return self.call_for_item(
            number, lambda: self.prepare_teacher_input(self.read_source(number, version), number, version)
        )

    def call_for_item(self, number: int, make: Callable[[], T]) -> T:
        """What `make` makes, its errors naming the item."""
        id = self.items[number].item.id
        try:
            return make()
        except AnybindError as error:
            raise error if id in str(error) else type(error)(f"{id}: {error}") from error

    def compute_teacher_embeddings(self, cache: Path, store: EmbeddingStore | None = None) -> np.ndarray | None:
        """(versions, items, d) float32, the teacher's unit vectors in its own space, computed once and kept.

        Args:
            cache: the folder of the array.
            store: where each embedding is looked up, and stored as soon as its batch is computed.
        """
        teacher = self.recipe.teacher
        if not teacher:
            return None
        encoder = self.binder.encoder(teacher)
        shape = (self.recipe.variants, len(self), encoder.space.dim)

        def fill(array: np.ndarray) -> None:
            def item(place: tuple[int, ...]) -> Item:
                version, number = place
                make = lambda: self.select_teacher_sample(self.read_source(number, version), number, version)  # noqa: E731
                return Item(self.items[number].item.id, self.call_for_item(number, make))

            places = list(np.ndindex(shape[:2]))
            rows, start = array.reshape(len(places), -1), 0
            binder = self.binder.with_store(store).without_adapters(teacher)
            with progress_bar(len(places), f"teacher: {teacher}") as advance:
                for batch in binder.embed_batches(teacher, prefetch(item, places)):
                    rows[start : start + len(batch)] = batch.vectors
                    start += len(batch)
                    advance(len(batch))

        return cache_array(
            cache, f"teacher-{tables.hash_settings([self.hash, encoder.identity])}", shape, np.float32, fill
        )

    def prepare_inputs(self, cache: Path) -> np.ndarray | None:
        """(versions, items, ...) float16, prepared inputs of the student, if the recipe keeps them."""
        if not self.recipe.cache_inputs:
            return None
        first = self.call_for_item(0, lambda: self.prepare_student_input(self.read_source(0, 0), 0, 0, 0))
        shape = (self.recipe.variants, len(self), *first.shape)
        modality = modalities.find_modality(self.recipe.modality)
        sources = modalities.list_sources(modality.name)[1:]
        derivations = {source: dict(modality.derivation(source)) for source in sources}
        how = [self.hash, dict(self.student.preprocessing), self.recipe.student.input_size, derivations]

        def fill(array: np.ndarray) -> None:
            def prepared(place: tuple[int, int]) -> torch.Tensor:
                version, number = place
                make = lambda: self.prepare_student_input(self.read_source(number, version), number, version, 0)  # noqa: E731
                return self.call_for_item(number, make)

            places = list(np.ndindex(shape[:2]))
            with progress_bar(len(places), f"{self.recipe.modality} inputs") as advance:
                for place, value in zip(places, prefetch(prepared, places), strict=True):
                    array[place] = value.numpy()
                    advance(1)

        return cache_array(cache, f"inputs-{tables.hash_settings(how)}", shape, np.float16, fill)


def shuffle_epoch(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order in which an epoch takes the items, the same whenever it is asked for."""
    return np.random.default_rng((seed, 1 + epoch)).permutation(count)


def _prefix_item_id(item: Item, dataset: str) -> Item:
    return replace(item, id=f"{dataset}/{item.id}")


def _describe_item(item: Item) -> list[object]:
    """Name, class and sizes of an item: files of another folder may have the same names."""
    return [
        item.id,
        item.label,
        _get_file_size(item.source),
        {of: _get_file_size(item.partner(of).source) for of in item.partners},
    ]


def _get_file_size(source: object) -> int:
    try:
        return Path(source).stat().st_size if isinstance(source, str | Path) else 0
    except OSError:  # told when it is read
        return 0


def _read_item(item: Item, wanted: str) -> tuple[object, str]:
    if not isinstance(item.source, str | Path):
        return item.source, modalities.infer_modality(item.source)
    reader = readers.find_reader(item.source, wanted)
    return read(item.source, reader=reader, **item.options), reader.spec.modality


def _resize_input(prepared: object, side: int) -> torch.Tensor:
    if not isinstance(prepared, torch.Tensor):
        raise BadOption("only an encoder whose prepared inputs are tensors can be trained")
    if not side:
        return prepared
    if prepared.ndim != 3:
        raise BadOption(f"student.input_size is for pictures, but prepared inputs have shape {tuple(prepared.shape)}")
    size = (side, side)
    return functional.interpolate(prepared[None], size, mode="bilinear", antialias=True, align_corners=False)[0]
