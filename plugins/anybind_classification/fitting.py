"""Fitting a classification head on labelled files."""

from __future__ import annotations

import os
from pathlib import Path

from anybind import Binder, EmbeddingStore, load, load_dataset
from anybind.plugin import BadOption, Dataset, Head, HeadInput, errors, readers


def fit_head(
    data: str | os.PathLike[str] | Dataset,
    *,
    head: str = "linear-probe",
    binding: str | Binder = "mini",
    modality: str = "",
    seed: int = 0,
    device: str = "cpu",
    store: EmbeddingStore | None = None,
    on_bad: errors.OnBad | None = None,
    **options: object,
) -> Head:
    """Fit a classification head on a folder of class folders, or on a dataset.

        head = anybind_classification.fit_head("photos", head="prototypes")
        head.save("photos.safetensors")

    Args:
        data: a folder with one folder per class, or a dataset with labels.
        head: registered name of a classification head with the option `modality`.
        binding: name or TOML file of a binding, or a binder.
        modality: embed all files as this modality, derived if needed (events from an image). [default: the files' own]
        seed: seed of derived samples.
        device: torch device; unused if `binding` is a binder.
        store: embedding store; unused if `binding` is a binder. [default: none]
        on_bad: called with the id and the error of each invalid file, which is then skipped. [default: raise the error]
        options: options of the head.

    Returns:
        the fitted head; its class names are those of the data.

    Raises:
        UnknownName: no such head or binding.
        BadOption: not a classification head, an unknown option of the head, or files of several modalities without
            `modality`.
        BadInput: no samples, fewer than two classes, or a class without a valid sample.
    """
    Head.find(head, predicts="classification")  # fails before anything is loaded
    binder = binding if isinstance(binding, Binder) else load(binding, device=device, store=store)
    is_derived = bool(modality)
    if not isinstance(data, Dataset):
        file_modalities = [name for name in binder.modalities if name != "text"]
        data = load_dataset("folder", data, modalities=None if is_derived else file_modalities)
    if not modality:  # invalid files are skipped silently here: `embed` reports them
        modality = _find_single_modality(data, binder, None if on_bad is None else lambda id, error: None)
    fitted_head = Head.find(head, predicts="classification", modality=modality, **options)
    fitted_head.prepare(binder)
    samples = binder.embed(modality, data.items, derive_seed=seed if is_derived else None, on_bad=on_bad)
    labels_by_id = {item.id: item.label for item in data.items}
    class_names = list(data.classes)
    labels = [class_names.index(label) if (label := labels_by_id[id]) in class_names else -1 for id in samples.ids]
    return fitted_head.fit(HeadInput({modality: samples}), labels, class_names)


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
