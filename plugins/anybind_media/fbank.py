"""`kaldi-fbank`: log mel filter bank energies as in Kaldi, the input of audio encoders."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np
import torch

from anybind.plugin import BadInput, BadOption, Representation, samples

FRAME_S, STEP_S = 0.025, 0.010
MIN_HZ = 20.0
MEL_SCALE, MEL_HZ = 1127.0, 700.0
"""Kaldi's mel scale: MEL * ln(1 + Hz / MEL_HZ)."""
PREEMPHASIS = 0.97
FLOOR = float(np.finfo(np.float32).eps)
"""Lower bound of energies: the logarithm of silence is -15.94."""


ONE = torch.ones(1)
FIRST = slice(0, 1)
BLOCK_FRAMES = 600
"""Frames processed at once."""
GROUP_BANDS = 16
"""Bands summed at once."""


@dataclass(frozen=True)
class KaldiFbank(Representation):
    """Log mel energies of frames of 25 ms every 10 ms: float32 (1, mels, frames), from -15.94 (silence) to about 14.

    Equivalent to Kaldi's `compute-fbank-feats` with htk_compat, a Hann window, no energy and no dither, on samples from
    -1 to 1. Frames beyond the end are left out.

    Attributes:
        mels: number of bands, evenly spaced on the mel scale from 20 Hz to half the sample rate.
        rate: sample rate in Hz.
    """

    name: ClassVar[str] = "kaldi-fbank"
    mels: int = 128
    rate: int = 16_000

    def __post_init__(self) -> None:
        for name, least in (("rate", 1000), ("mels", 4)):
            if not isinstance(value := getattr(self, name), int) or value < least:
                raise BadOption(f"{name}: expected an integer >= {least}, got {value!r}")

    @property
    def settings(self) -> Mapping[str, object]:
        return {"representation": self.name, **asdict(self)}

    def __call__(self, sample: samples.AudioSample) -> np.ndarray:
        return self.batch([sample])[0]

    def batch(self, samples: Sequence[samples.AudioSample]) -> np.ndarray:
        """Compute the energies of audio clips of equal length, float32 (n, 1, mels, frames).

        Raises:
            BadInput: no clips, or clips of several lengths, not mono, of another sample rate, or shorter than a frame.
        """
        if len({len(sample) for sample in samples}) != 1:
            raise BadInput("batch: expected audio clips of equal length")
        for sample in samples:
            self._check(sample)
        return _compute_log_mels(np.concatenate([sample.samples for sample in samples]), self.mels, self.rate)[:, None]

    def _check(self, sample: samples.AudioSample) -> None:
        if len(sample.samples) != 1:
            raise BadInput(f"expected a mono audio clip, got {len(sample.samples)} channels; convert it by mono()")
        if sample.rate != self.rate:
            raise BadInput(f"expected a sample rate of {self.rate} Hz, got {sample.rate} Hz; convert it by resample()")
        if len(sample) < int(self.rate * FRAME_S):
            raise BadInput(f"audio clip of {len(sample)} samples is shorter than a frame of 25 ms; pad it")


