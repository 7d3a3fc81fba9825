"""Losses on pairs alone, of a student's vector and its teacher's: `contrastive` and `cosine`."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from anybind_train.loss import Loss, TrainingBatch
from anybind_train.losses.shared import check_flag, check_positive, compute_similarities, get_field


class ContrastiveLoss(Loss):
    """L_ct, Eq. 2 of the paper: InfoNCE, students as queries and the frozen teacher's vectors as keys.

        L_ct = -1/n sum_i log( exp(s_i . z_i / tau) / sum_j exp(s_i . z_j / tau) )

    student (n, d), teacher (n, d); j runs over the batch, so the negatives of a sample are the partners of
    the others. At least 0, and log n where all vectors are equal.

    Choices: one direction, as the paper says which side asks; `symmetric` is the mean of both, as in CLIP.
    The authors' code takes tau = 0.02 and multiplies the loss by 2 tau, which the preset says as a weight.
    """

    needs = ("teacher",)
    compares_rows = True

    def __init__(self, *, temperature: float = 1.0, symmetric: bool = False) -> None:
        """Set the options.

        Args:
            temperature: tau, above 0; the paper's is 1.
            symmetric: the mean with the same loss of teachers as queries and students as keys.

        Raises:
            BadOption: an option out of its range.
        """
        self.temperature = check_positive("temperature", temperature)
        self.symmetric = check_flag("symmetric", symmetric)

    def __call__(self, batch: TrainingBatch) -> torch.Tensor:
        logits = compute_similarities(batch.student, get_field(batch, "teacher").detach(), self.temperature)
        partners = torch.arange(len(logits), device=logits.device)
        loss = cross_entropy(logits, partners)
        return (loss + cross_entropy(logits.T, partners)) / 2 if self.symmetric else loss


class CosineLoss(Loss):
    """One less the cosine of a student and its teacher: from 0 to 2. Ours; the paper has no such term.

        L = 1/n sum_i (1 - s_i . z_i)

    student (n, d), teacher (n, d). It takes no negatives, so it means the same in a batch of any size.
    """

    needs = ("teacher",)

    def __call__(self, batch: TrainingBatch) -> torch.Tensor:
        return (1 - (batch.student * get_field(batch, "teacher").detach()).sum(-1)).mean()
