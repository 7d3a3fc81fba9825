"""Classification of files by text labels, or by a fitted head."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anybind import Binder, Embeddings, EmbeddingStore
from anybind.plugin import BadOption, Head, HeadInput, errors, windows
from anybind.plugin import prompts as prompting


@dataclass(frozen=True)
class LabelScore:
    """The score of one label.

    Attributes:
        label: the label.
        score: cosine similarity of the sample and the label's prompts, in [-1, 1]; with a head, its logit.
        probability: softmax over all labels of the scores (cosines times the encoder's logit scale), in [0, 1].
    """

    label: str
    score: float
    probability: float


@dataclass(frozen=True)
class Classification:
    """The scores of all labels for one file.

    Attributes:
        id: path of the file.
        modality: modality of its embedding.
        scores: one for each label, best first; ties in the order of the labels. Empty if nothing happens.
        inactivity: why there is no label, such as `nothing moved`; empty otherwise.
    """

    id: str
    modality: str
    scores: tuple[LabelScore, ...]
    inactivity: str = ""

    @property
    def label(self) -> str:
        """The label with the highest score; empty if there is none."""
        return self.scores[0].label if self.scores else ""


def classify(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    labels: Sequence[str] = (),
    *,
    head: str | os.PathLike[str] | Head | None = None,
    binding: str | os.PathLike[str] | Binder = "mini",
    modality: str = "",
    templates: Sequence[str] | None = None,
    seed: int = 0,
    device: str = "cpu",
    store: EmbeddingStore | None = None,
    on_bad: errors.OnBad | None = None,
    options: windows.WindowOptions | None = None,
    reader_options: Mapping[str, object] | None = None,
) -> list[Classification]:
    """Classify files by text labels (zero-shot), or by a fitted head.

    Long recordings are divided into windows, whose mean embedding is classified: `classify_windows` returns the answers
    of all windows.

    Args:
        paths: files or folders, one or several; folders are searched for files of the binding's modalities.
        labels: at least two distinct labels; empty with a head.
        head: a classification head, or its file, instead of labels.
        binding: name or TOML file of a binding, or a binder.
        modality: embed all files as this modality, derived if needed (events from an image). [default: the modality of
            each file]
        templates: prompt templates with `{}` for the label and, optionally, `{definition}` for WordNet's definitions of
            it; a label's embedding is the mean over them. [default: those of the text encoder]
        seed: seed of derived samples.
        device: torch device; unused if `binding` is a binder.
        store: embedding store; unused if `binding` is a binder. [default: none]
        on_bad: called with the id and the error of each invalid file, which is then skipped. [default: raise the error]
        options: part of each recording, and its windows.
        reader_options: options for the readers that take them, such as `source` of recordings of several cameras.

    Returns:
        one classification per file, in the order of the files.

    Raises:
        BadOption: neither or both of labels and head, fewer than two labels, repeated labels, a template without
            `{}`, or an option that no reader of these files takes.
        UnknownName: no such binding, or the binding has no encoder for the modality.
        BadInput: a file is missing, unreadable or of a modality without an encoder, or no file is left.
    """
    from anybind_classification.recordings import classify_windows

    recordings = classify_windows(
        paths, labels, head=head, binding=binding, modality=modality, templates=templates, seed=seed, device=device,
        store=store, on_bad=on_bad, options=options, reader_options=reader_options,
    )  # fmt: skip
    return [recording.summary for recording in recordings]


Ranker = Callable[[Embeddings], list[Classification]]


def build_ranker(
    binder: Binder, labels: Sequence[str], templates: Sequence[str] | None, head: str | os.PathLike[str] | Head | None
) -> tuple[Binder, Ranker]:
    """Return the binder for samples of the labels, and the function that ranks them, or the classes of a head.

    Raises:
        BadOption: neither or both of labels and head, or invalid ones.
    """
    if bool(labels) == (head is not None):
        raise BadOption(f"expected either labels or a head, got {'both' if labels else 'neither'}")
    if head is not None:
        return binder, _build_head_ranker(binder, head)
    prompting.check_labels(labels)
    texts = prompting.embed_class_names(binder, "text", labels, prompting.choose_templates(binder, "text", templates))

    def rank(samples: Embeddings) -> list[Classification]:
        return _rank_labels(samples, labels, samples @ texts, samples.logit_scale or texts.logit_scale or 1.0)

    return binder.with_labels(texts), rank


def _build_head_ranker(binder: Binder, source: str | os.PathLike[str] | Head) -> Ranker:
    head = source if isinstance(source, Head) else Head.find(source, predicts="classification")
    head.prepare(binder)
    return lambda samples: _rank_labels(samples, head.classes, head.score(HeadInput({samples.modality: samples})), 1.0)


def _rank_labels(samples: Embeddings, labels: Sequence[str], scores: np.ndarray, scale: float) -> list[Classification]:
    """Rank the labels of each sample by scores, (n, labels)."""
    probabilities = np.exp(scale * (scores - scores.max(axis=1, keepdims=True)))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    classifications = []
    for id, row, label_probabilities in zip(samples.ids, scores, probabilities, strict=True):
        order: list[int] = np.argsort(-row, kind="stable").tolist()
        ranked = tuple(LabelScore(labels[i], float(row[i]), float(label_probabilities[i])) for i in order)
        classifications.append(Classification(id, samples.modality, ranked))
    return classifications
