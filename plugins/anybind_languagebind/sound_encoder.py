"""LanguageBind's sound encoder: log mel spectrograms of three windows, as the three channels of an image."""

from __future__ import annotations

import numpy as np
import torch

from anybind.plugin import BadInput, TorchEncoder, create_part, modalities, samples
from anybind_languagebind.checkpoint import VISION, load_checkpoint
from anybind_languagebind.vision_tower import build_vision_tower

RATE, MELS, FRAMES = 16000, 112, 1036
MEAN, STD = -4.2677393, 4.5689974
"""Defaults of the published checkpoints; values in `config.json` take precedence."""
WINDOW_S = 0.025
"""Length of the spectrogram's analysis window, in seconds."""


class LanguageBindSoundEncoder(TorchEncoder):
    """A sound encoder over three windows of a log mel spectrogram, `(x - mean) / (2 std)`.

    Input is the first channel at 16 kHz, minus the mean of all channels. The windows have `target_length` frames of
    10 ms (1036: 10.4 s), at the start, middle and end; upstream draws them at random from the first, second and last
    third of the possible positions. A shorter recording is repeated to fill a window, and all three are equal. Below
    25 ms, silence is appended first.

    Upstream resamples by torchaudio, this encoder by the sample's own method (soxr): inputs at 16 kHz are equal.
    """

    def __init__(self, model: str = "LanguageBind/LanguageBind_Audio_FT", revision: str | None = None) -> None:
        """Load the encoder.

        Args:
            model: `ORG/REPO` of the hub, or `local-dir:PATH` of a folder with `config.json` and the weights.
            revision: revision of the repository.

        Raises:
            BadInput, BadOption, WeightsMismatch: see `load_checkpoint` and `build_vision_tower`.
        """
        checkpoint = load_checkpoint(model, VISION, revision)
        section = checkpoint.read_section("vision_config")
        self.rate = section.read_count("audio_sample_rate", RATE)
        self.mels, self.frames = section.read_count("num_mel_bins", MELS), section.read_count("target_length", FRAMES)
        self.mean = section.read_number("audio_mean", MEAN)
        self.std = section.read_number("audio_std", STD, positive=True)
        self.min_samples = round(WINDOW_S * self.rate)
        patch = section.read_count("patch_size")
        if min(self.mels, self.frames) < patch:
            raise BadInput(
                f"{section.path}: expected a spectrogram of at least {patch} x {patch} (patch_size), got"
                f" {self.mels} x {self.frames} (num_mel_bins, target_length)"
            )
        self.filter_bank = create_part("representation", "kaldi-fbank", mels=self.mels, rate=self.rate)
        super().__init__(
            build_vision_tower(checkpoint, (self.mels, self.frames)),
            modality="sound",
            space=checkpoint.space,
            preprocessing={
                "fbank": dict(self.filter_bank.settings),
                "target_length": self.frames,
                "mean": self.mean,
                "std": self.std,
                "channel": 0,
            },
            logit_scale=checkpoint.logit_scale,
        )

    def preprocess(self, sample: samples.AudioSample) -> torch.Tensor:
        """Map an audio clip to (3, mels, frames) float32."""
        resampled = sample.resample(self.rate)
        waveform = torch.from_numpy(np.ascontiguousarray(resampled.samples))
        # Subtracted as upstream, although each frame's own mean is subtracted later: the rounding error remains
        # visible in bands of little energy (1e-4 of the input).
        waveform = (waveform - waveform.mean())[:1]
        waveform = torch.nn.functional.pad(waveform, (0, max(0, self.min_samples - waveform.shape[1])))
        padded = modalities.make_sample("sound", waveform.numpy(), resampled.rate)
        energies = cut_three_windows(self.filter_bank(padded)[0], self.frames)
        return torch.from_numpy((energies - np.float32(self.mean)) / np.float32(2 * self.std))


def cut_three_windows(energies: np.ndarray, frames: int) -> np.ndarray:
    """Cut start, middle and end of (mels, n) energies, (3, mels, frames); fewer than `frames` are repeated first."""
    length = energies.shape[1]
    if length < frames:
        energies = np.tile(energies, (1, -(-frames // length)))[:, :frames]
    return np.stack([energies[:, start : start + frames] for start in find_window_starts(max(0, length - frames) + 1)])


def find_window_starts(n_positions: int) -> tuple[int, int, int]:
    """Return the start of each window: the first position, the middle of the second third, and the last position.

    Thirds are those of `numpy.array_split`; an empty third (fewer than three positions) gives 0, as upstream.
    """
    first, second, last = np.array_split(np.arange(n_positions), 3)
    return int(first[0]), int(second[len(second) // 2]) if len(second) else 0, int(last[-1]) if len(last) else 0
