"""The depth encoder of `mini`, a baseline: disparity as a gray image, embedded by an image encoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from anybind.plugin import BadInput, BadOption, Encoder, TorchEncoder, samples

PERCENTILES = 2.0, 98.0
"""Percentiles of disparity that become black and white: noise in single pixels must not determine the range."""


class DepthAsImage(TorchEncoder):
    """A depth encoder: disparity, scaled to the range of the map, in three equal channels of an image encoder.

    Absolute distances, and with them the sensor's focal length and baseline, have no effect; only relative depth has.
    Pixels without depth are black, like far ones.
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
            # These keys are part of the identity, hence unchanged.
            preprocessing={"disparity": list(PERCENTILES), "unknown": "black", "picture": dict(of.preprocessing)},
            logit_scale=of.logit_scale,
        )

    def preprocess(self, sample: samples.DepthSample) -> object:
        """Preprocess a depth map, `metres` (height, width), for the image encoder's module."""
        return self.image.preprocess(render_disparity(sample.metres))

    def collate(self, inputs: Sequence[object]) -> object:
        return self.image.collate(inputs)

    def features(self, batch: object) -> torch.Tensor:
        return self.image.features(batch)


def render_disparity(metres: np.ndarray) -> np.ndarray:
    """Render depth in metres, (height, width), NaN where invalid, to (height, width, 3) uint8: near is bright.

    Raises:
        BadInput: no depth is finite and above 0.
    """
    valid = np.isfinite(metres) & (metres > 0)
    if not valid.any():
        raise BadInput("depth map: expected at least one finite depth above 0, got none")
    disparity = np.zeros(metres.shape, np.float64)
    disparity[valid] = 1 / metres[valid].astype(np.float64)
    low, high = np.percentile(disparity[valid], PERCENTILES)
    levels = np.clip((disparity - low) / max(high - low, 1e-12), 0, 1) if high > low else valid * 0.5
    return np.repeat(np.rint(255 * levels * valid).astype(np.uint8)[..., None], 3, 2)
