"""Arrays that are computed once for all epochs: the frozen teacher's embeddings, and the student's inputs.

Rows of invalid samples, which a recipe with `skip_invalid` leaves out, are NaN.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from anybind import AnybindError, BadInput, EmbeddingStore
from anybind.plugin import BadOption, Item, TorchEncoder, loops, modalities, tables
from anybind_train.cache import cache_array
from anybind_train.data import TrainingSet

Rows = tuple[list[int], np.ndarray]
"""Positions of rows in an array, and the rows."""


def compute_teacher_embeddings(
    data: TrainingSet, cache: Path, store: EmbeddingStore | None = None, *, raw: bool = False
) -> np.ndarray | None:
    """Compute and cache the teacher's embeddings in its own space: (versions, items, d) float32.

    Args:
        data: the training data.
        cache: the folder of the array.
        store: where each embedding is looked up, and stored as soon as its batch is computed; not if raw.
        raw: embeddings as the module gives them; if False, of norm 1.
    """
    teacher = data.recipe.teacher
    if not teacher:
        return None
    encoder = data.binder.encoder(teacher)
    shape = (data.recipe.variants, len(data), encoder.space.dim)

    def fill(array: np.ndarray) -> None:
        indices = list(np.ndindex(shape[:2]))
        batches = _encode_raw(data, indices) if raw else _embed_teachers(data, indices, store)
        _fill_rows(array, batches, f"teacher: {teacher}")

    name = f"teacher-raw-{_hash(data, encoder.identity)}" if raw else f"teacher-{_hash(data, encoder.identity)}"
    array = cache_array(cache, name, shape, np.float32, fill)
    _report_invalid(data, array, data.load_teacher_sample)
    return array


def prepare_inputs(data: TrainingSet, cache: Path) -> np.ndarray | None:
    """Prepare and cache the student's inputs, (versions, items, ...) float16; None without `cache_inputs`."""
    recipe = data.recipe
    if not recipe.cache_inputs:
        return None

    def load_input(version: int, number: int) -> torch.Tensor | None:
        return data.call_or_skip(number, lambda: data.load_student_input(number, version, 0))

    first = next((loaded for number in range(len(data)) if (loaded := load_input(0, number)) is not None), None)
    if first is None:
        raise BadInput(f"recipe {recipe.name}: none of the {len(data)} training samples is valid")
    shape = (recipe.variants, len(data), *first.shape)
    modality = modalities.find_modality(recipe.modality)
    sources = modalities.list_sources(modality.name)[1:]
    derivations = {source: dict(modality.derivation(source)) for source in sources}

    def check_shape(value: torch.Tensor) -> torch.Tensor:
        if value.shape != first.shape:
            shapes = f"{tuple(first.shape)}, {tuple(value.shape)}"
            raise BadOption(f"recipe {recipe.name}: inputs differ in shape ({shapes}); set cache_inputs = false")
        return value

    def fill(array: np.ndarray) -> None:
        indices = list(np.ndindex(shape[:2]))
        inputs = enumerate(loops.prefetch(lambda index: load_input(*index), indices))
        rows = (([position], check_shape(value).numpy()[None]) for position, value in inputs if value is not None)
        _fill_rows(array, rows, f"{recipe.modality} inputs")

    name = f"inputs-{_hash(data, dict(data.student.preprocessing), recipe.student.input_size, derivations)}"
    array = cache_array(cache, name, shape, np.float16, fill)
    _report_invalid(data, array, lambda number, version: data.load_student_input(number, version, 0))
    return array


def is_invalid(row: np.ndarray) -> bool:
    """Return whether a row of an array is that of an invalid sample."""
    return bool(np.isnan(row.flat[0]))


def _hash(data: TrainingSet, *settings: object) -> str:
    return tables.hash_settings([data.hash, *settings, *(["skip_invalid"] if data.invalid.share else [])])


def _fill_rows(array: np.ndarray, batches: Iterator[Rows], label: str) -> None:
    """Fill the rows of an array (versions, items, ...); those that no batch contains become NaN."""
    rows = array.reshape(-1, *array.shape[2:])
    missing = np.ones(len(rows), bool)
    with loops.progress_bar(len(rows), label) as advance:
        for positions, values in batches:
            rows[positions] = values
            missing[positions] = False
            advance(len(positions))
    rows[missing] = np.nan


def _report_invalid(data: TrainingSet, array: np.ndarray, load: Callable[[int, int], object]) -> None:
    """Report the invalid rows of an array that another run has cached, by loading their samples again."""
    rows = array.reshape(*array.shape[:2], -1)[..., 0]
    for version, number in np.argwhere(np.isnan(rows)).tolist():
        id = data.items[number].item.id
        if id not in data.invalid.reasons:
            data.call_or_skip(number, lambda number=number, version=version: load(number, version))
        if id not in data.invalid.reasons:
            data.invalid.skip(id, BadInput(f"{id}: invalid when it was cached; delete the cache to use it"))


def _embed_teachers(
    data: TrainingSet, indices: Sequence[tuple[int, ...]], store: EmbeddingStore | None
) -> Iterator[Rows]:
    def load_sample(position: int) -> Item | None:
        version, number = indices[position]
        sample = data.call_or_skip(number, lambda: data.load_teacher_sample(number, version))
        return None if sample is None else Item(str(position), sample)

    def skip(position: str, error: AnybindError) -> None:
        id = data.items[indices[int(position)][1]].item.id
        data.invalid.skip(id, type(error)(f"{id}: {str(error).removeprefix(f'{position}: ')}"))

    binder = data.binder.with_store(store).without_adapters(data.recipe.teacher)
    samples = (item for item in loops.prefetch(load_sample, range(len(indices))) if item is not None)
    for batch in binder.embed_batches(data.recipe.teacher, samples, on_bad=skip):
        yield [int(id) for id in batch.ids], batch.vectors


def _encode_raw(data: TrainingSet, indices: Sequence[tuple[int, ...]]) -> Iterator[Rows]:
    encoder = data.binder.encoder(data.recipe.teacher)
    if not isinstance(encoder, TorchEncoder):
        raise BadOption("a loss needs the teacher's embeddings before their normalisation: expected one on torch")

    def load_input(position: int) -> tuple[int, object]:
        version, number = indices[position]
        return position, data.call_or_skip(number, lambda: data.load_teacher_input(number, version))

    loaded = (each for each in loops.prefetch(load_input, range(len(indices))) if each[1] is not None)
    while batch := list(itertools.islice(loaded, data.recipe.batch_size)):
        yield [position for position, _ in batch], encoder.encode_raw([prepared for _, prepared in batch])
