"""The task `out-of-distribution`: whether samples of classes that nobody asked for are noticed."""

from __future__ import annotations

from collections.abc import Iterable

import anybind
import numpy as np
from anybind.dataset import Dataset
from anybind.errors import BadOption, OnBad, nearest
from anybind.prompts import DEFAULT_TEMPLATES, check_templates
from anybind.task import Task

from anybind_calibration.asking import ask, check_above
from anybind_calibration.metrics import auroc, false_positives, intervals, softmax

SCORES = ("softmax", "similarity", "energy")


class OutOfDistribution(Task):
    """Some of a data set's classes are asked for, the known ones; samples of all others should be less certain.

    Metrics: `auroc` (0.5 by chance), `fpr95` (share of unknown samples that pass where 95 % of the known ones do) and
    `accuracy` (of the known ones, among the known classes).
    """

    name = "out-of-distribution"
    main_metric = "auroc"

    def __init__(
        self,
        *,
        known: str | Iterable[str] | None = None,
        score: str = "softmax",
        scale: float | None = None,
        templates: str | Iterable[str] = DEFAULT_TEMPLATES,
    ) -> None:
        """Set the question.

        Args:
            known: classes that are asked for, with commas or as a list; half of the data set's, drawn by the seed,
                by default.
            score: what certainty is: the largest probability (`softmax`), the largest cosine (`similarity`), or the
                logarithm of the sum of exp(scale x cosine) (`energy`; Liu et al., NeurIPS 2020).
            scale: factor of the softmax, above 0; the tower's own by default, and 100 where it has none.
            templates: sentences with `{}` for the class name.

        Raises:
            BadOption: no such score, a template without `{}`, or a scale of 0 or less.
        """
        if score not in SCORES:
            raise BadOption(f"score must be one of {', '.join(SCORES)}, got {score!r}")
        check_above("scale", scale)
        self.score, self.scale = score, scale
        self.known = [name.strip() for name in known.split(",")] if isinstance(known, str) else known and list(known)
        self.templates = check_templates([templates] if isinstance(templates, str) else templates)

    def run(
        self,
        binder: anybind.Binder,
        dataset: Dataset,
        *,
        modality: str,
        seed: int = 0,
        on_bad: OnBad | None = None,
    ) -> anybind.Result:
        """Ask for the known classes and rank all samples by certainty; see `Task.run`.

        Details hold `known` and `unknown` (classes), and `counts` of samples; intervals are 95 %.
        """
        known = self._known(dataset, seed)
        asked = ask(binder, dataset, modality, known, self.templates, seed, on_bad)
        scale = asked.scale if self.scale is None else self.scale
        certainty = _certainty(asked.similarity, self.score, scale)
        inside = np.array([label in known for label in asked.labels])
        if inside.all() or not inside.any():
            raise anybind.BadInput(
                f"{dataset.name} needs samples of known classes and of others, and has one kind only"
            )
        answered = asked.similarity.argmax(axis=1)
        right = np.array([known[of] == label for of, label in zip(answered.tolist(), asked.labels, strict=True)])
        return anybind.Result(
            task=self.name,
            dataset=dataset.name,
            split_hash=dataset.split_hash,
            binding=binder.name,
            modality=modality,
            encoders=asked.encoders,
            seed=seed,
            n=len(inside),
            gallery_size=len(known),
            metrics=_measure(certainty, inside, right),
            prompts=self.templates,
            intervals=intervals(_measure, certainty, inside, right, seed=seed),
            details={
                "known": known,
                "unknown": [name for name in dataset.classes if name not in known],
                "counts": {"known": int(inside.sum()), "unknown": int((~inside).sum())},
            },
        )

    def _known(self, dataset: Dataset, seed: int) -> list[str]:
        classes = list(dataset.classes)
        if self.known is None:
            drawn = np.random.default_rng(seed).permutation(len(classes))[: len(classes) // 2]
            return [classes[number] for number in sorted(drawn.tolist())]
        for name in self.known:
            if name not in classes:
                raise BadOption(f"{dataset.name} has no class {name!r}{nearest(name, classes)}")
        return list(dict.fromkeys(self.known))


def _certainty(similarity: np.ndarray, score: str, scale: float) -> np.ndarray:
    """How certain it is that a sample is of an asked class, (n,), from (n, classes) cosines."""
    if score == "softmax":
        return softmax(similarity, scale).max(axis=1)
    most = similarity.astype(np.float64).max(axis=1)
    if score == "similarity":
        return most
    return scale * most + np.log(np.exp(scale * (similarity - most[:, None])).sum(axis=1))


def _measure(certainty: np.ndarray, inside: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """The metrics; where drawing left only one kind of sample, what chance gives."""
    if inside.all() or not inside.any():
        return {"auroc": 0.5, "fpr95": 0.95, "accuracy": float(right[inside].mean()) if inside.any() else 0.0}
    known, unknown = certainty[inside], certainty[~inside]
    return {
        "auroc": auroc(known, unknown),
        "fpr95": false_positives(known, unknown),
        "accuracy": float(right[inside].mean()),
    }
