"""Losses that look at class texts: `zero-shot` and `prediction`."""

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
"""CLIP's similarities are multiplied by 100, the bound that its learnt scale reached."""


class ZeroShotLoss(Loss):
    """L_zs, Eq. 3 of the paper: the student's similarities to the texts are to be those of its teacher.

        p_i = softmax_j(z_i . t_j / tau),  q_i = softmax_j(s_i . t_j / tau)
        L_zs = -1/n sum_i sum_j p_ij log q_ij

    student (n, d), teacher (n, d), texts (m, d), which need not name the samples. Its least value is the mean
    entropy of p, reached where q = p. The targets p are constants: only the student moves, and the texts by way of
    q where they learn.

    Choices: p and q have the same tau, which divides, as is usual for a temperature above 1 that softens (Hinton et
    al., 2015); the paper does not say which. The similarities are plain cosines, without CLIP's scale of 100: for
    logits with it give temperature = 2 / 100. `both_directions` is the mean of the equation and of its transpose,
    in which each text's softmax runs over the samples of the batch; the authors' code has both directions, and the
    mean keeps the weight of the term what it is for one.
    """

    needs = ("teacher", "texts")

    def __init__(
        self, *, temperature: float = 2.0, temperature_means: str = "divide", both_directions: bool = False
    ) -> None:
        """Set the options.

        Args:
            temperature: tau, above 0; 2 in the paper and in the authors' code.
            temperature_means: `divide` the similarities by it, or `multiply` them with it.
            both_directions: also over the batch for each text.

        Raises:
            BadOption: an option out of its range.
        """
        divides = check_choice("temperature_means", temperature_means, ("divide", "multiply")) == "divide"
        given = check_positive("temperature", temperature)
        self.temperature = given if divides else 1 / given
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

    With `cosine`, the cosine-embedding loss of the authors' code:

        L_pred = 1/n sum_i (1 - s_i . t_y_i)

    student (n, d), texts (m, d), labels (n,). Samples without label (-1) are left out of sum and n; a batch
    without any gives 0.

    Choice: the paper gives no tau. 0.01 is CLIP's own, with which its texts and pictures were put in place; with
    1 no softmax over cosines comes near a label.
    """

    needs = ("texts", "labels")

    def __init__(self, *, temperature: float | None = None, cosine: bool = False) -> None:
        """Set the options.

        Args:
            temperature: tau, above 0; 0.01 by default.
            cosine: the authors' code's equation, which has no tau.

        Raises:
            BadOption: an option out of its range, or a temperature together with `cosine`.
        """
        self.cosine = check_flag("cosine", cosine)
        if self.cosine and temperature is not None:
            raise BadOption("the cosine to the label text has no temperature; leave one of the two options out")
        self.temperature = CLIP_TEMPERATURE if temperature is None else check_positive("temperature", temperature)

    def __call__(self, batch: TrainingBatch) -> torch.Tensor:
        texts, labels = get_field(batch, "texts"), get_field(batch, "labels")
        labelled = labels >= 0
        if self.cosine:
            of_label = texts[labels.clamp(min=0)]
            total = ((1 - (batch.student * of_label).sum(-1)) * labelled).sum()
        else:
            logits = compute_similarities(batch.student, texts, self.temperature)
            total = cross_entropy(logits, labels, ignore_index=-1, reduction="sum")
        return total / labelled.sum().clamp(min=1)
