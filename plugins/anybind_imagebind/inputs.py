"""The preprocessing of ImageBind's encoders, without their weights; that of sound and of depth needs torch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from anybind.plugin import BadInput, BadOption, Representation, create_part, errors, export, modalities, samples
from anybind_imagebind.image_input import SIDE

RATE, CLIP_S, CLIPS, MIN_SAMPLES = 16_000, 2, 3, 400
"""Sample rate in Hz, clip length in s, clips per recording, shortest input of the filter bank in samples (25 ms)."""
MELS, FRAMES = 128, 204
SOUND_MEAN, SOUND_STD = -4.268, 9.138
CLIP_STARTS = {"pytorchvideo": CLIPS - 1, "pytorchvideo-0.1.5": CLIPS}
"""Steps between clip starts: clip i starts at i * (duration - 2 s) / steps."""
MIN_DEPTH_M, MAX_DEPTH_M = 0.01, 50.0
MIN_DISPARITY, MAX_DISPARITY = 0.01, 75.0
DEPTH_MEAN, DEPTH_STD = 0.0418, 0.0295


class ImageBindSoundInput(export.EncoderInput):
    """Mel spectrograms of three 2 s clips of a recording."""

    def __init__(self, clips: str, *, folder: Path | None = None) -> None:
        """Set the starts of the clips; see `ImageBindSoundEncoder`.

        Raises:
            BadOption: unknown `clips`.
        """
        if clips not in CLIP_STARTS:
            raise BadOption(
                f"clips: expected {' or '.join(CLIP_STARTS)}, got {clips!r}{errors.suggest_names(clips, CLIP_STARTS)}"
            )
        self.reader_options = {"in_parts": True}
        self.clips, self._steps = clips, CLIP_STARTS[clips]
        self._fbank: Representation = create_part("representation", "kaldi-fbank", mels=MELS, rate=RATE)

    @property
    def settings(self) -> dict[str, object]:
        """Everything that shapes the input, for identities."""
        return {
            "clips": self.clips,
            "channel": 0,
            "seconds": CLIP_S,
            "frames": FRAMES,
            "fbank": dict(self._fbank.settings),
            "mean": SOUND_MEAN,
            "std": SOUND_STD,
        }

    def preprocess(self, sample: samples.AudioSample) -> torch.Tensor:
        """Map a waveform to its clips, (3, 1, 128, 204) float32.

        Raises:
            BadInput: no samples, no sample rate, or samples that are not finite.
        """
        if not len(sample) or sample.rate <= 0:
            raise BadInput("expected finite samples and a sample rate, got an empty or invalid audio clip")
        resampled, clips = sample.mono(0).resample(RATE), []
        for clip in cut_clips(resampled, compute_clip_bounds(len(resampled), self._steps)):
            if clip.numel():
                clip -= clip.mean()  # in place, as upstream: changes the samples shared with the next clip
            clip = functional.pad(clip, (0, max(0, MIN_SAMPLES - clip.shape[1])))
            bands = torch.from_numpy(self._fbank(modalities.make_sample("sound", clip.numpy(), RATE)))[:, :, :FRAMES]
            clips.append((functional.pad(bands, (0, FRAMES - bands.shape[2])) - SOUND_MEAN) / SOUND_STD)
        return torch.stack(clips)


class ImageBindDepthInput(export.EncoderInput):
    """Disparity maps, baseline * focal length / depth."""

    def __init__(self, fx: float | None, baseline: float | None, *, folder: Path | None = None) -> None:
        """Set the camera of depth maps without one; see `ImageBindDepthEncoder`.

        Raises:
            BadOption: `fx` or `baseline` is not above 0.
        """
        for name, value in (("fx", fx), ("baseline", baseline)):
            if value is not None and not (isinstance(value, int | float) and 0 < value < float("inf")):
                raise BadOption(f"{name}: expected a number above 0, got {value!r}")
        self.fx, self.baseline = fx, baseline

    @property
    def settings(self) -> dict[str, object]:
        """Everything that shapes the input, for identities."""
        return {
            "fx": self.fx,
            "baseline": self.baseline,
            "metres": [MIN_DEPTH_M, MAX_DEPTH_M],
            "disparity": [MIN_DISPARITY, MAX_DISPARITY],
            "unknown": "median",
            "side": SIDE,
            "interpolation": "bicubic",
            "mean": DEPTH_MEAN,
            "std": DEPTH_STD,
        }

    def preprocess(self, sample: samples.DepthSample) -> torch.Tensor:
        """Map a depth map to (1, 224, 224) float32.

        Raises:
            BadInput: no pixel of known depth, or focal length or baseline is set neither by the map nor the encoder.
        """
        disparity = sample.disparity(
            fx=self.fx if sample.fx is None else sample.fx,
            baseline=self.baseline if sample.baseline is None else sample.baseline,
            nearest=MIN_DEPTH_M,
            farthest=MAX_DEPTH_M,
        )
        is_known = sample.metres > 0
        if not is_known.any():
            raise BadInput("the depth map is empty: the depth of all pixels is 0 or NaN")
        filled = np.where(is_known, disparity, np.median(disparity[is_known]))
        scaled = torch.from_numpy(filled).clamp(MIN_DISPARITY, MAX_DISPARITY) / MAX_DISPARITY
        size = scale_short_side(*scaled.shape)
        resized = functional.interpolate(scaled[None, None], size, mode="bicubic", antialias=True, align_corners=False)
        top, left = find_crop_offset(*size)
        return (resized[0, :, top : top + SIDE, left : left + SIDE] - DEPTH_MEAN) / DEPTH_STD


def cut_clips(sample: samples.AudioSample, bounds: Sequence[tuple[int, int]]) -> list[torch.Tensor]:
    """Cut clips, float32 (1, n); clips that overlap share their samples. Of a long recording, no more is read.

    Raises:
        BadInput: samples that are not finite.
    """
    if all(last <= first for (_, last), (first, _) in itertools.pairwise(bounds)):
        arrays = [sample.between(first / sample.rate, last / sample.rate).samples for first, last in bounds]
        clips = [torch.from_numpy(np.array(each)) for each in arrays]
    else:
        waveform = torch.from_numpy(np.array(sample.samples))
        clips = [waveform[:, first:last] for first, last in bounds]
    if not all(clip.isfinite().all() for clip in clips):
        raise BadInput("expected finite samples and a sample rate, got an empty or invalid audio clip")
    return clips


def compute_clip_bounds(n_samples: int, steps: int) -> list[tuple[int, int]]:
    """Return the first and last (exclusive) sample of each clip in `n_samples` samples at 16 kHz.

    Uses floats and fractions as upstream: with exact sums some clips would start one sample later.
    """
    remainder = Fraction(max(n_samples / RATE - CLIP_S, 0.0))
    starts = [remainder * clip / steps for clip in range(CLIPS)]
    return [(int(start * RATE), int((start + CLIP_S) * RATE)) for start in starts]


def scale_short_side(height: int, width: int) -> tuple[int, int]:
    """Return height and width after resizing the short side to 224."""
    return (int(SIDE * height / width), SIDE) if width <= height else (SIDE, int(SIDE * width / height))


def find_crop_offset(height: int, width: int) -> tuple[int, int]:
    """Return the top and left offset of the central 224 x 224 crop."""
    return round((height - SIDE) / 2), round((width - SIDE) / 2)
