"""The event representation of `mini`: a gray image reconstructed from events by a small network."""

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
"""Short side of the network's input in pixels: that of N-Caltech101's sensor, the scale of its training data."""
MAX_ASPECT_RATIO = 8
"""Largest ratio of long to short side; longer inputs are squeezed."""


class EventImage(Representation):
    """A gray image reconstructed from an event recording, (1, height, width) in [0, 1], the short side 180 pixels.

    The input of the network (0.33 M parameters) is signed slices: six slices of equal duration, each ON minus
    OFF events, clipped at their 95th percentile. It was trained on simulated saccades over images, so it is best for
    recordings in which the camera moves for about 300 ms. Its card is `event_image.md`.
    """

    def __init__(self) -> None:
        self.slices: Representation = create_part("representation", "signed-slices", parts=N_SLICES)
        self.net = ReconstructionNet()
        self.card, weights = tensors.read_tensors(FILE, framework="torch")
        self.net.load_state_dict(weights)
        self.net.float().eval().requires_grad_(False)
        self._hash = tensors.hash_state(self.net.state_dict())

    @property
    def settings(self) -> Mapping[str, object]:
        slices = dict(self.slices.settings)
        return {
            "representation": "mini-picture",
            "slices": slices,
            "short_side": SHORT_SIDE,
            "weights": self._hash,
        }

    def __call__(self, sample: samples.EventSample) -> np.ndarray:
        """Reconstruct the image of a recording, float32."""
        with torch.inference_mode():
            return self.net(prepare_slices(self.slices(sample))[None])[0].numpy()


def prepare_slices(slices: np.ndarray) -> torch.Tensor:
    """Prepare signed slices, (6, height, width) in [0, 1], for the network: in [-1, 1], the short side 180 pixels."""
    height, width = slices.shape[1:]
    scale = SHORT_SIDE / min(height, width)
    size = [min(round(side * scale), MAX_ASPECT_RATIO * SHORT_SIDE) for side in (height, width)]
    signed = torch.from_numpy(2 * slices - 1)[None]
    return functional.interpolate(signed, size=size, mode="bilinear", antialias=True, align_corners=False)[0]
