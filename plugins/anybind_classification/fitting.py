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
        head: registered name of a classification head that takes the option `modality`.
        binding: name or TOML file of a binding, or a binder.
        modality: embed all files as this; images become event streams as `event`. [default: what the files hold]
        seed: of derived samples.
        device: torch device, where the binding is loaded here.
        store: where embeddings are looked up and stored, where the binding is loaded here. [default: nowhere]
        on_bad: called with the id and the error of each file that cannot be used, which is left out; by default the
            first such file raises.
        options: of the head.

    Returns:
        the fitted head; its class names are those of the data.

    Raises:
        UnknownName: no such head or binding.
        BadOption: a head that does not classify, an option that it does not take, or files of several modalities
            without `modality`.
        BadInput: no samples, fewer than two classes, or a class without a usable sample.
    """
    Head.find(head, predicts="classification")  # before anything is loaded
    binder = binding if isinstance(binding, Binder) else load(binding, device=device, store=store)
    derived = bool(modality)
    if not isinstance(data, Dataset):
        of_files = [name for name in binder.modalities if name != "text"]
        data = load_dataset("folder", data, modalities=None if derived else of_files)
    if not modality:
        modality = _modality(data, binder, None if on_bad is None else lambda id, error: None)  # reported by embed
    made = Head.find(head, predicts="classification", modality=modality, **options)
    made.prepare(binder)
    samples = binder.embed(modality, data.items, derive_seed=seed if derived else None, on_bad=on_bad)
    label_of = {item.id: item.label for item in data.items}
    classes = list(data.classes)
    labels = [classes.index(label) if (label := label_of[id]) in classes else -1 for id in samples.ids]
    return made.fit(HeadInput({modality: samples}), labels, classes)


def _modality(data: Dataset, binder: Binder, on_bad: errors.OnBad | None) -> str:
    """Return the modality that all files of a dataset hold."""
    paths = [item.source for item in data.items if isinstance(item.source, Path)]
    found = list(readers.group_by_modality(paths, binder.modalities, on_bad))
    if len(found) != 1:
        raise BadOption(
            f"{data.name} holds {', '.join(found) or 'no files'}: name one modality to embed all samples as"
        )
    return found[0]
