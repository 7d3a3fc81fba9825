"""The depth tower of `mini`, a baseline: nearness as a gray picture, seen by the image tower as it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from anybind.plugin import BadInput, BadOption, Encoder, TorchEncoder, samples

PERCENTILES = 2.0, 98.0
"""Of nearness, what becomes black and white: single pixels of a sensor's noise must not take up the range."""


class DepthAsImage(TorchEncoder):
    """Depth maps by an image tower: disparity, scaled to the range that a map has, in three equal channels.

    The distances themselves are lost, and with them the sensor's focal length and baseline: only what is nearer than
    what is left. Where the depth is not known, the picture is black, as if it were far.
    """

    def __init__(self, of: Encoder) -> None:
        """Use an image tower.

        Args:
            of: the image tower, whose weights it shares; in a binding file `of = "@image"`.

        Raises:
            BadOption: `of` is no image encoder on torch.
        """
        if not isinstance(of, TorchEncoder) or of.modality != "image":
            raise BadOption('depth is shown to an image tower: give of = "@image"')
        self.image = of
        super().__init__(
            of.module,
            modality="depth",
            space=of.space,
            preprocessing={"disparity": list(PERCENTILES), "unknown": "black", "picture": dict(of.preprocessing)},
            logit_scale=of.logit_scale,
        )

    def preprocess(self, sample: samples.DepthSample) -> object:
        """A depth map, whose `metres` are (height, width), to what the image tower's module takes."""
        return self.image.preprocess(render_disparity(sample.metres))

    def collate(self, inputs: Sequence[object]) -> object:
        return self.image.collate(inputs)

    def features(self, batch: object) -> torch.Tensor:
        return self.image.features(batch)


def render_disparity(metres: np.ndarray) -> np.ndarray:
    """Depth in metres, (height, width), NaN where not known, to a picture, (height, width, 3) uint8: near is bright.

    Raises:
        BadInput: no depth is known and above 0.
    """
    known = np.isfinite(metres) & (metres > 0)
    if not known.any():
        raise BadInput("the depth map holds no depth that is known")
    near = np.zeros(metres.shape, np.float64)
    near[known] = 1 / metres[known].astype(np.float64)
    low, high = np.percentile(near[known], PERCENTILES)
    levels = np.clip((near - low) / max(high - low, 1e-12), 0, 1) if high > low else known * 0.5
    return np.repeat(np.rint(255 * levels * known).astype(np.uint8)[..., None], 3, 2)
