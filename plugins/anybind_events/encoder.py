"""The event encoder: a copy of an image encoder on event frames, in the same embedding space."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch.nn import functional

from anybind.plugin import BadOption, Encoder, Representation, RepresentationSpec, TorchEncoder, create_part, find_part
from anybind_events.stream import EventStream


class EventEncoder(TorchEncoder):
    """A trainable copy of an image encoder (the paper's f_E), with its own weights, in the same space.

    A recording becomes a frame, the frame a gray image, and the image passes through the image encoder's preprocessing:
    resizing, cropping and normalisation.
    """

    def __init__(
        self,
        image_encoder: Encoder,
        *,
        representation: str = "paper",
        options: Mapping[str, object] | None = None,
        size: int = 0,
        direct: bool = False,
        weights: str | None = None,
    ) -> None:
        """Copy an image encoder.

        Args:
            image_encoder: the image encoder to copy; in a binding file `image_encoder = "@image"`.
            representation: name of a registered representation of events.
            options: options of the representation.
            size: side in pixels that the image encoder's input is resized to, 0 for no resizing: frames of small
                sensors contain no more detail, and a convolutional encoder is several times faster on a smaller input.
            direct: feed the frame itself, resized to the image encoder's input size, to the module: no rounding to
                8 bits, no crop, no mean and standard deviation (as the code of the paper's authors).
            weights: a file written by `save_weights` of such an encoder; without it the copy is untrained.

        Raises:
            BadOption: `image_encoder` is not an image encoder on torch, the options are not a table, or the size is
                negative.
            WeightsMismatch: the weights belong to another model, space or preprocessing.
        """
        if not isinstance(image_encoder, TorchEncoder) or image_encoder.modality != "image":
            raise BadOption('expected an image encoder on torch to copy: give image_encoder = "@image"')
        if options is not None and not isinstance(options, Mapping):
            raise BadOption(f"options: expected a table of representation options, got {options!r}")
        if size < 0:
            raise BadOption(f"size: expected 0 or more, got {size}")
        self.size, self.direct = size, direct
        self.image = image_encoder.copy()
        self.frame: Representation = create_part("representation", representation, **(options or {}))
        super().__init__(
            self.image.module,
            modality="event",
            space=image_encoder.space,
            preprocessing={
                "frame": dict(self.frame.settings),
                "picture": dict(image_encoder.preprocessing),  # hashed into identities: the key stays
                **({"size": size} if size else {}),
                **({"direct": True} if direct else {}),
            },
            logit_scale=image_encoder.logit_scale,
        )
        if weights is not None:
            self.load_weights(weights)

    @classmethod
    def with_clamp(cls, options: Mapping[str, Any], clamp: float) -> dict[str, object]:
        name = options.get("representation", "paper")
        representation = find_part(RepresentationSpec, name).load()
        if not (isinstance(representation, type) and issubclass(representation, Representation)):
            raise BadOption(f"the representation {name!r} takes no clamp")
        try:
            clamped = representation.with_clamp(options.get("options") or {}, clamp)
        except BadOption as error:
            raise BadOption(f"the representation {name!r} takes no clamp") from error
        return {**options, "options": clamped}

    def preprocess(self, sample: EventStream) -> torch.Tensor:
        """Convert a recording to an input of the image encoder's module."""
        frame = self.frame(sample)
        if frame.shape[0] not in (1, 3):
            raise BadOption(f"expected a representation of 1 or 3 channels for an image encoder, got {frame.shape[0]}")
        if self.direct:
            side = self.size or self.image.preprocess(np.zeros((8, 8, 3), np.uint8)).shape[-1]
            return _resize(torch.from_numpy(frame), side).expand(3, -1, -1)
        inputs = self.image.preprocess(frame_to_image(frame))
        return _resize(inputs, self.size) if self.size else inputs

    def collate(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        return self.image.collate(inputs)

    def features(self, batch: torch.Tensor) -> torch.Tensor:
        return self.image.features(batch)

    def copy(self) -> Self:
        duplicate = copy.copy(self)
        duplicate.image = self.image.copy()
        return duplicate

    @property
    def module(self) -> torch.nn.Module:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The copied module; a replacement, such as a wrapped module, embeds from then on."""
        return self.image.module

    @module.setter
    def module(self, module: torch.nn.Module) -> None:
        self.image.module = module


def _resize(channels: torch.Tensor, side: int) -> torch.Tensor:
    size = (side, side)
    return functional.interpolate(channels[None], size, mode="bilinear", antialias=True, align_corners=False)[0]


def frame_to_image(frame: np.ndarray) -> np.ndarray:
    """Convert a frame, (1 or 3, height, width) in [0, 1], to an `image` sample: uint8 (height, width, 3)."""
    levels = np.rint(255 * np.clip(frame, 0.0, 1.0)).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(levels, (3, *levels.shape[1:])).transpose(1, 2, 0))
