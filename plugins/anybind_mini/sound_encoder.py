"""The audio encoder of `mini`: the first stages of EfficientNet-Lite0 on mel spectrograms, in the text space."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import timm
import torch
from torch import nn

from anybind.plugin import TorchEncoder, create_part, modalities, samples
from anybind_mini.image_encoder import convert_weights
from anybind_mini.packages import LOGIT_SCALE, make_text_space

RATE, SECONDS, MELS = 16_000, 5.0, 64
MEAN, STD = -6.0, 5.0
"""About the mean and standard deviation of log mel energies of everyday sounds."""
BLOCK_SAMPLES = 1 << 20
STAGES = 5
"""Number of stages, of seven: after them a spectrogram has too few rows left."""
WIDTH = 112
"""Output channels of the last stage."""


class SpectrogramNet(nn.Module):
    """A network from (n, 1, mels, frames) to (n, d): EfficientNet-Lite0, mean and max over time, linear head."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        model = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
        model.load_state_dict(convert_weights(model))
        stem: nn.Conv2d = model.conv_stem  # pyright: ignore[reportAssignmentType]
        self.conv_stem, self.bn1, self.blocks = stem, model.bn1, model.blocks[:STAGES]  # pyright: ignore[reportIndexIssue]
        stem.weight = nn.Parameter(stem.weight.sum(1, keepdim=True))  # a gray image has three equal channels
        stem.in_channels = 1
        self.head = nn.Linear(2 * WIDTH, dim)
        nn.init.xavier_uniform_(self.head.weight, generator=torch.Generator().manual_seed(0))
        nn.init.zeros_(self.head.bias)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Compute features, not normalised."""
        over_time = self.blocks(self.bn1(self.conv_stem(batch))).mean(2)  # pyright: ignore[reportCallIssue]
        return self.head(torch.cat([over_time.mean(2), over_time.amax(2)], 1))


class MiniSoundEncoder(TorchEncoder):
    """An audio encoder for mono clips at 16 kHz: the loudest five seconds of longer clips; shorter ones are padded.

    Clips of any length have an embedding, silence too, although a meaningless one.
    """

    def __init__(self, *, weights: str | None = None) -> None:
        """Load the encoder.

        Args:
            weights: a file of `save_weights`; without it the head is untrained.

        Raises:
            BadInput, WeightsMismatch: the weights cannot be read, or are of another model or preprocessing.
        """
        self.fbank = create_part("representation", "kaldi-fbank", mels=MELS, rate=RATE)
        space = make_text_space()
        settings = {"seconds": SECONDS, "long": "loudest part", "mean": MEAN, "spread": STD}
        settings["fbank"] = dict(self.fbank.settings)
        super().__init__(
            SpectrogramNet(space.dim),
            modality="sound",
            space=space,
            preprocessing=settings,
            logit_scale=LOGIT_SCALE,
        )
        self.reader_options = {"in_parts": True}
        if weights is not None:
            self.load_weights(weights)

    def preprocess(self, sample: samples.AudioSample) -> torch.Tensor:
        """Preprocess an audio clip to (1, mels, frames) float32."""
        clip = sample.mono().resample(RATE)
        blocks = (block.samples[0] for block in clip.blocks(BLOCK_SAMPLES))
        window = modalities.make_sample("sound", select_loudest_window(blocks, int(SECONDS * RATE)), RATE)
        return (torch.from_numpy(self.fbank(window)) - MEAN) / STD


def select_loudest_window(blocks: Iterable[np.ndarray], length: int) -> np.ndarray:
    """Select the window of `length` samples with the most energy, float32, the first of equal ones, from blocks.

    Shorter input is padded on both sides. Memory does not grow with the input.
    """
    recent, energies, most = np.empty(0, np.float32), np.zeros(1), -np.inf
    loudest: np.ndarray | None = None
    for block in blocks:
        recent = np.concatenate([recent, block])
        # Sums from the beginning of the input, whatever the blocks.
        sums = np.cumsum(np.append(energies[-1], np.square(block, dtype=np.float64)))
        energies = np.append(energies, sums[1:])
        if len(recent) >= length:
            windows = energies[length:] - energies[:-length]
            start = int(np.argmax(windows))
            if windows[start] > most:
                most, loudest = windows[start], recent[start : start + length].copy()
            first = len(recent) - length + 1  # the first window that is not complete
            recent, energies = recent[first:], energies[first:]
    if loudest is not None:
        return loudest
    missing = length - len(recent)
    return np.pad(recent, (missing // 2, missing - missing // 2))
