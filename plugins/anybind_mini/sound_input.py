"""Audio clips to the log mel patches of the audio encoder."""

from __future__ import annotations

import numpy as np

from anybind.plugin import samples
from anybind_mini import log_mel

LOGIT_SCALE = 28.0
"""Scale of the softmax over similarities: lowest negative log-likelihood on folds 1 to 3 of ESC-10, mean of 10 and of
50 class names and of six prompts. The encoders were not trained together and have none."""
BLOCK_SAMPLES = 1 << 20
MAX_PATCHES = 600
"""Largest number of patches of a clip: those of 4.8 minutes. Longer clips have evenly spaced ones."""
PATCHES_AT_ONCE = 32
"""Patches in the network at once: fewer than 16, or more than 32, take twice as long each."""
READER_OPTIONS = {"in_parts": True}
SETTINGS = {"log_mel": log_mel.SETTINGS, "short": "mirrored", "max_patches": MAX_PATCHES}
SMALLEST = 1e-12
"""Lower bound of scores: the square root of zero has no gradient."""


def make_patches(sample: samples.AudioSample) -> np.ndarray:
    """Make log mel patches of an audio clip, (patches, 96, 64) float32; short clips are mirrored at their end."""
    clip = sample.mono().resample(log_mel.RATE)
    if len(clip) < log_mel.PATCH_SAMPLES:
        waveform = clip.samples[0] if len(clip) else np.zeros(1, np.float32)
        blocks = [np.pad(waveform, (0, log_mel.PATCH_SAMPLES - len(waveform)), mode="reflect")]
    else:
        blocks = (block.samples[0] for block in clip.blocks(BLOCK_SAMPLES))
    every = -(-log_mel.count_patches(len(clip)) // MAX_PATCHES)
    return log_mel.compute_patches(blocks, every)
