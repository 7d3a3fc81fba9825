"""Losses on the similarities to class texts: `zero-shot` and `prediction`."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from anybind.plugin import BadOption
from anybind_train.loss import Loss, TrainingBatch
from anybind_train.losses.shared import (
    check_choice,
    check_flag,
    check_positive,
    compute_similarities,
    get_field,
    soft_cross_entropy,
)

CLIP_TEMPERATURE = 0.01
"""The inverse of CLIP's logit scale, 100, the bound that its learned scale reached."""


class ZeroShotLoss(Loss):
    """L_zs, Eq. 3 of the paper: soft cross-entropy of the student's similarities to the texts with its teacher's.

        p_i = softmax_j(z_i . t_j / tau),  q_i = softmax_j(s_i . t_j / tau)
        L_zs = -1/n sum_i sum_j p_ij log q_ij

    student (n, d), teacher (n, d), texts (m, d), which need not name the samples. Its minimum is the mean entropy
    of p, reached where q = p. The targets p are constants: gradients flow through q, into the student and into
    texts that are learned.

    Choices: p and q have the same tau, which divides, as usual for a temperature above 1 (Hinton et al., 2015); the
    paper does not say whether it divides. The similarities are cosines, without CLIP's logit scale of 100: for scaled
    logits use temperature = 2 / 100. `both_directions` is the mean of the equation and of its transpose, where each
    text's softmax runs over the samples of the batch, as in the authors' code; the mean leaves the term's weight
    unchanged.
    """

    needs = ("teacher", "texts")

    def __init__(
        self, *, temperature: float = 2.0, temperature_means: str = "divide", both_directions: bool = False
    ) -> None:
        """Set the options.

        Args:
            temperature: tau, above 0; 2 in the paper and in the authors' code.
            temperature_means: `divide` or `multiply` the similarities by the temperature.
            both_directions: take the mean with the transpose, the softmax of each text over the batch.

        Raises:
            BadOption: an option out of its range.
        """
        divides = check_choice("temperature_means", temperature_means, ("divide", "multiply")) == "divide"
        tau = check_positive("temperature", temperature)
        self.temperature = tau if divides else 1 / tau
        self.both_directions = check_flag("both_directions", both_directions)

    def __call__(self, batch: TrainingBatch) -> torch.Tensor:
        texts = get_field(batch, "texts")
        target = compute_similarities(get_field(batch, "teacher"), texts, self.temperature).detach()
        student = compute_similarities(batch.student, texts, self.temperature)
        loss = soft_cross_entropy(target, student)
        return (loss + soft_cross_entropy(target.T, student.T)) / 2 if self.both_directions else loss


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
        labelled = labels >= 0
        if self.cosine:
            label_texts = texts[labels.clamp(min=0)]
            total = ((1 - (batch.student * label_texts).sum(-1)) * labelled).sum()
        else:
            logits = compute_similarities(batch.student, texts, self.temperature)
            total = cross_entropy(logits, labels, ignore_index=-1, reduction="sum")
        return total / labelled.sum().clamp(min=1)
