"""Losses on pairs of student and teacher embeddings: `contrastive` and `cosine`."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from anybind_train.loss import Loss, TrainingBatch
from anybind_train.losses.shared import LearnableScale, check_flag, compute_similarities, get_field


class ContrastiveLoss(Loss):
    """L_ct, Eq. 2 of the paper: InfoNCE, students as queries and the frozen teacher's embeddings as keys.

        L_ct = -1/n sum_i log( exp(s_i . z_i / tau) / sum_j exp(s_i . z_j / tau) )

    student (n, d), teacher (n, d); j runs over the batch, so the negatives of a sample are the partners of
    the others. At least 0, and log n where all embeddings are equal.

    Choices: one direction, since the paper says which side is the query; `symmetric` is the mean of both, as in CLIP.
    The paper's tau is "initialized to" 1; whether it is learned is not said, and by default it is not.
    """

    needs = ("teacher",)
    compares_rows = True

    def __init__(self, *, temperature: float = 1.0, learn_temperature: bool = False, symmetric: bool = False) -> None:
        """Set the options.

        Args:
            temperature: tau, above 0; 1 in the paper.
            learn_temperature: learn tau, by its logarithm.
            symmetric: take the mean with the loss of teachers as queries and students as keys.

        Raises:
            BadOption: an option out of its range.
        """
        self.temperature = LearnableScale("temperature", temperature, learn_temperature)
        self.parameters = self.temperature.parameters
        self.symmetric = check_flag("symmetric", symmetric)

    def __call__(self, batch: TrainingBatch) -> torch.Tensor:
        logits = compute_similarities(batch.student, get_field(batch, "teacher").detach(), self.temperature.value)
        partners = torch.arange(len(logits), device=logits.device)
        loss = cross_entropy(logits, partners)
        return (loss + cross_entropy(logits.T, partners)) / 2 if self.symmetric else loss


class CosineLoss(Loss):
    """The mean cosine distance of student and teacher, from 0 to 2. Ours; the paper has no such term.

        L = 1/n sum_i (1 - s_i . z_i)

    student (n, d), teacher (n, d). It has no negatives, so its value does not depend on the batch size.
    """

    needs = ("teacher",)

    def __call__(self, batch: TrainingBatch) -> torch.Tensor:
        return (1 - (batch.student * get_field(batch, "teacher").detach()).sum(-1)).mean()
