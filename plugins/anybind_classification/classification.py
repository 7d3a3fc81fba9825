"""Classification of files by text labels, or by a fitted head."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from anybind import Binder, Embeddings, EmbeddingStore, load
from anybind.plugin import BadInput, BadOption, Head, HeadInput, errors, files, readers
from anybind.plugin import prompts as prompting


@dataclass(frozen=True)
class LabelScore:
    """The score of one label.

    Attributes:
        label: the label.
        score: cosine similarity of the sample with the label's prompts, in [-1, 1]; of a head, its logit.
        share: softmax over all labels of the scores (times the encoder's logit scale, if cosines), in [0, 1].
    """

    label: str
    score: float
    share: float


@dataclass(frozen=True)
class Classification:
    """The scores of all labels for one file.

    Attributes:
        id: path of the file.
        modality: the modality that it was embedded as.
        scores: one for each label, the best first; labels of equal scores in the order given.
    """

    id: str
    modality: str
    scores: tuple[LabelScore, ...]

    @property
    def label(self) -> str:
        """The label with the highest score."""
        return self.scores[0].label


def classify(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    labels: Sequence[str] = (),
    *,
    head: str | os.PathLike[str] | Head | None = None,
    binding: str | os.PathLike[str] | Binder = "mini",
    modality: str = "",
    prompts: Sequence[str] = prompting.DEFAULT_TEMPLATES,
    seed: int = 0,
    device: str = "cpu",
    store: EmbeddingStore | None = None,
    on_bad: errors.OnBad | None = None,
) -> list[Classification]:
    """Classify files by text labels (zero-shot), or by a fitted head.

    Args:
        paths: files, or folders that are searched for files of the binding's modalities; one or several.
        labels: at least two, all different; none with a head.
        head: a classification head, or its file, in place of the labels.
        binding: as `anybind.load` takes it, or a binder.
        modality: embed all files as this modality; one that can be derived from the file's own (events from an image)
            is. By default each file is embedded as the modality that it holds.
        prompts: templates with `{}` in the place of the label; the embedding of a label is the mean over them.
        seed: of derived samples.
        device: torch device, unless `binding` is a binder.
        store: where embeddings are looked up and stored, unless `binding` is a binder. [default: nowhere]
        on_bad: called with the id and the error of each file that cannot be used, which is then left out; by default
            the first one raises.

    Returns:
        one classification a file, in the order of the files.

    Raises:
        BadOption: neither or both of labels and head, fewer than two labels, a label twice, or a template without `{}`.
        UnknownName: no such binding, or it has no encoder for the modality.
        BadInput: a file is missing, unreadable or of no modality of the binding, or none is left.
    """
    if bool(labels) == (head is not None):
        raise BadOption("expected either labels or a head")
    binder = binding if isinstance(binding, Binder) else load(binding, device=device, store=store)
    score = _text_scorer(binder, labels, prompts) if head is None else _head_scorer(binder, head)
    listed = [paths] if isinstance(paths, str | os.PathLike) else paths
    found = readers.list_sample_files(listed, [name for name in binder.modalities if name != "text"])
    groups = {modality: found} if modality else readers.group_by_modality(found, binder.modalities, on_bad)
    derive_seed = seed if modality else None
    classified = [
        each
        for name, group in groups.items()
        for each in score(binder.embed(name, group, derive_seed=derive_seed, on_bad=on_bad))
    ]
    if not classified:
        raise BadInput("no file could be classified")
    order = {files.portable_name(path): position for position, path in enumerate(found)}
    return sorted(classified, key=lambda each: order[each.id])


Scorer = Callable[[Embeddings], list[Classification]]


def _text_scorer(binder: Binder, labels: Sequence[str], prompts: Sequence[str]) -> Scorer:
    prompting.check_labels(labels)
    texts = prompting.embed_class_names(binder, "text", labels, prompting.check_templates(prompts))
    return lambda samples: _rank(samples, labels, samples @ texts, samples.logit_scale or texts.logit_scale or 1.0)


def _head_scorer(binder: Binder, source: str | os.PathLike[str] | Head) -> Scorer:
    head = source if isinstance(source, Head) else Head.find(source, predicts="classification")
    head.prepare(binder)
    return lambda samples: _rank(samples, head.classes, head.score(HeadInput({samples.modality: samples})), 1.0)


def _rank(samples: Embeddings, labels: Sequence[str], scores: np.ndarray, scale: float) -> list[Classification]:
    """The labels of each sample by score, (n, labels), and their softmax shares."""
    shares = np.exp(scale * (scores - scores.max(axis=1, keepdims=True)))
    shares /= shares.sum(axis=1, keepdims=True)
    classified = []
    for id, row, share in zip(samples.ids, scores, shares, strict=True):
        order: list[int] = np.argsort(-row, kind="stable").tolist()
        ranked = tuple(LabelScore(labels[i], float(row[i]), float(share[i])) for i in order)
        classified.append(Classification(id, samples.modality, ranked))
    return classified
