"""Zero-shot classification of samples by prompts of class names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from anybind import Binder, Result
from anybind.plugin import BadInput, BadOption, Dataset, Task, errors, prompts
from anybind.plugin import windows as windowing
from anybind_classification.recordings import MEAN, check_smoothing

WindowOptions = windowing.WindowOptions


class ZeroShot(Task):
    """Zero-shot classification: top-1 and top-5 accuracy, per-class accuracy and the confusion matrix."""

    name = "zero-shot"
    main_metric = "top1"

    def __init__(
        self,
        *,
        templates: str | Iterable[str] | None = None,
        candidate_labels: str | Iterable[str] | None = None,
        windows: WindowOptions | None = None,
        smooth: int = 1,
        smoothing: str = MEAN,
        page: str | None = None,
    ) -> None:
        """Set prompts, candidate labels and windows.

        Args:
            templates: prompt templates with `{}` for the class name and, optionally, `{definition}` for WordNet's
                definitions of it; several form a prompt ensemble. [default: those of the text encoder]
            candidate_labels: class names to choose among, a superset of the dataset's classes; "all": the classes of
                the complete dataset where this one is a class subset (for a class named "all", pass a list).
                [default: the dataset's classes]
            windows: evaluate the windows of recordings, with intervals by recording: see `evaluate_windows`.
                [default: each recording as a whole]
            smooth, smoothing: smoothing of the answers of windows over time: see `classify_windows`.
            page: path of an HTML page to write, with the confusion matrix and images of windows; with `windows`.

        Raises:
            BadOption: a template without `{}`, an invalid smoothing, or a page without windows.
        """
        smooth = check_smoothing(smooth, smoothing)
        if windows is None and (page or smooth != 1):
            raise BadOption("a page and a smoothing are of windows: give --window, such as --window 100ms")
        self.windows, self.smooth, self.smoothing, self.page = windows, smooth, smoothing, page
        given = [templates] if isinstance(templates, str) else templates
        self.templates = None if given is None else prompts.check_templates(given)
        self.use_all_classes = candidate_labels == "all"
        names = [candidate_labels] if isinstance(candidate_labels, str) else candidate_labels
        self.candidate_labels = None if names is None or self.use_all_classes else list(dict.fromkeys(names))

    def run(
        self, binder: Binder, dataset: Dataset, *, modality: str, seed: int = 0, on_bad: errors.OnBad | None = None
    ) -> Result:
        """Embed samples and prompts, and compute the metrics; see `Task.run`.

        The result has the confidence interval of `top1` (Wilson, 95 %) and the chance levels. Its details are
        `classes` (the candidate labels), `per_class` (accuracy of each class of the dataset), and `confusion` (counts;
        rows: the dataset's classes, columns: `classes`).
        """
        candidates = self._list_candidates(dataset)
        templates = prompts.choose_templates(binder, "text", self.templates)
        if self.windows is not None:
            return self._run_windows(binder, dataset, candidates, templates, modality, seed, on_bad)
        text_embeddings = prompts.embed_class_names(binder, "text", candidates, templates)
        label_of = {item.id: item.label for item in dataset.items}
        if len(label_of) < len(dataset.items):
            raise BadInput(f"{dataset.name}: expected unique sample ids, got duplicates")
        if not set(label_of.values()) <= set(dataset.classes):
            unknown_labels = sorted(set(label_of.values()) - set(dataset.classes))
            raise BadInput(f"{dataset.name}: the label {unknown_labels[0]!r} is not one of the dataset's classes")
        samples = binder.with_labels(text_embeddings).embed(modality, dataset.items, derive_seed=seed, on_bad=on_bad)
        if not len(samples):
            raise BadInput(f"{dataset.name}: no valid samples")
        truth = np.array([candidates.index(label_of[id]) for id in samples.ids])
        ranked = np.argsort(-(samples @ text_embeddings), axis=1, kind="stable")
        return Result(
            task=self.name,
            dataset=dataset.name,
            split_hash=dataset.split_hash,
            binding=binder.name,
            modality=modality,
            encoders={modality: samples.encoder, "text": text_embeddings.encoder},
            seed=seed,
            n=len(samples),
            gallery_size=len(candidates),
            metrics=compute_accuracies(ranked, truth),
            intervals={"top1": compute_wilson_interval(int((ranked[:, 0] == truth).sum()), len(truth))},
            chance={
                "top1": 1 / len(candidates),
                "top5": min(5 / len(candidates), 1.0),
                "mean_per_class": 1 / len(candidates),
            },
            prompts=templates,
            details={
                "classes": candidates,
                "per_class": compute_per_class_accuracy(ranked, truth, candidates),
                "confusion": compute_confusion(ranked, truth, candidates, dataset.classes),
            },
        )

    def _run_windows(
        self,
        binder: Binder,
        dataset: Dataset,
        candidates: Sequence[str],
        templates: Sequence[str],
        modality: str,
        seed: int,
        on_bad: errors.OnBad | None,
    ) -> Result:
        from anybind_classification.window_evaluation import evaluate_windows

        return evaluate_windows(
            binder, dataset, candidates, self.windows or WindowOptions(), modality=modality, seed=seed, on_bad=on_bad,
            templates=templates, smooth=self.smooth, smoothing=self.smoothing, page=self.page, task=self.name,
        )  # fmt: skip

    def _list_candidates(self, dataset: Dataset) -> list[str]:
        dataset_classes = dataset.all_classes if self.use_all_classes else dataset.classes
        candidates = list(dataset_classes) if self.candidate_labels is None else self.candidate_labels
        missing = [name for name in dataset.classes if name not in candidates]
        if missing:
            raise BadOption(f"candidate_labels must include the dataset's classes; missing: {', '.join(missing)}")
        prompts.check_labels(candidates)
        return candidates


def compute_accuracies(ranked: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return `top1`, `top5` and `mean_per_class` accuracy, 0 to 1.

    Args:
        ranked: (n, classes) class indices, best first; `top5` is 1 for five classes or fewer.
        truth: (n,) class indices.
    """
    hits = ranked == truth[:, None]
    by_class = [hits[truth == label, 0].mean() for label in np.unique(truth)]
    return {
        "top1": float(hits[:, 0].mean()),
        "top5": float(hits[:, :5].any(axis=1).mean()),
        "mean_per_class": float(np.mean(by_class)),
    }


def compute_per_class_accuracy(ranked: np.ndarray, truth: np.ndarray, class_names: Sequence[str]) -> dict[str, float]:
    """Return the top-1 accuracy of every class with samples."""
    return {
        str(class_names[int(label)]): float((ranked[truth == label, 0] == label).mean()) for label in np.unique(truth)
    }


def compute_confusion(
    ranked: np.ndarray, truth: np.ndarray, columns: Sequence[str], rows: Sequence[str]
) -> list[list[int]]:
    """Return the confusion matrix: counts of samples of each class (row) by predicted class (column)."""
    counts = np.zeros((len(columns), len(columns)), dtype=int)
    np.add.at(counts, (truth, ranked[:, 0]), 1)
    return counts[[columns.index(name) for name in rows]].tolist()


def compute_wilson_interval(hits: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Return the Wilson score interval of the proportion `hits` / `n`, 95 % by default, within [0, 1]."""
    proportion, spread = hits / n, z * math.sqrt(hits * (n - hits) / n + z * z / 4) / n
    centre = proportion + z * z / (2 * n)
    scale = 1 + z * z / n
    return (centre - spread) / scale, (centre + spread) / scale