def _compute_log_mels(waveforms: np.ndarray, mels: int, rate: int) -> np.ndarray:
    """Compute (n, mels, frames) from (n, samples), in blocks of frames that fit into the CPU cache."""
    length, step = int(rate * FRAME_S), int(rate * STEP_S)
    frames = torch.from_numpy(np.ascontiguousarray(waveforms)).unfold(1, length, step)
    logs = torch.empty(len(frames), mels, frames.shape[1])
    rows_per_block = max(1, BLOCK_FRAMES // frames.shape[1])
    for first in range(0, len(frames), rows_per_block):
        rows = slice(first, first + rows_per_block)
        for start in range(0, frames.shape[1], BLOCK_FRAMES):
            columns = slice(start, start + BLOCK_FRAMES)
            energies = _compute_energies(frames[rows, columns], mels, rate)
            logs[rows, :, columns] = energies.clamp_(min=FLOOR).log_().transpose(0, 1)
    return logs.numpy()


def _compute_energies(frames: torch.Tensor, mels: int, rate: int) -> torch.Tensor:
    """Compute (mels, n, frames) from (n, frames, frame length), at most `BLOCK_FRAMES` frames, in reused memory.

    Up to the spectrum, each step rounds as in torchaudio. In float32, both are uncertain by up to 2e-3 (of the
    logarithm) in weak bands of a loud frame, so that a more accurate computation would agree less with the training
    data of encoders.
    """
    n, count, length = frames.shape
    rows, size = n * count, 1 << (length - 1).bit_length()
    bins = size // 2 + 1
    window = _make_window(length)
    padded, flat = _scratch.allocate(size, max(length, bins + mels))
    padded, centred = padded[:rows], flat[: rows * length].view(rows, length)
    torch.sub(frames, frames.mean(-1, keepdim=True), out=centred.view(n, count, length))
    for target, previous, current in (
        (padded[:, 1:length], slice(None, -1), slice(1, None)),
        (padded[:, :1], FIRST, FIRST),
    ):
        torch.addcmul(centred[:, current], centred[:, previous], ONE, value=-PREEMPHASIS, out=target).mul_(
            window[current]
        )
    padded[:, length:] = 0
    squares = torch.view_as_real(torch.fft.rfft(padded)).square_()
    power, energies = flat[: rows * bins].view(rows, bins), flat[rows * bins :][: rows * mels].view(mels, rows)
    torch.add(squares[..., 0], squares[..., 1], out=power)
    for bands, span, weights in _group_bands(mels, rate, size):
        torch.mm(weights, power.T[span], out=energies[bands])
    return energies.view(mels, n, count)


class _ScratchMemory(threading.local):
    """Memory reused by the blocks of a thread: allocating new pages would cost more than the computation."""

    size = 0, 0, 0

    def allocate(self, size: int, numbers: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Allocate memory for a block of frames of a padded size, and flat memory of `numbers` per frame."""
        if self.size != (BLOCK_FRAMES, size, numbers):
            self.size = BLOCK_FRAMES, size, numbers
            self.padded, self.flat = torch.empty(BLOCK_FRAMES, size), torch.empty(BLOCK_FRAMES * numbers)
        return self.padded, self.flat


_scratch = _ScratchMemory()


@functools.lru_cache
def _make_window(length: int) -> torch.Tensor:
    return torch.hann_window(length, periodic=False)


@functools.lru_cache
def _group_bands(mels: int, rate: int, size: int) -> list[tuple[slice, slice, torch.Tensor]]:
    """Group neighbouring bands: slice of the bands, slice of the spectrum bins, and their weights.

    One product with all weights would mostly multiply zeros.
    """
    weights = _make_mel_filters(mels, rate, size)
    groups = []
    for first in range(0, mels, GROUP_BANDS):
        group = weights[first : first + GROUP_BANDS]
        spanned = torch.nonzero(group.sum(0)).flatten().tolist() or [0]
        bins = slice(spanned[0], spanned[-1] + 1)
        groups.append((slice(first, first + GROUP_BANDS), bins, group[:, bins].contiguous()))
    return groups


def _make_mel_filters(mels: int, rate: int, size: int) -> torch.Tensor:
    """Make the triangular mel filters, float32 (mels, size / 2), for all spectrum bins but the last."""

    def convert_to_mel(hz: float) -> float:
        return MEL_SCALE * math.log(1 + hz / MEL_HZ)

    lowest, highest = convert_to_mel(MIN_HZ), convert_to_mel(rate / 2)
    width = (highest - lowest) / (mels + 1)
    left, centre, right = (lowest + (torch.arange(mels)[:, None] + float(edge)) * width for edge in range(3))
    bins = MEL_SCALE * (1 + rate / size * torch.arange(size // 2) / MEL_HZ).log()
    return torch.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)).clamp_(min=0)
