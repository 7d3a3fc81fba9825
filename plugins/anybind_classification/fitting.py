"""Fitting a classification head on labelled files."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from anybind import Binder, Embeddings, EmbeddingStore, concatenate, load, load_dataset
from anybind.plugin import BadInput, BadOption, Dataset, Head, HeadInput, Item, errors, loops, readers, tables, windows


def fit_head(
    data: str | os.PathLike[str] | Dataset,
    *,
    head: str = "linear-probe",
    binding: str | os.PathLike[str] | Binder = "mini",
    modality: str = "",
    options: windows.WindowOptions | None = None,
    files_per_class: int | None = None,
    windows_per_class: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    store: EmbeddingStore | None = None,
    on_bad: errors.OnBad | None = None,
    reader_options: Mapping[str, object] | None = None,
    **head_options: object,
) -> Head:
    """Fit a classification head on a folder of class folders, or on a dataset.

        head = anybind_classification.fit_head("photos", head="prototypes")
        head.save("photos.safetensors")

    Long recordings are divided into windows, as by `classify_windows`: each window is a sample of its class. Windows in
    which nothing happens are left out.

    Args:
        data: a folder with one folder per class, or a dataset with labels.
        head: registered name of a classification head with the option `modality`.
        binding: name or TOML file of a binding, or a binder.
        modality: embed all files as this modality, derived if needed (events from an image). [default: the files' own]
        options: part of each recording, and its windows.
        files_per_class: largest number of files of each class, drawn by the seed. [default: all]
        windows_per_class: largest number of windows of each class, drawn by the seed; a file that is not divided is one
            window. [default: all]
        seed: seed of derived samples, and of drawn files and windows.
        device: torch device; unused if `binding` is a binder.
        store: embedding store; unused if `binding` is a binder. [default: none]
        on_bad: called with the id and the error of each invalid file, and of each recording in which nothing happens,
            which is then skipped. [default: raise the error]
        reader_options: options for the readers that take them, such as the `size` of a sensor.
        head_options: options of the head.

    Returns:
        the fitted head; its class names are those of the data.

    Raises:
        UnknownName: no such head or binding.
        BadOption: not a classification head, an unknown option of the head or of the readers, files of several
            modalities without `modality`, invalid windows, or a number per class below 1.
        BadInput: no samples, fewer than two classes, or a class without a valid sample.
    """
    seed = _check_draws(files_per_class, windows_per_class, seed)
    Head.find(head, predicts="classification")  # fails before anything is loaded
    binder = binding if isinstance(binding, Binder) else load(binding, device=device, store=store)
    is_derived = bool(modality)
    if not isinstance(data, Dataset):
        file_modalities = [name for name in binder.modalities if name != "text"]
        data = load_dataset("folder", data, modalities=None if is_derived else file_modalities)
    if not modality:  # invalid files are skipped silently here: `embed` reports them
        modality = _find_single_modality(data, binder, None if on_bad is None else lambda id, error: None)
    fitted_head = Head.find(head, predicts="classification", modality=modality, **head_options)
    fitted_head.prepare(binder)
    items = readers.add_options(_draw_items(data, files_per_class, seed), reader_options or {})
    samples, labels = _embed_labelled(
        binder, modality, items, options or windows.WindowOptions(), seed if is_derived else None, on_bad
    )
    drawn, class_names = _draw_per_class(labels, windows_per_class, seed), list(data.classes)
    numbers = [class_names.index(labels[row]) for row in drawn]
    return fitted_head.fit(HeadInput({modality: samples[drawn]}), numbers, class_names)


def _check_draws(files_per_class: int | None, windows_per_class: int | None, seed: int) -> int:
    """Return the seed as an `int`; raise `BadOption` for numbers per class or a seed that are invalid."""
    for name, number in (("files_per_class", files_per_class), ("windows_per_class", windows_per_class)):
        if number is not None:
            tables.check_count(name, number)
    return tables.check_seed(seed)


def _draw_items(data: Dataset, files_per_class: int | None, seed: int) -> list[Item]:
    """Return labelled items, at most so many of each class."""
    items = [item for item in data.items if item.label in data.classes]
    return [items[number] for number in _draw_per_class([item.label for item in items], files_per_class, seed)]


def _embed_labelled(
    binder: Binder,
    modality: str,
    items: Sequence[Item],
    options: windows.WindowOptions,
    derive_seed: int | None,
    on_bad: errors.OnBad | None,
) -> tuple[Embeddings, list[str]]:
    """Embed the windows of labelled recordings in which something happens; return n rows and n labels."""
    rows, labels = [binder.embed(modality, [], derive_seed=derive_seed)], list[str]()
    with loops.progress_bar(len(items), f"embedding {modality}") as advance:
        for recording in windows.embed_windows(
            binder, modality, items, options, derive_seed=derive_seed, on_bad=on_bad, advance=advance
        ):
            if recording.is_active:
                rows.append(recording.embeddings)
                labels += [recording.item.label] * len(recording.embeddings)
                continue
            reasons = ", ".join(dict.fromkeys(window.inactivity for window in recording.windows))
            error = BadInput(f"{recording.item.id}: expected windows in which something happens, got none: {reasons}")
            if on_bad is None:
                raise error
            on_bad(recording.item.id, error)
    return concatenate(rows), labels


def _draw_per_class(labels: Sequence[str], limit: int | None, seed: int) -> np.ndarray:
    """Draw at most `limit` samples of each class by the seed; return their numbers in order, (m,)."""
    by_class: dict[str, list[int]] = defaultdict(list)
    for number, label in enumerate(labels):
        by_class[label].append(number)
    drawn = [
        np.random.default_rng((seed, position)).permutation(by_class[label])[:limit]
        for position, label in enumerate(sorted(by_class))
    ]
    return np.sort(np.concatenate(drawn)) if drawn else np.empty(0, np.int64)


def _find_single_modality(data: Dataset, binder: Binder, on_bad: errors.OnBad | None) -> str:
    """Return the modality of all files of a dataset."""
    paths = [item.source for item in data.items if isinstance(item.source, Path)]
    modalities = list(readers.group_by_modality(paths, binder.modalities, on_bad))
    if len(modalities) != 1:
        raise BadOption(
            f"{data.name}: expected files of one modality, got {', '.join(modalities) or 'no files'}; choose"
            " one modality to embed all files as"
        )
    return modalities[0]
