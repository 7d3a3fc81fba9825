"""The tower of sounds: log mel energies of three parts of a clip, seen as the three channels of a picture."""

from __future__ import annotations

import numpy as np
import torch

from anybind.plugin import BadInput, TorchEncoder, create_part, modalities, samples
from anybind_languagebind.checkpoint import VISION, load_checkpoint
from anybind_languagebind.vision_tower import build_vision_tower

RATE, MELS, FRAMES = 16000, 112, 1036
MEAN, STD = -4.2677393, 4.5689974
"""Of the published checkpoints; what `config.json` says comes first."""
WINDOW_S = 0.025
"""Length of the windows whose energies are taken."""


class LanguageBindSoundEncoder(TorchEncoder):
    """Sounds at 16 kHz: the first channel, less the mean of all; log mel energies, `(x - mean) / (2 std)`; three parts.

    The parts are of `target_length` frames of 10 ms (1036: 10.4 s): the beginning, the middle and the end, which
    upstream draws at random from the first, second and last third of the places there are. A shorter sound is
    repeated until it fills a part, and all three are that one. Below 25 ms, silence is appended first.

    Upstream resamples by torchaudio, we by what the samples of sounds bring (soxr): at 16 kHz inputs are the same.
    """

    def __init__(self, model: str = "LanguageBind/LanguageBind_Audio_FT", revision: str | None = None) -> None:
        """Read the tower.

        Args:
            model: `ORG/REPO` of the hub, or `local-dir:PATH` of a folder with `config.json` and the weights.
            revision: of the repository.

        Raises:
            BadInput, BadOption, WeightsMismatch: as `open_checkpoint` and `vision_features`.
        """
        checkpoint = load_checkpoint(model, VISION, revision)
        section = checkpoint.read_section("vision_config")
        self.rate = section.read_count("audio_sample_rate", RATE)
        self.mels, self.frames = section.read_count("num_mel_bins", MELS), section.read_count("target_length", FRAMES)
        self.mean = section.read_number("audio_mean", MEAN)
        self.std = section.read_number("audio_std", STD, positive=True)
        self.shortest = round(WINDOW_S * self.rate)
        patch = section.read_count("patch_size")
        if min(self.mels, self.frames) < patch:
            raise BadInput(f"{section.path}: {self.mels} x {self.frames} energies hold no patch of {patch} x {patch}")
        self.energies = create_part("representation", "kaldi-fbank", mels=self.mels, rate=self.rate)
        super().__init__(
            build_vision_tower(checkpoint, (self.mels, self.frames)),
            modality="sound",
            space=checkpoint.space,
            preprocessing={
                "fbank": dict(self.energies.settings),
                "target_length": self.frames,
                "mean": self.mean,
                "std": self.std,
                "channel": 0,
            },
            logit_scale=checkpoint.logit_scale,
        )

    def preprocess(self, sample: samples.AudioSample) -> torch.Tensor:
        """A sound to (3, mels, frames) float32."""
        resampled = sample.resample(self.rate)
        waveform = torch.from_numpy(np.ascontiguousarray(resampled.samples))
        # The mean as upstream rounds it: each frame loses its own again, but the last bit of this one stays, and is
        # heard in bands that hold next to nothing (1e-4 of the input).
        waveform = (waveform - waveform.mean())[:1]
        waveform = torch.nn.functional.pad(waveform, (0, max(0, self.shortest - waveform.shape[1])))
        padded = modalities.make_sample("sound", waveform.numpy(), resampled.rate)
        energies = cut_three_windows(self.energies(padded)[0], self.frames)
        return torch.from_numpy((energies - np.float32(self.mean)) / np.float32(2 * self.std))


def cut_three_windows(energies: np.ndarray, frames: int) -> np.ndarray:
    """Beginning, middle and end of (mels, n) energies, (3, mels, frames); fewer than `frames` are repeated first."""
    length = energies.shape[1]
    if length < frames:
        energies = np.tile(energies, (1, -(-frames // length)))[:, :frames]
    return np.stack([energies[:, start : start + frames] for start in find_window_starts(max(0, length - frames) + 1)])


def find_window_starts(n_positions: int) -> tuple[int, int, int]:
    """Where the parts begin among so many places: the first, the middle of the second third, the last.

    Thirds are those of `numpy.array_split`; where there are fewer than three places, 0 stands for an empty third, as
    it does upstream.
    """
    first, second, last = np.array_split(np.arange(n_positions), 3)
    return int(first[0]), int(second[len(second) // 2]) if len(second) else 0, int(last[-1]) if len(last) else 0
