"""LanguageBind's sound encoder: log mel spectrograms of three windows, as the three channels of an image."""

from __future__ import annotations

import torch

from anybind.plugin import BadInput, TorchEncoder, export, samples
from anybind_languagebind.checkpoint import VISION, load_checkpoint
from anybind_languagebind.inputs import LanguageBindSoundInput
from anybind_languagebind.vision_tower import build_vision_tower

RATE, MELS, FRAMES = 16000, 112, 1036
MEAN, STD = -4.2677393, 4.5689974
"""Defaults of the published checkpoints; values in `config.json` take precedence."""


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
        rate = section.read_count("audio_sample_rate", RATE)
        mels, frames = section.read_count("num_mel_bins", MELS), section.read_count("target_length", FRAMES)
        mean, std = section.read_number("audio_mean", MEAN), section.read_number("audio_std", STD, positive=True)
        patch = section.read_count("patch_size")
        if min(mels, frames) < patch:
            raise BadInput(
                f"{section.path}: expected a spectrogram of at least {patch} x {patch} (patch_size), got"
                f" {mels} x {frames} (num_mel_bins, target_length)"
            )
        self.input = LanguageBindSoundInput(rate, mels, frames, mean, std)
        super().__init__(
            build_vision_tower(checkpoint, (mels, frames)),
            modality="sound",
            space=checkpoint.space,
            preprocessing={
                "fbank": dict(self.input.filter_bank.settings),
                "target_length": frames,
                "mean": mean,
                "std": std,
                "channel": 0,
            },
            logit_scale=checkpoint.logit_scale,
        )

    def preprocess(self, sample: samples.AudioSample) -> torch.Tensor:
        """Map an audio clip to (3, mels, frames) float32."""
        return self.input.preprocess(sample)

    def plan_export(self) -> export.ExportPlan:
        return export.ExportPlan(self.module, "languagebind-sound", self.input.options)
