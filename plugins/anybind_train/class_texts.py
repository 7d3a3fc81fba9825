"""Class names of the training data as vectors, and the way from a tower's own space to theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from anybind import Binder
from anybind.plugin import Adapter, BadInput, prompts
from anybind_train.losses.weighted_sum import WeightedSum
from anybind_train.recipe import Recipe


@dataclass
class ClassTexts:
    """Class names of the training data as vectors in the common space, and the way there from a tower's own."""

    embeddings: torch.Tensor | None
    route: list[Adapter]

    def map_to_common(self, vectors: torch.Tensor) -> torch.Tensor:
        """(n, d) unit vectors of a tower's own space to the common one, with gradients."""
        for adapter in self.route:
            vectors = functional.normalize(adapter.map_tensor(vectors), dim=1)
        return vectors


def embed_class_texts(
    binder: Binder, recipe: Recipe, losses: WeightedSum, classes: Sequence[str], device: torch.device
) -> ClassTexts:
    """Embed the class names that a recipe's losses compare with.

    Raises:
        BadInput: fewer than two classes, where a loss needs more.
        SpaceMismatch: the texts are in another space than the student's.
    """
    route = binder.route(recipe.modality)
    if "labels" in losses.needs and len(classes) < 2:
        raise BadInput(f"the data has {len(classes)} classes; a loss by labels needs at least two")
    if "texts" not in losses.needs:
        return ClassTexts(None, route)
    if len(classes) < 2:
        raise BadInput("the data has fewer than two classes; a loss that compares with words needs them")
    texts = prompts.embed_class_names(binder, "text", classes, prompts.check_templates(recipe.templates))
    binder.space(recipe.modality).require_same(texts.space, f"compare {recipe.modality} with words")
    return ClassTexts(torch.tensor(texts.vectors, device=device), route)
