"""Text embeddings of the class names, and the route from an encoder's own space to the common space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from anybind import Binder
from anybind.plugin import Adapter, BadInput, BadOption, TorchEncoder, prompts
from anybind_train.losses.weighted_sum import WeightedSum
from anybind_train.recipe import Recipe

TEXT_BATCH = 64


@dataclass
class ClassTexts:
    """Text embeddings of the class names in the common space, and the adapters from an encoder's own space to it.

    `raw` are the embeddings before their normalisation, the mean over templates; None unless a loss needs them.
    """

    embeddings: torch.Tensor | None
    route: list[Adapter]
    raw: torch.Tensor | None = None

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
    if len(classes) < 2 and (needs := [name for name in ("labels", "texts", "raw_texts") if name in losses.needs]):
        raise BadInput(f"a loss needs {' and '.join(needs)}: expected at least two classes, got {len(classes)}")
    raw = _embed_raw_texts(binder, recipe, classes).to(device) if "raw_texts" in losses.needs else None
    if "texts" not in losses.needs:
        return ClassTexts(None, route, raw)
    texts = prompts.embed_class_names(binder, "text", classes, prompts.check_templates(recipe.templates))
    binder.space(recipe.modality).require_same(texts.space, f"compare {recipe.modality} with text")
    return ClassTexts(torch.tensor(texts.vectors, device=device), route, raw)


def _embed_raw_texts(binder: Binder, recipe: Recipe, classes: Sequence[str]) -> torch.Tensor:
    """Embed the class names without normalisation: (classes, d), the mean over templates."""
    encoder, templates = binder.encoder("text"), prompts.check_templates(recipe.templates)
    if not isinstance(encoder, TorchEncoder):
        raise BadOption("a loss needs texts before their normalisation: expected a text encoder on torch")
    binder.space(recipe.modality).require_same(encoder.space, f"compare {recipe.modality} with text")
    texts = [prompts.format_prompts(template, name)[0] for name in classes for template in templates]
    inputs = [encoder.preprocess(text) for text in texts]
    rows = [encoder.encode_raw(inputs[start : start + TEXT_BATCH]) for start in range(0, len(inputs), TEXT_BATCH)]
    return torch.from_numpy(np.concatenate(rows)).reshape(len(classes), len(templates), -1).mean(1)
