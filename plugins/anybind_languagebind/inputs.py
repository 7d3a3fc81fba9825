"""The preprocessing of LanguageBind's encoders without their weights; all but that of texts needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from anybind.plugin import Representation, create_part, export, modalities, readers, samples
from anybind_languagebind.pixels import normalize_channels, resize_and_crop
from anybind_languagebind.thermal import ThermalImage

MIN_DEPTH_M = 0.01
"""Smallest depth in metres, also used for unknown depth."""
BYTES = 255.0
WINDOW_S = 0.025
"""Length of the spectrogram's analysis window, in seconds."""


class VideoFrames(samples.VideoSample, Protocol):
    """A video sample; `frame_paths` lists the files of a folder of frames, and is empty otherwise."""

    @property
    def frame_paths(self) -> Sequence[Path]: ...


class LanguageBindImageInput(export.EncoderInput):
    """Short side resized to `side` (bicubic), centre crop, normalised channels."""

    def __init__(self, side: int, antialias: bool, *, folder: Path | None = None) -> None:
        self.side, self.antialias = side, antialias
        if antialias:
            self.reader_options = {"min_side": readers.REDUCING_GAP * side}

    def preprocess(self, sample: np.ndarray) -> torch.Tensor:
        """Map (height, width, 3) uint8 to (3, side, side) float32."""
        return self.resize(to_planes(sample) / BYTES)

    def resize(self, planes: torch.Tensor) -> torch.Tensor:
        """Resize, crop and normalise (3, height, width) float32, 0 to 1."""
        return normalize_channels(resize_and_crop(planes, self.side, mode="bicubic", antialias=self.antialias))


class LanguageBindThermalInput(LanguageBindImageInput):
    """As `LanguageBindImageInput`, for thermal images of full size."""

    def __init__(self, side: int, antialias: bool, *, folder: Path | None = None) -> None:
        super().__init__(side, antialias)
        self.reader_options = {}

    def preprocess(self, sample: ThermalImage) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Map a thermal image to (3, side, side) float32."""
        return super().preprocess(sample.pixels)


class LanguageBindDepthInput(LanguageBindThermalInput):
    """Metres clipped to [0.01, `max_depth`], divided by `max_depth`, in three channels."""

    def __init__(self, side: int, antialias: bool, max_depth: float, *, folder: Path | None = None) -> None:
        super().__init__(side, antialias)
        self.max_depth = max_depth

    def preprocess(self, sample: samples.DepthSample) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Map a depth map to (3, side, side) float32."""
        metres = np.clip(np.nan_to_num(sample.metres, nan=0.0), MIN_DEPTH_M, self.max_depth) / np.float32(
            self.max_depth
        )
        return self.resize(torch.from_numpy(metres.astype(np.float32, copy=False)).expand(3, -1, -1))


class LanguageBindVideoInput(export.EncoderInput):
    """Evenly spaced frames: normalised, short side resized to `side` (bilinear, not antialiased), centre crop."""

    def __init__(self, side: int, frames: int, *, folder: Path | None = None) -> None:
        self.side, self.frames = side, frames

    def preprocess(self, sample: VideoFrames) -> torch.Tensor:
        """Map a video to (frames, 3, side, side) float32."""
        count = len(sample.frame_paths) or sum(1 for _ in sample.frames())
        indices = np.linspace(0, count - 1, self.frames).astype(int)
        frames: dict[int, torch.Tensor] = {}
        for number, frame in enumerate(sample.frames()):
            if number in indices:
                planes = normalize_channels(to_planes(frame.rgb()) / BYTES)
                frames[number] = resize_and_crop(planes, self.side, mode="bilinear", antialias=False)
        return torch.stack([frames[index] for index in indices])


def to_planes(pixels: np.ndarray) -> torch.Tensor:
    """Convert (height, width, 3) uint8 to (3, height, width) float32, 0 to 255."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)).astype(np.float32))


class LanguageBindSoundInput(export.EncoderInput):
    """Three windows of a log mel spectrogram, `(x - mean) / (2 std)`."""

    def __init__(
        self, rate: int, mels: int, frames: int, mean: float, std: float, *, folder: Path | None = None
    ) -> None:
        self.rate, self.mels, self.frames, self.mean, self.std = rate, mels, frames, mean, std
        self.min_samples = round(WINDOW_S * rate)
        self.filter_bank: Representation = create_part("representation", "kaldi-fbank", mels=mels, rate=rate)

    @property
    def options(self) -> dict[str, object]:
        """The options of the constructor, JSON-like."""
        return {name: getattr(self, name) for name in ("rate", "mels", "frames", "mean", "std")}

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
