"""The event encoder: a copy of an image tower that reads frames made of events, in the same space."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch.nn import functional

from anybind.plugin import BadOption, Encoder, Representation, RepresentationSpec, TorchEncoder, create_part, find_part
from anybind_events.stream import EventStream


class EventTower(TorchEncoder):
    """A trainable copy of an image tower (the paper's f_E), with its own weights, in the image tower's space.

    A recording becomes a frame, the frame a gray picture, and the picture goes the image tower's own way:
    its resizing, cropping and normalisation.
    """

    def __init__(
        self,
        of: Encoder,
        *,
        representation: str = "paper",
        options: Mapping[str, object] | None = None,
        size: int = 0,
        direct: bool = False,
        weights: str | None = None,
    ) -> None:
        """Copy an image tower.

        Args:
            of: the image tower to copy; in a binding file `of = "@image"`.
            representation: name of a registered representation of events.
            options: its options.
            size: side that the image tower's input is scaled to, 0 for as it is: frames of small sensors hold no more,
                and a convolutional tower is several times faster on less.
            direct: the frame itself, scaled to the size of the image tower's input, is what the module takes: no
                rounding to a picture, no crop, no mean and standard deviation (the paper's authors' code does so).
            weights: a file that `save_weights` of such a tower wrote; without it the copy is untrained.

        Raises:
            BadOption: `of` is no image encoder on torch, the options are no table, or the size makes no sense.
            WeightsMismatch: the weights are of another model, space or preprocessing.
        """
        if not isinstance(of, TorchEncoder) or of.modality != "image":
            raise BadOption('an event tower is a copy of an image tower: give of = "@image"')
        if options is not None and not isinstance(options, Mapping):
            raise BadOption(f"options of the representation must be a table, got {options!r}")
        if size < 0:
            raise BadOption(f"size must be 0 or more, got {size}")
        self.size, self.direct = size, direct
        self.image = of.copy()
        self.frame: Representation = create_part("representation", representation, **(options or {}))
        super().__init__(
            self.image.module,
            modality="event",
            space=of.space,
            preprocessing={
                "frame": dict(self.frame.settings),
                "picture": dict(of.preprocessing),
                **({"size": size} if size else {}),
                **({"direct": True} if direct else {}),
            },
            logit_scale=of.logit_scale,
        )
        if weights is not None:
            self.load_weights(weights)

    @classmethod
    def with_clamp(cls, options: Mapping[str, Any], clamp: float) -> dict[str, object]:
        name = options.get("representation", "paper")
        frames = find_part(RepresentationSpec, name).load()
        if not (isinstance(frames, type) and issubclass(frames, Representation)):
            raise BadOption(f"the representation {name!r} takes no clamp")
        try:
            clamped = frames.with_clamp(options.get("options") or {}, clamp)
        except BadOption as error:
            raise BadOption(f"the representation {name!r} takes no clamp") from error
        return {**options, "options": clamped}

    def preprocess(self, sample: EventStream) -> torch.Tensor:
        """A recording to what the image tower's module takes."""
        frame = self.frame(sample)
        if frame.shape[0] not in (1, 3):
            raise BadOption(f"an image tower reads 1 or 3 channels, but the representation gives {frame.shape[0]}")
        if self.direct:
            side = self.size or self.image.preprocess(np.zeros((8, 8, 3), np.uint8)).shape[-1]
            return _scaled(torch.from_numpy(frame), side).expand(3, -1, -1)
        prepared = self.image.preprocess(as_picture(frame))
        return _scaled(prepared, self.size) if self.size else prepared

    def collate(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        return self.image.collate(inputs)

    def features(self, batch: torch.Tensor) -> torch.Tensor:
        return self.image.features(batch)

    def copy(self) -> Self:
        twin = copy.copy(self)
        twin.image = self.image.copy()
        return twin

    @property
    def module(self) -> torch.nn.Module:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The copy's module; one put in its place, such as a wrapped one, is what embeds from then on."""
        return self.image.module

    @module.setter
    def module(self, module: torch.nn.Module) -> None:
        self.image.module = module


def _scaled(channels: torch.Tensor, side: int) -> torch.Tensor:
    size = (side, side)
    return functional.interpolate(channels[None], size, mode="bilinear", antialias=True, align_corners=False)[0]


def as_picture(frame: np.ndarray) -> np.ndarray:
    """A frame, (1 or 3, height, width) in [0, 1], as an `image` sample: uint8 (height, width, 3)."""
    levels = np.rint(255 * np.clip(frame, 0.0, 1.0)).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(levels, (3, *levels.shape[1:])).transpose(1, 2, 0))
