"""`ProjectedEncoder`: a small encoder of another binding, and a projection into the space of a base."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Self

import torch
from torch import nn
from torch.nn import functional

from anybind import Binder, find_binding
from anybind.plugin import BadOption, Encoder, TorchEncoder


class ProjectedEncoder(TorchEncoder):
    """An encoder of any modality in the space of a base: a backbone's unit vectors, projected by an MLP.

    Its module has the parts `backbone` and `projection`: with `student.train = ["projection"]` the backbone is frozen.
    The projection's random weights are the same in every process.
    """

    def __init__(
        self,
        *,
        target: Encoder,
        modality: str,
        backbone: str = "mini",
        hidden: int = 1024,
        weights: str | None = None,
    ) -> None:
        """Load the backbone, and add a projection.

        Args:
            target: an encoder of the base, into whose space samples are embedded; in a binding file
                `target = "@image"`.
            modality: modality of the samples.
            backbone: binding whose encoder of that modality is copied.
            hidden: width of the hidden layer; 0 for a linear projection.
            weights: a file of `save_weights`.

        Raises:
            BadOption: the backbone's encoder is not one of torch, or the width is negative.
            UnknownName: there is no such binding, or it has no encoder of the modality.
            WeightsMismatch: the weights are of another base, backbone or width.
        """
        if hidden < 0:
            raise BadOption(f"hidden: expected at least 0, got {hidden}")
        encoder = Binder(find_binding(backbone), backend="torch").encoder(modality)
        if not isinstance(encoder, TorchEncoder):
            raise BadOption(f"backbone: expected a torch encoder of {modality}, got a {type(encoder).__name__}")
        self.backbone = encoder.copy()
        self.reader_options = encoder.reader_options
        super().__init__(
            _join(self.backbone, _make_projection(encoder.space.dim, hidden, target.space.dim)),
            modality=modality,
            space=target.space,
            preprocessing={"backbone": dict(encoder.preprocessing), "hidden": hidden},
            logit_scale=target.logit_scale,
        )
        if weights is not None:
            self.load_weights(weights)

    def preprocess(self, sample: object) -> object:
        return self.backbone.preprocess(sample)

    def collate(self, inputs: Sequence[object]) -> object:
        return self.backbone.collate(inputs)

    def features(self, batch: object) -> torch.Tensor:
        """Compute (n, d) features in the base's space, not of norm 1."""
        vectors = functional.normalize(self.backbone.features(batch).float(), dim=1)
        return self.module.get_submodule("projection")(vectors)

    def copy(self) -> Self:
        twin = super().copy()
        twin.backbone = self.backbone.copy()
        twin.module = _join(twin.backbone, copy.deepcopy(self.module.get_submodule("projection")))
        return twin


def _join(backbone: TorchEncoder, projection: nn.Module) -> nn.Module:
    return nn.ModuleDict({"backbone": backbone.module, "projection": projection}).eval()


def _make_projection(dim: int, hidden: int, target_dim: int) -> nn.Module:
    """Make an MLP with one hidden layer, or a linear map, from a seed of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if not hidden:
            return nn.Linear(dim, target_dim)
        # Unit vectors of a wide backbone have small entries, which the first layer norm brings to variance 1.
        return nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, target_dim))
