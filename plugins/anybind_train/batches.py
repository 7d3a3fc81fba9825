"""The embeddings of a batch in the spaces of its losses."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.nn import functional

from anybind_train.class_texts import ClassTexts
from anybind_train.loss import TrainingBatch


def build_batches(
    student: torch.Tensor,
    teacher: torch.Tensor | None,
    labels: torch.Tensor,
    class_texts: ClassTexts,
    teacher_texts: ClassTexts,
    learned_texts: torch.Tensor | None,
    *,
    needs_raw: bool,
) -> dict[str, TrainingBatch]:
    """Build the batch in the student's own space (`own`) and in that of the texts (`common`).

    Args:
        student: (n, d), not of norm 1.
        teacher: (n, d), not of norm 1 if `needs_raw`; None without a teacher.
        labels: (n,).
        class_texts: texts, and the student's route to the common space.
        teacher_texts: the teacher's route to the common space.
        learned_texts: texts of learned prompts, in place of those of `class_texts`; None without them.
        needs_raw: whether a loss needs embeddings before their normalisation.
    """
    own = functional.normalize(student, dim=1)
    raw_teacher = common_teacher = teacher
    if teacher is not None:
        with torch.no_grad():
            teacher = functional.normalize(teacher, dim=1) if needs_raw else teacher
            common_teacher = teacher_texts.map_to_common(teacher)
    texts = class_texts.embeddings if learned_texts is None else learned_texts
    batches = {
        "own": TrainingBatch(own, teacher, None if class_texts.route else texts, labels),
        "common": TrainingBatch(class_texts.map_to_common(own), common_teacher, texts, labels),
    }
    if not needs_raw:
        return batches
    return {
        space: replace(batch, raw_student=student, raw_teacher=raw_teacher, raw_texts=class_texts.raw)
        for space, batch in batches.items()
    }
