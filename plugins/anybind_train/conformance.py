"""Conformance checks of losses, on a random batch."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

from anybind.testing import Case, Checks, computed_once
from anybind_train.loss import Loss, TrainingBatch

if TYPE_CHECKING:
    import torch

CHECKS = Checks()
ROWS, TEXTS, DIM = 6, 3, 8


def make_random_batch(seed: int = 0) -> TrainingBatch:
    """Make a batch with every field; the seed determines it."""
    import torch

    random = torch.Generator().manual_seed(seed)
    student, teacher, texts = (
        torch.nn.functional.normalize(torch.randn(rows, DIM, generator=random)) for rows in (ROWS, ROWS, TEXTS)
    )
    labels = torch.arange(ROWS) % TEXTS
    raw_teacher, raw_texts = 3 * teacher, 2 * texts
    raw_student = (4 * student).requires_grad_()
    student = torch.nn.functional.normalize(raw_student)
    student.retain_grad()
    return TrainingBatch(student, teacher, texts, labels, raw_student, raw_teacher, raw_texts)


@computed_once
def compute_loss(case: Case[Loss]) -> torch.Tensor:
    """Compute the loss of the random batch."""
    return case.part(make_random_batch())


@CHECKS.add("set `needs` to names of fields of TrainingBatch")
def check_needs(case: Case[Loss]) -> None:
    names = {field.name for field in fields(TrainingBatch)}
    unknown = set(case.part.needs) - names
    assert not unknown, f"needs: expected fields of {', '.join(sorted(names))}, got {', '.join(sorted(unknown))}"


@CHECKS.add("end with `.mean()`, in the precision of `batch.student`")
def check_is_a_finite_scalar(case: Case[Loss]) -> None:
    loss = case.part(make_random_batch())
    assert loss.shape == (), f"it returns shape {tuple(loss.shape)}, not a scalar"
    assert loss.dtype == make_random_batch().student.dtype, f"it returns {loss.dtype}"
    assert loss.isfinite(), f"it returns {loss.item()}"


@CHECKS.add("read no field that `needs` does not name")
def check_reads_what_it_needs(case: Case[Loss]) -> None:
    names = {field.name for field in fields(TrainingBatch)} - {"student", *case.part.needs}
    bare = case.part(replace(make_random_batch(), **dict.fromkeys(names)))
    assert bare.isfinite(), f"without {', '.join(sorted(names))} it returns {bare.item()}"


@CHECKS.add("compute it with torch from `batch.student`, without `.detach()` or `.numpy()`")
def check_gradients(case: Case[Loss]) -> None:
    batch = make_random_batch()
    case.part(batch).backward()
    assert batch.raw_student is not None
    gradient = batch.raw_student.grad if batch.student.grad is None else batch.student.grad
    assert gradient is not None, "no gradient reaches the student"
    assert gradient.isfinite().all(), "the student's gradient is not finite"
    assert gradient.any(), "the student's gradient is 0"


@CHECKS.add("use no randomness")
def check_deterministic(case: Case[Loss]) -> None:
    again = case.part(make_random_batch())
    assert abs(again - compute_loss(case)) <= 1e-6, (
        f"the same batch gives {compute_loss(case).item()} and {again.item()}"
    )


@CHECKS.add("take the mean over the batch, whatever the order of its rows")
def check_row_order(case: Case[Loss]) -> None:
    batch = make_random_batch()
    rows = ("student", "teacher", "labels", "raw_student", "raw_teacher")
    turned = replace(batch, **{name: getattr(batch, name).flip(0) for name in rows})
    other = case.part(turned)
    assert abs(other - compute_loss(case)) <= 1e-5, (
        f"in reverse order it is {other.item()}, not {compute_loss(case).item()}"
    )
