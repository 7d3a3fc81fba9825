"""The loss `kl`: the Kullback-Leibler divergence between distributions of student and teacher."""

from __future__ import annotations

import torch

from anybind_train.loss import Loss, TrainingBatch
from anybind_train.losses.shared import check_choice, check_positive, compute_similarities, get_field

OVER = {"dimensions": ("teacher",), "texts": ("teacher", "texts"), "batch": ("teacher",)}
"""The axis of the distributions, and the fields that each axis needs."""


class KLLoss(Loss):
    """L_kl of the paper: KL(E' || I') of a student's distribution E' and its teacher's I'.

        KL(E' || I') = 1/n sum_i sum_k E'_ik (log E'_ik - log I'_ik)

    student (n, d), teacher (n, d), texts (m, d) over texts. At least 0. The teacher's side is a constant.

        over="dimensions":  E'_i = softmax_k(s_ik / tau),     I'_i = softmax_k(z_ik / tau),     k in 1..d
        over="texts":       E'_i = softmax_k(s_i . t_k / tau), I'_i = softmax_k(z_i . t_k / tau), k in 1..m
        over="batch":       E'_i = softmax_k(s_i . z_k / tau), I'_i = softmax_k(z_i . z_k / tau), k in 1..n

    Choices: the paper names the distributions of the embeddings but not their axis; the preset `paper` has the d
    dimensions with tau 1, as no other quantity is named. Unit embeddings then have nearly uniform distributions, and
    the term is about |s - z|^2 / (2 d). Over texts it is knowledge distillation (with first="teacher", Hinton et al.,
    2015). Over the batch it compares similarity matrices: student-teacher rows with teacher-teacher rows. The authors'
    code has another term, `author-kl`.
    """

    def __init__(self, *, over: str = "dimensions", temperature: float = 1.0, first: str = "student") -> None:
        """Set the options.

        Args:
            over: axis of the distributions: `dimensions`, `texts` or `batch`.
            temperature: tau of both distributions, above 0.
            first: `student` for KL(E' || I'), `teacher` for KL(I' || E').

        Raises:
            BadOption: an option out of its range.
        """
        self.over = check_choice("over", over, OVER)
        self.temperature = check_positive("temperature", temperature)
        self.first = check_choice("first", first, ("student", "teacher"))
        self.needs = OVER[over]
        self.compares_rows = over == "batch"

    def __call__(self, batch: TrainingBatch) -> torch.Tensor:
        student, teacher = batch.student, get_field(batch, "teacher").detach()
        if self.over == "dimensions":
            logits, targets = student / self.temperature, teacher / self.temperature
        else:
            keys = teacher if self.over == "batch" else get_field(batch, "texts")
            logits, targets = (compute_similarities(rows, keys, self.temperature) for rows in (student, teacher))
        first, second = logits.log_softmax(-1), targets.detach().log_softmax(-1)
        if self.first == "teacher":
            first, second = second, first
        return (first.exp() * (first - second)).sum(-1).mean()
