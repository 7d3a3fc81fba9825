"""The representation `mini-picture`: the gray picture that a small network makes of an event recording."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from anybind.plugin import Representation, create_part, samples, tensors
from anybind_mini.reconstruction_net import N_SLICES, ReconstructionNet

FILE = Path(__file__).with_name("event_image.safetensors")
SHORT_SIDE = 180
"""Rows of a recording while the network reads it: those of N-Caltech101's sensor, on whose scale it learned."""
MAX_ASPECT_RATIO = 8
"""Most times that the longer side is as long as the short one; what is longer is squeezed."""


class EventImage(Representation):
    """The gray picture behind a recording, (1, height, width) in [0, 1], the shorter side 180 pixels.

    A network of 0.33 M parameters reads the recording's signed slices (six parts of equal duration, rises less falls,
    clipped at their 95th percentile). It learned from simulated saccades over pictures, so it makes most of recordings
    in which the camera moves for some 300 ms. Its card is `event_image.md`.
    """

    def __init__(self) -> None:
        self.slices: Representation = create_part("representation", "signed-slices", parts=N_SLICES)
        self.net = ReconstructionNet()
        self.card, weights = tensors.read_tensors(FILE, framework="torch")
        self.net.load_state_dict(weights)
        self.net.float().eval().requires_grad_(False)
        self._weights_hash = tensors.hash_state(self.net.state_dict())

    @property
    def settings(self) -> Mapping[str, object]:
        slices = dict(self.slices.settings)
        return {"representation": "mini-picture", "slices": slices, "short_side": SHORT_SIDE, "weights": self._weights_hash}

    def __call__(self, sample: samples.EventSample) -> np.ndarray:
        """The picture of a recording, float32."""
        with torch.inference_mode():
            return self.net(prepare_slices(self.slices(sample))[None])[0].numpy()


def prepare_slices(slices: np.ndarray) -> torch.Tensor:
    """Signed slices, (6, height, width) in [0, 1], as the network takes them: in [-1, 1], the shorter side 180."""
    height, width = slices.shape[1:]
    scale = SHORT_SIDE / min(height, width)
    size = [min(round(side * scale), MAX_ASPECT_RATIO * SHORT_SIDE) for side in (height, width)]
    signed = torch.from_numpy(2 * slices - 1)[None]
    return functional.interpolate(signed, size=size, mode="bilinear", antialias=True, align_corners=False)[0]
