"""The event encoder: a copy of an image encoder on event frames, in the same embedding space."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Self

import torch

from anybind.plugin import BadOption, Encoder, TorchEncoder, export
from anybind_events.encoder_input import EventInput, clamp_options
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
        windows: int = 1,
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
            windows: encode up to this many windows of a recording, and take the mean of their vectors; for
                representations that choose windows, such as `count-image`.
            weights: a file written by `save_weights` of such an encoder; without it the copy is untrained.

        Raises:
            BadOption: `image_encoder` is not an image encoder on torch, the options are not a table, the size is
                negative, or there is no window.
            WeightsMismatch: the weights belong to another model, space or preprocessing.
        """
        if not isinstance(image_encoder, TorchEncoder) or image_encoder.modality != "image":
            raise BadOption('expected an image encoder on torch to copy: give image_encoder = "@image"')
        self.image = image_encoder.copy()
        self.input = EventInput(self.image, representation, options, size, direct, windows)
        self.frame, self.direct = self.input.frame, direct
        super().__init__(
            self.image.module,
            modality="event",
            space=image_encoder.space,
            preprocessing=self.input.settings,
            logit_scale=image_encoder.logit_scale,
        )
        if weights is not None:
            self.load_weights(weights)

    @classmethod
    def with_clamp(cls, options: Mapping[str, object], clamp: float) -> dict[str, object]:
        return clamp_options(options, clamp)

    def preprocess(self, sample: EventStream) -> torch.Tensor:
        """Convert a recording to an input of the image encoder's module, or to those of its windows."""
        return torch.from_numpy(self.input.preprocess(sample))

    def collate(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor | dict[str, torch.Tensor]:
        """Collate inputs; with several windows to `inputs` of all and `shares`, (recordings, windows)."""
        if self.input.windows == 1:
            return self.image.collate(inputs)
        shares = torch.from_numpy(export.compute_shares(list(map(len, inputs))))
        return {"inputs": self.image.collate(list(torch.cat(list(inputs)))), "shares": shares.to(self.device)}

    def features(self, batch: torch.Tensor | dict[str, torch.Tensor]) -> torch.Tensor:
        if isinstance(batch, torch.Tensor):
            return self.image.features(batch)
        return average_vectors(self.image.features(batch["inputs"]), batch["shares"])

    def plan_export(self) -> export.ExportPlan:
        plan = self.image.plan_export().nest("event-encoder", "image", **self.input.options)
        if self.input.windows == 1:
            return plan
        (name,) = plan.axes
        axes = {name: {**plan.axes[name], 0: "windows"}, "shares": {0: "n", 1: "windows"}}
        return replace(plan, module=WindowedNet(plan.module), axes=axes)

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


class WindowedNet(torch.nn.Module):
    """The network for a batch of recordings of several windows, as one graph."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, inputs: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        """Embed the windows of all recordings, (windows, ...), by their shares in these, (recordings, windows)."""
        return average_vectors(self.module(inputs), shares)


def average_vectors(vectors: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Compute the mean of normalised vectors, (windows, d), by their shares in recordings, (recordings, windows)."""
    return shares.to(vectors.dtype) @ torch.nn.functional.normalize(vectors, dim=1)
