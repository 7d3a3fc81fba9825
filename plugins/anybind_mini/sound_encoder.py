"""The audio encoder of `mini`: YAMNet, mapped to the text space in closed form.

`python -m anybind_mini.build_sound` makes `sound.safetensors`; `sound.md` is its card.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from anybind.plugin import TorchEncoder, samples
from anybind_mini import log_mel
from anybind_mini.packages import make_text_space
from anybind_mini.yamnet import SoundNet

LOGIT_SCALE = 28.0
"""Scale of the softmax over similarities: lowest negative log-likelihood on folds 1 to 3 of ESC-10, mean of 10 and of
50 class names and of six prompts. The encoders were not trained together and have none."""
BLOCK_SAMPLES = 1 << 20
MAX_PATCHES = 600
"""Largest number of patches of a clip: those of 4.8 minutes. Longer clips have evenly spaced ones."""
PATCHES_AT_ONCE = 32
"""Patches in the network at once: fewer than 16, or more than 32, take twice as long each."""


class MiniSoundEncoder(TorchEncoder):
    """An audio encoder for clips of any length: the mean over patches of 0.96 s, every 0.48 s, of YAMNet's scores.

    Clips shorter than a patch are mirrored at their end. Silence has an embedding that is similar to no text.
    """

    module: SoundNet

    def __init__(self, *, weights: str | None = None) -> None:
        """Load the encoder.

        Args:
            weights: a file of `save_weights`; without it the weights are random.

        Raises:
            BadInput, WeightsMismatch: the weights cannot be read, or are of another model or preprocessing.
        """
        space = make_text_space()
        settings = {"log_mel": log_mel.SETTINGS, "short": "mirrored", "max_patches": MAX_PATCHES}
        super().__init__(
            SoundNet(space.dim).to(memory_format=torch.channels_last),  # pyright: ignore[reportCallIssue]
            modality="sound",
            space=space,
            preprocessing=settings,
            logit_scale=LOGIT_SCALE,
        )
        self.reader_options = {"in_parts": True}
        if weights is not None:
            self.load_weights(weights)

    def preprocess(self, sample: samples.AudioSample) -> torch.Tensor:
        """Preprocess an audio clip to log mel patches, (patches, 96, 64) float32."""
        clip = sample.mono().resample(log_mel.RATE)
        if len(clip) < log_mel.PATCH_SAMPLES:
            waveform = clip.samples[0] if len(clip) else np.zeros(1, np.float32)
            blocks = [np.pad(waveform, (0, log_mel.PATCH_SAMPLES - len(waveform)), mode="reflect")]
        else:
            blocks = (block.samples[0] for block in clip.blocks(BLOCK_SAMPLES))
        every = -(-log_mel.count_patches(len(clip)) // MAX_PATCHES)
        return torch.from_numpy(log_mel.compute_patches(blocks, every))

    def collate(self, inputs: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Collate clips to `patches` (n, 96, 64) of all clips and `counts` (clips,) of patches in each."""
        return {"patches": torch.cat(list(inputs)).to(self.device), "counts": torch.tensor(list(map(len, inputs)))}

    def features(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Embed a batch, (clips, 384), with gradients, not of norm 1."""
        scores = torch.cat([self.module.network(part) for part in batch["patches"].split(PATCHES_AT_ONCE)])
        clips = scores.split(batch["counts"].tolist())
        return self.module.map_scores(torch.stack([clip.mean(0) for clip in clips]))
