"""Checks of a recipe against its losses and encoders, before anything is computed."""

from __future__ import annotations

from anybind import Binder
from anybind.plugin import BadOption, errors
from anybind_train.losses.weighted_sum import WeightedSum
from anybind_train.recipe import PROMPT_METHODS, Recipe


def check_losses(recipe: Recipe, losses: WeightedSum, n_processes: int) -> None:
    """Raise `BadOption` if a loss cannot train, the batch size fits no loss or process, or a teacher is missing."""
    for name, loss in losses.losses.items():
        if loss.untrainable:
            raise BadOption(f"losses: {name} cannot train: {loss.untrainable}")
    if losses.compares_rows and recipe.batch_size < 2:
        raise BadOption("batch_size: expected at least 2, since a loss compares the samples of a batch; got 1")
    if recipe.batch_size % n_processes:
        raise BadOption(f"batch_size: expected a multiple of {n_processes} processes, got {recipe.batch_size}")
    if "teacher" in losses.needs and not recipe.teacher:
        raise BadOption('a loss of the recipe needs a teacher: set for example teacher = "image"')


def check_spaces(binder: Binder, recipe: Recipe, losses: WeightedSum) -> None:
    """Raise an error if a loss compares embeddings that the recipe does not have.

    Raises:
        SpaceMismatch: student and teacher in different spaces.
        BadOption: embeddings before their normalisation, after adapters or with learned prompts.
    """
    if losses.needs_raw and (binder.route(recipe.modality) or recipe.student.method in PROMPT_METHODS):
        raise BadOption(
            "a loss of the recipe needs embeddings before their normalisation:"
            " not supported with adapters between spaces or learned prompts"
        )
    if not recipe.teacher:
        return
    student, teacher = (binder.encoder(modality).space for modality in (recipe.modality, recipe.teacher))
    if any(term.space == "own" for term in losses.terms) and student != teacher:
        raise errors.SpaceMismatch(
            f'the student is in {student}, its teacher in {teacher}: compare them with space = "common"'
        )
