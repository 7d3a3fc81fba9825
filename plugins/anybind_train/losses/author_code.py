"""Losses of the code published with the paper: `author-contrastive`, `author-zero-shot` and `author-kl`.

Written from measurements of what that code computes, see docs/explanation/authors-code.md. Two of its terms cannot
train: L_ct has no gradient, and L_kl is NaN. The options `gradient` and `in_logarithms` mend them.
"""

from __future__ import annotations

import math

import torch
from torch.nn.functional import cross_entropy

from anybind.plugin import BadOption
from anybind_train.loss import Loss, TrainingBatch
from anybind_train.losses.shared import (
    LearnableScale,
    check_flag,
    check_positive,
    compute_similarities,
    get_field,
    soft_cross_entropy,
)

SCALE = 1 / 0.07
"""The initial logit scale of the authors' L_zs, that of CLIP."""


class AuthorContrastiveLoss(Loss):
    """L_ct of the authors' code: InfoNCE with the images as queries and the events as keys.

        L_ct = -1/n sum_i log( exp(z_i . s_i / T) / sum_j exp(z_i . s_j / T) )

    student (n, d), teacher (n, d). Theirs is multiplied by 2 T, which is a weight in the presets. Both sides pass a
    gather without gradients there, so that the term has none: gradient=False.
    """

    needs = ("teacher",)
    compares_rows = True

    def __init__(self, *, temperature: float = 0.02, gradient: bool = True) -> None:
        """Set the options.

        Args:
            temperature: T, above 0.
            gradient: whether gradients flow into the student.

        Raises:
            BadOption: an option out of its range.
        """
        self.temperature = check_positive("temperature", temperature)
        self.gradient = check_flag("gradient", gradient)

    def __call__(self, batch: TrainingBatch) -> torch.Tensor:
        student = batch.student if self.gradient else batch.student.detach()
        logits = compute_similarities(get_field(batch, "teacher").detach(), student, self.temperature)
        return cross_entropy(logits, torch.arange(len(logits), device=logits.device))


class AuthorZeroShotLoss(Loss):
    """L_zs of the authors' code: distillation in both directions between embeddings that are not of norm 1.

        p_i = softmax_j(c Z_i . T_j / tau),  q_i = softmax_j(c S_i . T_j / tau)
        L_zs = -tau^2/n sum_i [ sum_j p_ij log q_ij + sum_j q_ij log p_ij ]

    raw student S (n, d), raw teacher Z (n, d), raw texts T (m, d); c is a learned scale, 1 / 0.07 at the start. In the
    second sum the student's probabilities are the target, and gradients flow through them.
    """

    needs = ("raw_student", "raw_teacher", "raw_texts")

    def __init__(self, *, temperature: float = 2.0, scale: float = SCALE, learn_scale: bool = True) -> None:
        """Set the options.

        Args:
            temperature: tau, above 0.
            scale: c, above 0.
            learn_scale: learn c, by its logarithm.

        Raises:
            BadOption: an option out of its range.
        """
        self.temperature = check_positive("temperature", temperature)
        self.scale = LearnableScale("scale", scale, learn_scale)
        self.parameters = self.scale.parameters

    def __call__(self, batch: TrainingBatch) -> torch.Tensor:
        texts = get_field(batch, "raw_texts") * self.scale.value
        student = compute_similarities(get_field(batch, "raw_student"), texts, self.temperature)
        teacher = compute_similarities(get_field(batch, "raw_teacher").detach(), texts, self.temperature)
        both = soft_cross_entropy(teacher, student) + soft_cross_entropy(student, teacher)
        return self.temperature**2 * both


class AuthorKLLoss(Loss):
    """L_kl of the authors' code: similarities of images and events, with those among the images as target.

        p = sinkhorn(z_i . z_k / T),  q_i = softmax_k(z_i . s_k / T)
        L_kl = 1/n sum_i sum_k p_ik (log p_ik - log q_ik)

    student (n, d), teacher (n, d). Theirs computes exp(z_i . z_k / T) in float32, where exp(1 / 0.01) overflows, so
    that the term is NaN: in_logarithms=False.
    """

    needs = ("teacher",)
    compares_rows = True

    def __init__(self, *, temperature: float = 0.01, sinkhorn: int = 3, in_logarithms: bool = True) -> None:
        """Set the options.

        Args:
            temperature: T, above 0.
            sinkhorn: number of Sinkhorn steps, at least 1.
            in_logarithms: compute the Sinkhorn steps in the log domain; if False, in float32 on exponentials.

        Raises:
            BadOption: an option out of its range.
        """
        self.temperature = check_positive("temperature", temperature)
        if isinstance(sinkhorn, bool) or not isinstance(sinkhorn, int) or sinkhorn < 1:
            raise BadOption(f"sinkhorn: expected a number of steps, 1 or more, got {sinkhorn!r}")
        self.sinkhorn_steps = sinkhorn
        self.in_logarithms = check_flag("in_logarithms", in_logarithms)
        if not in_logarithms and 1 / self.temperature > math.log(torch.finfo(torch.float32).max):
            self.untrainable = (
                f"it is NaN: its Sinkhorn steps start from exp(1 / {temperature:g}), which overflows float32;"
                " in_logarithms = true mends it, as in the preset author-code-mended"
            )

    def __call__(self, batch: TrainingBatch) -> torch.Tensor:
        teacher = get_field(batch, "teacher").detach()
        among_images = compute_similarities(teacher, teacher, self.temperature)
        student = compute_similarities(teacher, batch.student, self.temperature).log_softmax(-1)
        normalise = sinkhorn if self.in_logarithms else sinkhorn_float32
        target = normalise(among_images, self.sinkhorn_steps)
        return (target.exp() * (target - student)).sum(-1).mean()


def sinkhorn(logits: torch.Tensor, steps: int) -> torch.Tensor:
    """Normalise exp(logits) by Sinkhorn steps, and return its logarithm: rows sum to 1, columns nearly so.

    Each step scales the columns to sum 1 and then the rows (Sinkhorn and Knopp, 1967), so that no sample that is
    similar to many others gets most of the probability. In the log domain, since exp(1 / 0.01) overflows float32.

    Args:
        logits: (n, n).
        steps: at least 1.
    """
    for _ in range(steps):
        logits = logits.log_softmax(0).log_softmax(1)
    return logits


def sinkhorn_float32(logits: torch.Tensor, steps: int) -> torch.Tensor:
    """Compute `sinkhorn` on the exponentials in float32, as the authors' code does: NaN above 88.7."""
    values = logits.float().exp()
    for _ in range(steps):
        values = values / values.sum(0, keepdim=True)
        values = values / values.sum(1, keepdim=True)
    return values.log().to(logits.dtype)
