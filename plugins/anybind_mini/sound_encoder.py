"""The sound tower of `mini`: the first half of EfficientNet-Lite0 on mel spectrograms, in the space of words."""

from __future__ import annotations

import numpy as np
import timm
import torch
from torch import nn

from anybind.plugin import TorchEncoder, create_part, modalities, samples
from anybind_mini.image_encoder import convert_weights
from anybind_mini.packages import make_text_space
from anybind_mini.text_encoder import LOGIT_SCALE

RATE, SECONDS, MELS = 16_000, 5.0, 64
MEAN, STD = -6.0, 5.0
"""About what the logarithms of mel energies of everyday sounds have."""
STAGES = 5
"""How many of the network's seven stages there are: behind them a spectrogram has no rows left to tell apart."""
WIDTH = 112
"""Channels behind the last of them."""


class SpectrogramNet(nn.Module):
    """(n, 1, mels, frames) to (n, d): stages of EfficientNet-Lite0, mean and maximum over time, a linear layer."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        whole = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
        whole.load_state_dict(convert_weights(whole))
        stem: nn.Conv2d = whole.conv_stem  # pyright: ignore[reportAssignmentType]
        self.conv_stem, self.bn1, self.blocks = stem, whole.bn1, whole.blocks[:STAGES]  # pyright: ignore[reportIndexIssue]
        stem.weight = nn.Parameter(stem.weight.sum(1, keepdim=True))  # a gray picture has three equal channels
        stem.in_channels = 1
        self.head = nn.Linear(2 * WIDTH, dim)
        nn.init.xavier_uniform_(self.head.weight, generator=torch.Generator().manual_seed(0))
        nn.init.zeros_(self.head.bias)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Features, not of norm 1."""
        over_time = self.blocks(self.bn1(self.conv_stem(batch))).mean(2)  # pyright: ignore[reportCallIssue]
        return self.head(torch.cat([over_time.mean(2), over_time.amax(2)], 1))


class MiniSoundEncoder(TorchEncoder):
    """Sounds, as one channel of 16 kHz: the loudest five seconds of longer ones; shorter ones lie amid silence.

    Sounds of any length have a vector, also silence, which means nothing.
    """

    def __init__(self, *, weights: str | None = None) -> None:
        """Make the tower.

        Args:
            weights: a file that `save_weights` of such a tower wrote; without it the head is untrained.

        Raises:
            BadInput, WeightsMismatch: the weights cannot be read, or are of another model or preprocessing.
        """
        self.fbank = create_part("representation", "kaldi-fbank", mels=MELS, rate=RATE)
        space = make_text_space()
        shown: dict[str, object] = {"seconds": SECONDS, "long": "loudest part", "mean": MEAN, "spread": STD}
        shown["fbank"] = dict(self.fbank.settings)
        super().__init__(
            SpectrogramNet(space.dim), modality="sound", space=space, preprocessing=shown, logit_scale=LOGIT_SCALE
        )
        if weights is not None:
            self.load_weights(weights)

    def preprocess(self, sample: samples.AudioSample) -> torch.Tensor:
        """A sound, with `mono`, `resample` and `samples` as those of `sound` have, to (1, mels, frames) float32."""
        sound = sample.mono().resample(RATE)
        part = modalities.make_sample("sound", select_loudest_window(sound.samples[0], int(SECONDS * RATE)), RATE)
        return (torch.from_numpy(self.fbank(part)) - MEAN) / STD


def select_loudest_window(samples: np.ndarray, length: int) -> np.ndarray:
    """The part of so many samples that has the most energy, float32 (length,); what is missing is silence around."""
    missing = length - len(samples)
    if missing >= 0:
        return np.pad(samples, (missing // 2, missing - missing // 2))
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    start = int(np.argmax(energy[length:] - energy[:-length]))
    return samples[start : start + length]
