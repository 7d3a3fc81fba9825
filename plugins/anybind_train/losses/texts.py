"""Losses on the similarities to class texts: `zero-shot` and `prediction`."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from anybind.plugin import BadOption
from anybind_train.loss import Loss, TrainingBatch
from anybind_train.losses.shared import (
    LearnableScale,
    check_choice,
    check_flag,
    check_positive,
    compute_similarities,
    get_field,
    soft_cross_entropy,
)

CLIP_TEMPERATURE = 0.01
"""The inverse of CLIP's logit scale, 100, the bound that its learned scale reached."""
TARGETS = {"label": ("teacher", "texts", "labels"), "teacher": ("teacher", "texts")}
"""The target of `zero-shot`, and the fields that each target needs."""


class ZeroShotLoss(Loss):
    """L_zs, Eq. 3 of the paper, as printed or in a softer reading.

        p_i = softmax_j(z_i . t_j / tau),  q_i = softmax_j(s_i . t_j / tau)

        target="label":    L_zs = -1/n sum_i [ log q_i,y_i + log p_i,y_i ]        (Eq. 3 as printed)
        target="teacher":  L_zs = -1/n sum_i sum_j p_ij log q_ij                  (distillation, as in ZSCL)

    student (n, d), teacher (n, d), texts (m, d), labels (n,) for target="label". The printed equation has the text of
    the sample's own class as hard label for both the event and the image; the image half adds to the value and is
    constant in the student, so that the student's gradient is that of `prediction` at the same tau. Samples without a
    label (-1) are left out of sum and n. In the other reading the targets p are constants, the texts need not name the
    samples, and the minimum is the mean entropy of p, reached where q = p.

    Choices: Eq. 3 prints one index i for samples and texts and sums to M, the number of texts, where Eq. 4 sums to N:
    here the sum is over the n samples of the batch, and the softmax over the m texts. tau divides, as usual for a
    temperature above 1 (Hinton et al., 2015); the paper does not say so. The similarities are cosines, without CLIP's
    logit scale of 100: for scaled logits use temperature = 2 / 100.
    """

    def __init__(
        self,
        *,
        target: str = "teacher",
        temperature: float = 2.0,
        learn_temperature: bool = False,
        temperature_means: str = "divide",
    ) -> None:
        """Set the options.

        Args:
            target: `label` for Eq. 3 as printed, `teacher` for the softmax of the teacher's similarities.
            temperature: tau, above 0; 2 in the paper and in the authors' code.
            learn_temperature: learn tau, by its logarithm.
            temperature_means: `divide` or `multiply` the similarities by the temperature.

        Raises:
            BadOption: an option out of its range.
        """
        self.target = check_choice("target", target, TARGETS)
        self.needs = TARGETS[self.target]
        divides = check_choice("temperature_means", temperature_means, ("divide", "multiply")) == "divide"
        tau = check_positive("temperature", temperature)
        self.temperature = LearnableScale("temperature", tau if divides else 1 / tau, learn_temperature)
        self.parameters = self.temperature.parameters

    def __call__(self, batch: TrainingBatch) -> torch.Tensor:
        texts, teacher = get_field(batch, "texts"), get_field(batch, "teacher").detach()
        tau = self.temperature.value
        student_logits, teacher_logits = (compute_similarities(rows, texts, tau) for rows in (batch.student, teacher))
        if self.target == "teacher":
            return soft_cross_entropy(teacher_logits.detach(), student_logits)
        labels = get_field(batch, "labels")
        return _label_cross_entropy(student_logits, labels) + _label_cross_entropy(teacher_logits, labels)


class PredictionLoss(Loss):
    """L_pred, Eq. 6 of the paper: cross-entropy of the student's similarities to the texts with its label.

        L_pred = -1/n sum_i log( exp(s_i . t_y_i / tau) / sum_j exp(s_i . t_j / tau) )

    With `cosine`, the cosine embedding loss of the authors' code:

        L_pred = 1/n sum_i (1 - s_i . t_y_i)

    student (n, d), texts (m, d), labels (n,). Samples without a label (-1) are left out of sum and n; the loss of a
    batch without labels is 0.

    Choice: the paper gives no tau. 0.01 is CLIP's, with which its encoders were trained; with 1 the softmax over
    cosines is nearly uniform.
    """

    needs = ("texts", "labels")

    def __init__(self, *, temperature: float | None = None, cosine: bool = False) -> None:
        """Set the options.

        Args:
            temperature: tau, above 0; 0.01 by default.
            cosine: use the equation of the authors' code, which has no tau.

        Raises:
            BadOption: an option out of its range, or a temperature together with `cosine`.
        """
        self.cosine = check_flag("cosine", cosine)
        if self.cosine and temperature is not None:
            raise BadOption("cosine = true has no temperature: remove one of the two options")
        self.temperature = CLIP_TEMPERATURE if temperature is None else check_positive("temperature", temperature)

    def __call__(self, batch: TrainingBatch) -> torch.Tensor:
        texts, labels = get_field(batch, "texts"), get_field(batch, "labels")
        if not self.cosine:
            return _label_cross_entropy(compute_similarities(batch.student, texts, self.temperature), labels)
        labelled, label_texts = labels >= 0, texts[labels.clamp(min=0)]
        distances = (1 - (batch.student * label_texts).sum(-1)) * labelled
        return distances.sum() / labelled.sum().clamp(min=1)


def _label_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Compute the mean cross-entropy of (n, m) logits over the samples with a label; 0 if there are none."""
    total = cross_entropy(logits, labels, ignore_index=-1, reduction="sum")
    return total / (labels >= 0).sum().clamp(min=1)
