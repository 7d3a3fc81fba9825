"""EST with its learned kernel (Gehrig et al., 2019), before a copy of an image encoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from anybind.plugin import BadOption, Encoder, TorchEncoder, samples
from anybind_baselines.views import PartTable, create_image_encoder

UNITS = 30
SLOPE = 0.1
"""Units of each of the two hidden layers of the kernel, and the slope of its leaky ReLU below 0."""
Batch = tuple[torch.Tensor, torch.Tensor, int]
"""Of all events of a batch: recording, polarity, row and column (events, 4) int64, and times (events,); recordings."""


class LearnedKernel(nn.Module):
    """The kernel k(t): a perceptron from a time difference to a weight, which starts as the trilinear kernel.

    Two hidden layers of 30 units: 1,021 parameters. The start is exact: max(0, 1 - |t| / step) is a sum of three ReLUs,
    each a sum of two leaky ones.
    """

    def __init__(self, step: float) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(1, UNITS), nn.Linear(UNITS, UNITS), nn.Linear(UNITS, 1)
        with torch.no_grad():
            for number, (corner, height) in enumerate(((-step, 1.0), (0.0, -2.0), (step, 1.0))):
                for side, sign in enumerate((1.0, -1.0)):
                    unit = 2 * number + side
                    self.first.weight[unit], self.first.bias[unit] = sign, -sign * corner
                    leak = 1.0 if sign > 0 else SLOPE
                    self.second.weight[0, unit] = leak * height / step / (1 - SLOPE**2)
            self.second.weight[0, 6:] = 0
            self.second.bias[0] = 0
            self.last.weight.zero_()
            self.last.weight[0, 0] = 1
            self.last.bias.zero_()

    def forward(self, times: torch.Tensor) -> torch.Tensor:
        """Map (n,) time differences, -1 to 1, to (n,) weights."""
        hidden = functional.leaky_relu(self.first(times[:, None]), SLOPE)
        return self.last(functional.leaky_relu(self.second(hidden), SLOPE))[:, 0]


class SpikeTensorModule(nn.Module):
    """The event spike tensor with a learned kernel, a convolution of 1 x 1 to three channels, and an image module.

    The sum of the tensor over its channels is at most 1. The convolution starts as that sum, a gray image.
    """

    def __init__(self, image: nn.Module, bins: int, side: int, levels: torch.Tensor) -> None:
        super().__init__()
        self.image, self.bins, self.side = image, bins, side
        self.kernel = LearnedKernel(1 / (bins - 1))
        self.channels = nn.Conv2d(2 * bins, 3, 1)
        nn.init.ones_(self.channels.weight)
        nn.init.zeros_(self.channels.bias)  # pyright: ignore[reportArgumentType]
        self.register_buffer("levels", levels, persistent=False)

    def compute_tensor(self, batch: Batch) -> torch.Tensor:
        """Compute (n, 2 * bins, side, side): OFF bins, then ON bins."""
        places, times, count = batch
        recording, polarity, row, column = places.unbind(1)
        tensor = times.new_zeros(count * 2 * self.bins * self.side**2)
        for number in range(self.bins):
            values = times * self.kernel(times - number / (self.bins - 1))
            plane = (recording * 2 + polarity) * self.bins + number
            tensor = tensor.index_add(0, (plane * self.side + row) * self.side + column, values)
        return tensor.reshape(count, 2 * self.bins, self.side, self.side)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Map a batch to (n, d) features."""
        tensor = self.compute_tensor(batch)
        largest = tensor.detach().sum(1).amax((1, 2)).clamp(min=1e-6)
        gray = self.channels(tensor / largest[:, None, None, None])
        black, white = self.get_buffer("levels")[..., None, None]
        return self.image(black + gray * (white - black))


class SpikeTensorEncoder(TorchEncoder):
    """EST's learned kernel before a trainable copy of an image encoder, in its embedding space.

    The publication trains it with a ResNet-34 for one dataset; here it starts as the trilinear kernel and a gray image.
    Coordinates are scaled to the image encoder's input size, without keeping the aspect.
    """

    def __init__(
        self, image_encoder: Encoder | PartTable, *, bins: int = 9, size: int = 0, weights: str | None = None
    ) -> None:
        """Copy an image encoder.

        Args:
            image_encoder: the image encoder to copy; in a binding file `"@image"`, or a table.
            bins: time bins, 2 or more; 9 in the publication.
            size: side of the tensor in pixels. [default: the image encoder's input size]
            weights: a file written by `save_weights` of such an encoder.

        Raises:
            BadOption: no torch image encoder, or an option out of its range.
            WeightsMismatch: the weights belong to another model, space or preprocessing.
        """
        image = create_image_encoder(image_encoder, plain=True)
        for option, value, least in (("bins", bins, 2), ("size", size, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise BadOption(f"{option}: expected a whole number, {least} or more, got {value!r}")
        # What the image encoder makes of black and of white: its mean and standard deviation by channel.
        black, white = (image.preprocess(np.full((64, 64, 3), level, np.uint8)) for level in (0, 255))
        self.side = size or int(black.shape[-1])
        levels = torch.stack([black.mean((1, 2)), white.mean((1, 2))])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module = SpikeTensorModule(image.copy().module, bins, self.side, levels)
        super().__init__(
            module,
            modality="event",
            space=image.space,
            preprocessing={"est": {"bins": bins, "side": self.side}, "image": dict(image.preprocessing)},
            logit_scale=image.logit_scale,
        )
        if weights is not None:
            self.load_weights(weights)

    def preprocess(self, sample: samples.EventSample) -> torch.Tensor:
        """Convert a recording to (events, 4) float64: polarity, row, column, and time scaled to 0 to 1."""
        scaled = (np.asarray(sample.y, np.int64) * self.side // sample.height,
                  np.asarray(sample.x, np.int64) * self.side // sample.width)  # fmt: skip
        start = int(sample.t[0]) if len(sample) else 0
        time = (np.asarray(sample.t) - start) / max(sample.duration_us, 1)
        return torch.from_numpy(np.stack([np.asarray(sample.p, float), *map(np.float64, scaled), time], axis=1))

    def collate(self, inputs: Sequence[torch.Tensor]) -> Batch:
        events = torch.cat(list(inputs))
        recording = torch.repeat_interleave(torch.arange(len(inputs)), torch.tensor([len(each) for each in inputs]))
        places = torch.cat([recording[:, None], events[:, :3].long()], dim=1)
        return places.to(self.device), events[:, 3].float().to(self.device), len(inputs)

    def features(self, batch: Batch) -> torch.Tensor:
        return self.module(batch)
