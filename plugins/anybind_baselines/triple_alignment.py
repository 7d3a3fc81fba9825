"""EventBind's triple alignment (Zhou et al., 2024): events with images, events with texts, images with texts."""

from __future__ import annotations

import math

import torch
from torch.nn.functional import cross_entropy

from anybind.plugin import BadOption
from anybind_train.loss import Loss, TrainingBatch


class TripleAlignmentLoss(Loss):
    """A weighted sum of three alignments of events, images and class texts.

        L = image L(s, z) + text C(s, t) + image_text C(z, t)
        L(a, b) = -1/2n sum_i [ log softmax_j(a_i . b_j / tau)_i + log softmax_j(b_i . a_j / tau)_i ]
        C(a, t) = -1/n sum_i log softmax_j(a_i . t_j / tau)_y_i

    student s (n, d), teacher z (n, d), texts t (m, d), labels y (n,); samples without a label (-1) are left out of C.
    The gradient flows into the student and, where prompts are learned, into the texts.

    The publication aligns every pair within the batch. Choices: C compares with the texts of all classes, since two
    samples of a class in one batch would be each other's negatives; `image_text` is ours, in the place of the alignment
    of two texts with content prompts (made of the image and of the event), which are left out.
    """

    needs = ("teacher", "texts", "labels")
    compares_rows = True

    def __init__(
        self, *, image: float = 1.0, text: float = 1.0, image_text: float = 1.0, temperature: float = 0.01
    ) -> None:
        """Set the options.

        Args:
            image, text, image_text: weights of the terms, 0 or more, not all 0.
            temperature: tau, above 0; by default the inverse of CLIP's logit scale.

        Raises:
            BadOption: an option out of its range.
        """
        self.weights = {"image": image, "text": text, "image_text": image_text}
        for name, weight in self.weights.items():
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
                raise BadOption(f"{name}: expected a number, 0 or more, got {weight!r}")
        if not any(self.weights.values()):
            raise BadOption("image, text, image_text: expected a weight above 0")
        if not 0 < temperature < math.inf:
            raise BadOption(f"temperature: expected a number above 0, got {temperature!r}")
        self.temperature = float(temperature)

    def __call__(self, batch: TrainingBatch) -> torch.Tensor:
        if batch.teacher is None or batch.texts is None or batch.labels is None:
            raise BadOption("the loss triple-alignment needs a teacher, texts and labels in every batch")
        student, texts = batch.student, batch.texts.to(batch.student.dtype)
        teacher = batch.teacher.detach().to(student.dtype)
        logits = student @ teacher.T / self.temperature
        partners = torch.arange(len(student), device=student.device)
        pairs = (cross_entropy(logits, partners) + cross_entropy(logits.T, partners)) / 2
        return (
            self.weights["image"] * pairs
            + self.weights["text"] * self._compare_with_texts(student, texts, batch.labels)
            + self.weights["image_text"] * self._compare_with_texts(teacher, texts, batch.labels)
        )

    def _compare_with_texts(self, rows: torch.Tensor, texts: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        total = cross_entropy(rows @ texts.T / self.temperature, labels, ignore_index=-1, reduction="sum")
        return total / (labels >= 0).sum().clamp(min=1)
