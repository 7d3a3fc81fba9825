"""The depth encoder of `mini` in torch, a baseline: shaded disparity, embedded by an image encoder."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Self

import torch

from anybind.plugin import BadOption, Encoder, TorchEncoder, export, samples
from anybind_mini.depth_rendering import SETTINGS, render_depth


class DepthAsImage(TorchEncoder):
    """A depth encoder: shaded disparity, scaled to the range of the map, in three equal channels of an image encoder.

    The surface is lit from the camera: its normal's component along the axis is the shading. Absolute distances and the
    baseline have no effect; only relative depth has. Pixels without depth are black.
    """

    def __init__(self, of: Encoder) -> None:
        """Share an image encoder.

        Args:
            of: the image encoder, whose weights are shared; in a binding file `of = "@image"`.

        Raises:
            BadOption: `of` is not a torch image encoder.
        """
        if not isinstance(of, TorchEncoder) or of.modality != "image":
            raise BadOption('of: expected a torch image encoder: set of = "@image"')
        self.image = of
        super().__init__(
            of.module,
            modality="depth",
            space=of.space,
            preprocessing={**SETTINGS, "picture": dict(of.preprocessing)},  # hashed into identities: the key stays
            logit_scale=of.logit_scale,
        )

    def preprocess(self, sample: samples.DepthSample) -> object:
        """Preprocess a depth map, `metres` (height, width), for the image encoder's module."""
        return self.image.preprocess(render_depth(sample.metres, sample.fx))

    def collate(self, inputs: Sequence[object]) -> object:
        return self.image.collate(inputs)

    def features(self, batch: object) -> torch.Tensor:
        return self.image.features(batch)

    def plan_export(self) -> export.ExportPlan:
        return self.image.plan_export().nest("depth-as-image", "image")

    def copy(self) -> Self:
        duplicate = copy.copy(self)
        duplicate.image = self.image.copy()
        return duplicate

    @property
    def module(self) -> torch.nn.Module:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The image encoder's module; a replacement, such as a wrapped module, embeds from then on."""
        return self.image.module

    @module.setter
    def module(self, module: torch.nn.Module) -> None:
        self.image.module = module
