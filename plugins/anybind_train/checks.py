"""What of a recipe can be found wrong before anything is computed."""

from __future__ import annotations

from anybind import Binder
from anybind.plugin import BadOption, errors
from anybind_train.losses.weighted_sum import WeightedSum
from anybind_train.recipe import Recipe


def check_batch(recipe: Recipe, losses: WeightedSum, world: int) -> None:
    """Raise `BadOption` where the size of a batch, or a missing teacher, leaves a loss with nothing to compare."""
    if losses.compares_rows and recipe.batch_size < 2:
        raise BadOption("batch_size is 1, but a loss of the recipe compares the samples of a batch: take at least 2")
    if recipe.batch_size % world:
        raise BadOption(f"batch_size {recipe.batch_size} cannot be shared evenly by {world} processes")
    if "teacher" in losses.needs and not recipe.teacher:
        raise BadOption('a loss of the recipe needs a teacher: name one, as teacher = "image"')


def check_spaces(binder: Binder, recipe: Recipe, losses: WeightedSum) -> None:
    """Raise `SpaceMismatch` where a loss compares student and teacher in different spaces."""
    if not recipe.teacher:
        return
    student, teacher = (binder.encoder(of).space for of in (recipe.modality, recipe.teacher))
    if any(term.space == "own" for term in losses.terms) and student != teacher:
        raise errors.SpaceMismatch(
            f"the student is in {student}, its teacher in {teacher}: compare them in the common space"
        )
