"""Zero-shot classification: samples are compared with class names put into words, and never trained on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from anybind import Binder, Result
from anybind.plugin import BadInput, BadOption, Dataset, Task, errors, prompts


class ZeroShot(Task):
    """Top-1 and top-5 accuracy, accuracy per class and the confusion matrix, from words alone."""

    name = "zero-shot"
    main_metric = "top1"

    def __init__(
        self, *, templates: Iterable[str] = prompts.DEFAULT_TEMPLATES, among: str | Iterable[str] | None = None
    ) -> None:
        """Set the question.

        Args:
            templates: sentences with `{}` for the class name; several make an ensemble.
            among: class names that are asked for, at least the data set's own; just those by default, and with `all`
                those of the whole data, of which the data set may keep a part (a class of that name is asked for by a
                list of it).

        Raises:
            BadOption: a template without `{}`.
        """
        self.templates = prompts.check_templates([templates] if isinstance(templates, str) else templates)
        self.whole = among == "all"
        names = [among] if isinstance(among, str) else among
        self.among = None if names is None or self.whole else list(dict.fromkeys(names))

    def run(
        self, binder: Binder, dataset: Dataset, *, modality: str, seed: int = 0, on_bad: errors.OnBad | None = None
    ) -> Result:
        """Embed the samples and the words, and count; see `Task.run`.

        The result has the interval of `top1` (Wilson, 95 %) and the chance levels. Its details hold `classes` (those
        asked for), `per_class` (accuracy of each class of the data), and `confusion` (rows: the data's classes,
        columns: `classes`, counts).
        """
        asked = self._asked(dataset)
        words = prompts.embed_class_names(binder, "text", asked, self.templates)
        label_of = {item.id: item.label for item in dataset.items}
        if len(label_of) < len(dataset.items):
            raise BadInput(f"{dataset.name} has two samples of one id, which no result could tell apart")
        if not set(label_of.values()) <= set(dataset.classes):
            stray = sorted(set(label_of.values()) - set(dataset.classes))
            raise BadInput(f"{dataset.name} has samples labelled {stray[0]!r}, which is none of its classes")
        samples = binder.embed(modality, dataset.items, derive_seed=seed, on_bad=on_bad)
        if not len(samples):
            raise BadInput(f"{dataset.name} holds no samples that can be used")
        truth = np.array([asked.index(label_of[id]) for id in samples.ids])
        ranked = np.argsort(-(samples @ words), axis=1, kind="stable")
        return Result(
            task=self.name,
            dataset=dataset.name,
            split_hash=dataset.split_hash,
            binding=binder.name,
            modality=modality,
            encoders={modality: samples.encoder, "text": words.encoder},
            seed=seed,
            n=len(samples),
            gallery_size=len(asked),
            metrics=accuracies(ranked, truth),
            intervals={"top1": wilson_interval(int((ranked[:, 0] == truth).sum()), len(truth))},
            chance={"top1": 1 / len(asked), "top5": min(5 / len(asked), 1.0), "mean_per_class": 1 / len(asked)},
            prompts=self.templates,
            details={
                "classes": asked,
                "per_class": per_class_accuracy(ranked, truth, asked),
                "confusion": confusion(ranked, truth, asked, dataset.classes),
            },
        )

    def _asked(self, dataset: Dataset) -> list[str]:
        own = dataset.all_classes if self.whole else dataset.classes
        asked = list(own) if self.among is None else self.among
        missing = [name for name in dataset.classes if name not in asked]
        if missing:
            raise BadOption(f"the classes asked for must include those of the data; missing: {', '.join(missing)}")
        prompts.check_labels(asked)
        return asked


def accuracies(ranked: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """`top1`, `top5` and `mean_per_class` accuracy, 0 to 1.

    Args:
        ranked: (n, classes), class numbers, best first.
        truth: (n,) class numbers. With fewer than five classes top-5 is 1.
    """
    hits = ranked == truth[:, None]
    by_class = [hits[truth == number, 0].mean() for number in np.unique(truth)]
    return {
        "top1": float(hits[:, 0].mean()),
        "top5": float(hits[:, :5].any(axis=1).mean()),
        "mean_per_class": float(np.mean(by_class)),
    }


def per_class_accuracy(ranked: np.ndarray, truth: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """Top-1 accuracy of every class that has samples."""
    return {
        str(names[int(number)]): float((ranked[truth == number, 0] == number).mean()) for number in np.unique(truth)
    }


def confusion(ranked: np.ndarray, truth: np.ndarray, asked: Sequence[str], rows: Sequence[str]) -> list[list[int]]:
    """How often samples of each class (row) were taken for each class asked for (column)."""
    counts = np.zeros((len(asked), len(asked)), dtype=int)
    np.add.at(counts, (truth, ranked[:, 0]), 1)
    return counts[[asked.index(name) for name in rows]].tolist()


def wilson_interval(hits: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval of a share of `hits` in `n`, 95 % by default; both ends in [0, 1]."""
    share, spread = hits / n, z * math.sqrt(hits * (n - hits) / n + z * z / 4) / n
    middle = share + z * z / (2 * n)
    scale = 1 + z * z / n
    return (middle - spread) / scale, (middle + spread) / scale
