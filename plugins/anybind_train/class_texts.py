"""Text embeddings of the class names, and the route from an encoder's own space to the common space."""

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
    """Text embeddings of the class names in the common space, and the adapters from an encoder's own space to it."""

    embeddings: torch.Tensor | None
    route: list[Adapter]

    def map_to_common(self, vectors: torch.Tensor) -> torch.Tensor:
        """Map (n, d) unit embeddings of an encoder's own space to the common space, with gradients."""
        for adapter in self.route:
            vectors = functional.normalize(adapter.map_tensor(vectors), dim=1)
        return vectors


def embed_class_texts(
    binder: Binder, recipe: Recipe, losses: WeightedSum, classes: Sequence[str], device: torch.device
) -> ClassTexts:
    """Embed the class names that a recipe's losses need.

    Raises:
        BadInput: fewer than two classes, and a loss needs labels or texts.
        SpaceMismatch: the texts are in another space than the student.
    """
    route = binder.route(recipe.modality)
    if len(classes) < 2 and (needs := [name for name in ("labels", "texts") if name in losses.needs]):
        raise BadInput(f"a loss needs {' and '.join(needs)}: expected at least two classes, got {len(classes)}")
    if "texts" not in losses.needs:
        return ClassTexts(None, route)
    texts = prompts.embed_class_names(binder, "text", classes, prompts.check_templates(recipe.templates))
    binder.space(recipe.modality).require_same(texts.space, f"compare {recipe.modality} with text")
    return ClassTexts(torch.tensor(texts.vectors, device=device), route)
