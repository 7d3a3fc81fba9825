"""Zero-shot classification of files by class names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anybind import Binder, Embeddings, load
from anybind.plugin import BadInput, errors, files, readers
from anybind.plugin import prompts as prompting


@dataclass(frozen=True)
class LabelScore:
    """The score of one label.

    Attributes:
        label: the label.
        cosine: cosine similarity of the sample with the label's prompts, in [-1, 1].
        share: softmax over all labels of the similarities times the encoder's logit scale, in [0, 1].
    """

    label: str
    cosine: float
    share: float


@dataclass(frozen=True)
class Classification:
    """The scores of all labels for one file.

    Attributes:
        id: path of the file.
        modality: the modality that it was embedded as.
        scores: one for each label, the most similar first; labels of equal similarity in the order given.
    """

    id: str
    modality: str
    scores: tuple[LabelScore, ...]

    @property
    def label(self) -> str:
        """The most similar label."""
        return self.scores[0].label


def classify(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    labels: Sequence[str],
    *,
    binding: str | os.PathLike[str] | Binder = "mini",
    modality: str = "",
    prompts: Sequence[str] = prompting.DEFAULT_TEMPLATES,
    seed: int = 0,
    device: str = "cpu",
    on_bad: errors.OnBad | None = None,
) -> list[Classification]:
    """Classify files by text labels, without training (zero-shot).

    Args:
        paths: files, or folders that are searched for files of the binding's modalities; one or several.
        labels: at least two, all different.
        binding: as `anybind.load` takes it, or a binder.
        modality: embed all files as this modality; one that can be derived from the file's own (events from an image)
            is. By default each file is embedded as the modality that it holds.
        prompts: templates with `{}` in the place of the label; the embedding of a label is the mean over them.
        seed: of derived samples.
        device: torch device, unless `binding` is a binder.
        on_bad: called with the id and the error of each file that cannot be used, which is then left out; by default
            the first one raises.

    Returns:
        one classification a file, in the order of the files.

    Raises:
        BadOption: fewer than two labels, a label twice, or a template without `{}`.
        UnknownName: no such binding, or it has no encoder for the modality.
        BadInput: a file is missing, unreadable or of no modality of the binding, or none is left.
    """
    prompting.check_labels(labels)
    templates = prompting.check_templates(prompts)
    binder = binding if isinstance(binding, Binder) else load(binding, device=device)
    listed = [paths] if isinstance(paths, str | os.PathLike) else paths
    found = readers.sample_files(listed, [name for name in binder.modalities if name != "text"])
    groups = {modality: found} if modality else readers.by_modality(found, binder.modalities, on_bad)
    texts = prompting.class_embeddings(binder, "text", labels, templates)
    derive_seed = seed if modality else None
    classified = [
        each
        for name, group in groups.items()
        for each in _score(binder.embed(name, group, derive_seed=derive_seed, on_bad=on_bad), texts)
    ]
    if not classified:
        raise BadInput("no file could be classified")
    return _in_order(classified, found)


def _score(samples: Embeddings, texts: Embeddings) -> list[Classification]:
    cosines = samples @ texts
    scale = samples.logit_scale or texts.logit_scale or 1.0
    shares = np.exp(scale * (cosines - cosines.max(axis=1, keepdims=True)))
    shares /= shares.sum(axis=1, keepdims=True)
    return [
        Classification(
            id,
            samples.modality,
            tuple(
                LabelScore(texts.ids[i], float(cosines[row, i]), float(shares[row, i]))
                for i in np.argsort(-cosines[row], kind="stable")
            ),
        )
        for row, id in enumerate(samples.ids)
    ]


def _in_order(classified: list[Classification], paths: Sequence[Path]) -> list[Classification]:
    order = {files.name_of_path(path): position for position, path in enumerate(paths)}
    return sorted(classified, key=lambda each: order[each.id])
