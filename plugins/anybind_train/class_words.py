"""Class names of the training data as vectors, and the way from a tower's own space to theirs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from anybind.plugin import Adapter


@dataclass
class Words:
    """Class names of the training data as vectors in the common space, and the way there from a tower's own."""

    texts: torch.Tensor | None
    route: list[Adapter]

    def carry(self, vectors: torch.Tensor) -> torch.Tensor:
        """(n, d) unit vectors of a tower's own space to the common one, with gradients."""
        for adapter in self.route:
            vectors = functional.normalize(adapter.map_tensor(vectors), dim=1)
        return vectors
