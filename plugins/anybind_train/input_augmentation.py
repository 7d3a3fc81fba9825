"""Random augmentation of a student's prepared inputs: a resized crop and a mirror image of the finished frame."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from anybind.plugin import BadOption, tables

MAX_STRETCH = 4 / 3
"""Largest factor between the aspect ratios of the window and of the input."""


@dataclass(frozen=True)
class InputAugmentation:
    """Augmentations of prepared image inputs, tensors (c, h, w), as the last step before the encoder's weights.

    Attributes:
        crop: smallest and largest area fraction of a random window, which is resized to the input's size with nearest
            neighbours; its aspect ratio is the input's times a factor from 3/4..4/3 on a logarithmic scale.
            [default: no crop]
        flip: mirror left and right with probability 1/2.

    Raises:
        BadOption: a fraction outside of 0 to 1, or not two of them.
    """

    crop: tuple[float, ...] = ()
    flip: bool = False

    def __post_init__(self) -> None:
        if self.crop and not (len(self.crop) == 2 and 0 < self.crop[0] <= self.crop[1] <= 1):
            raise BadOption(f"augment_input.crop: expected two fractions above 0 and up to 1, got {list(self.crop)}")

    @classmethod
    def from_table(cls, table: Mapping[str, object]) -> InputAugmentation:
        """Parse the table `augment_input` of a recipe."""
        return tables.parse_table(cls, dict(table), "augment_input")

    def __call__(self, inputs: torch.Tensor, seed: int | Sequence[int]) -> torch.Tensor:
        """Augment one input (c, h, w); the same seed gives the same result.

        Raises:
            BadOption: the input has another shape.
        """
        if inputs.ndim != 3:
            raise BadOption(f"augment_input: expected image inputs (c, h, w), got shape {tuple(inputs.shape)}")
        rng = np.random.default_rng(seed)
        if self.crop:
            inputs = self._crop(inputs, rng)
        return inputs.flip(-1) if self.flip and rng.random() < 0.5 else inputs

    def _crop(self, inputs: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        height, width = inputs.shape[1:]
        area = rng.uniform(self.crop[0], self.crop[1])
        factor = math.exp(rng.uniform(-math.log(MAX_STRETCH), math.log(MAX_STRETCH)))
        rows = _draw_window(height, math.sqrt(area / factor), rng)
        columns = _draw_window(width, math.sqrt(area * factor), rng)
        return inputs[:, rows][:, :, columns]


def _draw_window(size: int, fraction: float, rng: np.random.Generator) -> torch.Tensor:
    """Draw a window of a fraction of `size` pixels; return the source index of each of `size` resized pixels."""
    length = min(size, max(1, round(size * fraction)))
    first = int(rng.integers(0, size - length, endpoint=True))
    return first + torch.arange(size) * length // size
