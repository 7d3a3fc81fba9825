"""The task `centroid-accuracy`: fit the head on a few samples per class, and evaluate it on the others."""

from __future__ import annotations

import numpy as np
from anybind import Binder, Result
from anybind.plugin import BadInput, BadOption, Dataset, HeadInput, Task, errors

from anybind_centroid.head import Centroid


class CentroidAccuracy(Task):
    """Top-1 accuracy of the head `centroid`, whose training samples are drawn by the seed."""

    name = "centroid-accuracy"
    main_metric = "accuracy"

    def __init__(self, *, shots: int = 5, shrinkage: float = 0.1) -> None:
        """Set the options.

        Args:
            shots: training samples per class, 1 or more; the others are evaluated.
            shrinkage: of the head.

        Raises:
            BadOption: shots below 1.
        """
        if shots < 1:
            raise BadOption(f"shots must be 1 or more, got {shots}")
        self.shots, self.shrinkage = shots, shrinkage

    def run(
        self, binder: Binder, dataset: Dataset, *, modality: str, seed: int = 0, on_bad: errors.OnBad | None = None
    ) -> Result:
        """Fit and evaluate; see `Task.run`. Details give the accuracy of each class."""
        items = [item for item in dataset.items if item.label]
        label_of = {item.id: item.label for item in items}
        embeddings = binder.embed(modality, items, derive_seed=seed, on_bad=on_bad)
        classes = [name for name in dataset.classes if name in label_of.values()]
        labels = np.array([classes.index(label_of[id]) for id in embeddings.ids], dtype=np.int64)
        train = self._draw(labels, len(classes), dataset.name, seed)
        test = np.setdiff1d(np.arange(len(labels)), train)
        head = Centroid(modality=modality, shrinkage=self.shrinkage)
        head.fit(HeadInput({modality: embeddings[train.tolist()]}), labels[train], classes)
        scores = head.score(HeadInput({modality: embeddings[test.tolist()]}))
        right = scores.argmax(axis=1) == labels[test]
        return Result(
            task=self.name,
            dataset=dataset.name,
            split_hash=dataset.split_hash,
            binding=binder.name,
            modality=modality,
            encoders={modality: embeddings.encoder},
            seed=seed,
            n=len(test),
            gallery_size=len(classes),
            metrics={"accuracy": float(right.mean())},
            chance={"accuracy": 1 / len(classes)},
            details={
                "head": head.identity,
                "per_class": {name: float(right[labels[test] == n].mean()) for n, name in enumerate(classes)},
            },
        )

    def _draw(self, labels: np.ndarray, classes: int, dataset: str, seed: int) -> np.ndarray:
        """Draw the numbers of the training samples, (classes * shots,)."""
        counts = np.bincount(labels, minlength=classes)
        if classes < 2 or counts.min() <= self.shots:
            raise BadInput(f"{dataset}: expected two classes or more with over {self.shots} samples each, got {counts}")
        random = np.random.default_rng(seed)
        return np.concatenate(
            [random.choice(np.flatnonzero(labels == n), self.shots, replace=False) for n in range(classes)]
        )
