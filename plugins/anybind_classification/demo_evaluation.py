"""The evaluations of the demo: classification of recordings by text, and retrieval between the modalities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from anybind import Binder
from anybind.plugin import prompts


@dataclass(frozen=True)
class DemoSample:
    """An event recording, its caption (the ground truth), and the image that it was simulated from, if any."""

    caption: str
    recording: Path
    image: Path | None


@dataclass(frozen=True)
class SimilarityMatrix:
    """Cosine similarities of samples (rows) and named candidates (columns), (n, m) float32."""

    values: np.ndarray
    columns: tuple[str, ...]

    def rank(self, row: int) -> list[tuple[str, float]]:
        """Return the (column, similarity) pairs of a row, best first."""
        order = np.argsort(-self.values[row], kind="stable")
        return [(self.columns[i], float(self.values[row, i])) for i in order]

    def find_best(self, row: int) -> str:
        """Return the column of a row's highest similarity."""
        return self.rank(row)[0][0]


@dataclass(frozen=True)
class DemoMetric:
    """Number of correct predictions.

    Attributes:
        name: what is counted.
        n_correct, n: correct predictions, and all predictions.
        n_candidates: number of candidates of each prediction.
    """

    name: str
    n_correct: int
    n: int
    n_candidates: int

    @property
    def chance(self) -> str:
        """The number of correct predictions expected by chance: "1 of 10", "0.7 of 2"."""
        return f"{self.n / self.n_candidates:.1f}".removesuffix(".0") + f" of {self.n}"

    def __str__(self) -> str:
        return f"{self.name}: {self.n_correct} of {self.n} (expected by chance: {self.chance})"


@dataclass(frozen=True)
class DemoResult:
    """Predictions of the demo.

    Attributes:
        names: of the recordings; captions, made unique.
        captions: ground truth of each recording.
        event_to_text, image_to_text: recordings and images (rows) against labels.
        event_to_image: recordings against images; None without images.
        text_to_event: the nearest recording of each label that is a caption.
    """

    names: tuple[str, ...]
    captions: tuple[str, ...]
    event_to_text: SimilarityMatrix
    event_to_image: SimilarityMatrix | None
    image_to_text: SimilarityMatrix | None
    text_to_event: dict[str, str]

    def compute_metrics(self) -> list[DemoMetric]:
        """Count the correct predictions of each evaluation; those without ground truth are left out."""
        labelled = [row for row, caption in enumerate(self.captions) if caption in self.event_to_text.columns]
        n_labels = len(self.event_to_text.columns)
        metrics = []
        if labelled:
            n_correct = sum(self.event_to_text.find_best(row) == self.captions[row] for row in labelled)
            metrics.append(DemoMetric("recordings classified by text", n_correct, len(labelled), n_labels))
            pairs = self.text_to_event.items()
            n_correct = sum(self.captions[self.names.index(name)] == label for label, name in pairs)
            metrics.append(DemoMetric("recordings retrieved by text", n_correct, len(pairs), len(self.names)))
        if self.event_to_image and self.image_to_text:
            rows = [self.names.index(name) for name in self.event_to_image.columns]
            n_correct = sum(self.event_to_image.find_best(row) == self.names[row] for row in rows)
            metrics.append(DemoMetric("images retrieved by their recording", n_correct, len(rows), len(rows)))
            pairs = [(image, row) for image, row in enumerate(rows) if row in labelled]
            if pairs:
                n_correct = sum(self.image_to_text.find_best(image) == self.captions[row] for image, row in pairs)
                name = "images classified by text, for comparison"
                metrics.append(DemoMetric(name, n_correct, len(pairs), n_labels))
        return metrics

    def judge_label(self, row: int) -> bool | None:
        """Return whether the best label of a recording is its caption; None if its caption is not a label."""
        caption = self.captions[row]
        return self.event_to_text.find_best(row) == caption if caption in self.event_to_text.columns else None

    def judge_image(self, row: int) -> bool | None:
        """Return whether the nearest image is the recording's own; None if the recording has no image."""
        if self.event_to_image is None or self.names[row] not in self.event_to_image.columns:
            return None
        return self.event_to_image.find_best(row) == self.names[row]

    def to_dict(self) -> dict[str, object]:
        """Return JSON-like fields: for each recording, all labels and images with their similarities, best first."""
        recordings = [
            {
                "name": name,
                "caption": self.captions[row],
                "labels": dict(self.event_to_text.rank(row)),
                "images": dict(self.event_to_image.rank(row)) if self.event_to_image else {},
            }
            for row, name in enumerate(self.names)
        ]
        metrics = [asdict(metric) for metric in self.compute_metrics()]
        return {"recordings": recordings, "retrieved_by_text": self.text_to_event, "metrics": metrics}


def evaluate_demo(binder: Binder, samples: Sequence[DemoSample], labels: Sequence[str]) -> DemoResult:
    """Compare recordings with labels and images.

    Args:
        binder: with encoders for event and text and, where a sample has an image, image.
        samples: at least one; recordings are read from their files.
        labels: at least two.
    """
    names = _make_unique([sample.caption for sample in samples])
    images = {name: sample.image for name, sample in zip(names, samples, strict=True) if sample.image}
    events = binder.embed("event", [sample.recording for sample in samples])
    texts = prompts.embed_class_names(binder, "text", labels, prompts.choose_templates(binder, "text", None))
    image_embeddings = binder.embed("image", list(images.values())) if images else None
    event_to_text = SimilarityMatrix(events @ texts, tuple(labels))
    captions = tuple(sample.caption for sample in samples)
    return DemoResult(
        names=tuple(names),
        captions=captions,
        event_to_text=event_to_text,
        event_to_image=None if image_embeddings is None else SimilarityMatrix(events @ image_embeddings, tuple(images)),
        image_to_text=None if image_embeddings is None else SimilarityMatrix(image_embeddings @ texts, tuple(labels)),
        text_to_event={
            label: names[int(np.argmax(event_to_text.values[:, column]))]
            for column, label in enumerate(labels)
            if label in captions
        },
    )


def _make_unique(captions: Sequence[str]) -> list[str]:
    counts: dict[str, int] = {}
    names = []
    for caption in captions:
        counts[caption] = counts.get(caption, 0) + 1
        names.append(caption if counts[caption] == 1 else f"{caption} ({counts[caption]})")
    return names
