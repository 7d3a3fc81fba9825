"""`kaldi-fbank`: logarithms of mel energies, as Kaldi computes them and audio towers were trained on."""

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
LOWEST_HZ = 20.0
MEL, MEL_HZ = 1127.0, 700.0
"""Kaldi's mel scale: MEL * ln(1 + Hz / MEL_HZ)."""
PREEMPHASIS = 0.97
FLOOR = float(np.finfo(np.float32).eps)
"""Energies below it count as this much: the logarithm of silence is -15.94."""


ONE = torch.ones(1)
FIRST = slice(0, 1)
BLOCK = 600
"""Frames that are worked on at once."""
GROUP = 16
"""Bands that are summed up at once."""


@dataclass(frozen=True)
class KaldiFbank(Representation):
    """Logarithms of the energies in mel bands, of frames of 25 ms every 10 ms: float32 (1, mels, frames).

    The value range is from -15.94 (silence) to about 14. As Kaldi's `compute-fbank-feats` with htk_compat, a Hann
    window, no energy and no dither, on samples from -1 to 1. Frames that would reach beyond the end are left out.

    Attributes:
        mels: how many bands, evenly spaced on the mel scale from 20 Hz to half the rate.
        rate: of the sounds, in Hz.
    """

    name: ClassVar[str] = "kaldi-fbank"
    mels: int = 128
    rate: int = 16_000

    def __post_init__(self) -> None:
        for name, least in (("rate", 1000), ("mels", 4)):
            if not isinstance(value := getattr(self, name), int) or value < least:
                raise BadOption(f"{name} must be a whole number of {least} or more, got {value!r}")

    @property
    def settings(self) -> Mapping[str, object]:
        return {"representation": self.name, **asdict(self)}

    def __call__(self, sample: samples.AudioSample) -> np.ndarray:
        return self.batch([sample])[0]

    def batch(self, samples: Sequence[samples.AudioSample]) -> np.ndarray:
        """Several sounds of one length, float32 (n, 1, mels, frames).

        Raises:
            BadInput: there are none, or they are of several lengths, not mono, not of this rate, or shorter than a
                frame.
        """
        if len({len(sample) for sample in samples}) != 1:
            raise BadInput("a batch needs sounds of one length")
        for sample in samples:
            self._check(sample)
        return _log_mels(np.concatenate([sample.samples for sample in samples]), self.mels, self.rate)[:, None]

    def _check(self, sample: samples.AudioSample) -> None:
        if len(sample.samples) != 1:
            raise BadInput(f"the sound has {len(sample.samples)} channels; make it mono first")
        if sample.rate != self.rate:
            raise BadInput(f"the sound is of {sample.rate} Hz; resample it to {self.rate} Hz first")
        if len(sample) < int(self.rate * FRAME_S):
            raise BadInput(f"a sound of {len(sample)} samples is shorter than a frame of 25 ms; pad it first")


def _log_mels(sounds: np.ndarray, mels: int, rate: int) -> np.ndarray:
    """(n, samples) to (n, mels, frames), a block of frames at a time: what a block takes stays in the cache."""
    length, step = int(rate * FRAME_S), int(rate * STEP_S)
    frames = torch.from_numpy(np.ascontiguousarray(sounds)).unfold(1, length, step)
    logs = torch.empty(len(frames), mels, frames.shape[1])
    at_once = max(1, BLOCK // frames.shape[1])
    for first in range(0, len(frames), at_once):
        rows = slice(first, first + at_once)
        for start in range(0, frames.shape[1], BLOCK):
            columns = slice(start, start + BLOCK)
            energies = _energies(frames[rows, columns], mels, rate)
            logs[rows, :, columns] = energies.clamp_(min=FLOOR).log_().transpose(0, 1)
    return logs.numpy()


def _energies(frames: torch.Tensor, mels: int, rate: int) -> torch.Tensor:
    """(n, frames, samples of a frame) to (mels, n, frames), at most `BLOCK` frames, in memory that is used again.

    Up to the spectrum each step rounds as torchaudio's does. The float32 of both is uncertain by up to 2e-3 (of the
    logarithm) in bands that hold next to nothing of a loud frame, so that a more accurate way would agree less with
    what towers were trained on.
    """
    n, count, length = frames.shape
    rows, size = n * count, 1 << (length - 1).bit_length()
    bins = size // 2 + 1
    window = _window(length)
    padded, flat = _scratch.make(size, max(length, bins + mels))
    padded, centred = padded[:rows], flat[: rows * length].view(rows, length)
    torch.sub(frames, frames.mean(-1, keepdim=True), out=centred.view(n, count, length))
    for part, before, behind in ((padded[:, 1:length], slice(None, -1), slice(1, None)), (padded[:, :1], FIRST, FIRST)):
        torch.addcmul(centred[:, behind], centred[:, before], ONE, value=-PREEMPHASIS, out=part).mul_(window[behind])
    padded[:, length:] = 0
    squares = torch.view_as_real(torch.fft.rfft(padded)).square_()
    power, energies = flat[: rows * bins].view(rows, bins), flat[rows * bins :][: rows * mels].view(mels, rows)
    torch.add(squares[..., 0], squares[..., 1], out=power)
    for bands, span, weights in _bands(mels, rate, size):
        torch.mm(weights, power.T[span], out=energies[bands])
    return energies.view(mels, n, count)


class _Scratch(threading.local):
    """Memory of a thread that each block of frames is worked on in: fresh pages would cost more than the work."""

    size = 0, 0, 0

    def make(self, size: int, numbers: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Room for a block of frames of that padded size, and for so many numbers a frame beside it, flat."""
        if self.size != (BLOCK, size, numbers):
            self.size = BLOCK, size, numbers
            self.padded, self.flat = torch.empty(BLOCK, size), torch.empty(BLOCK * numbers)
        return self.padded, self.flat


_scratch = _Scratch()


@functools.lru_cache
def _window(length: int) -> torch.Tensor:
    return torch.hann_window(length, periodic=False)


@functools.lru_cache
def _bands(mels: int, rate: int, size: int) -> list[tuple[slice, slice, torch.Tensor]]:
    """Groups of neighbouring bands: which they are, which bins of the spectrum they span, and the weights of these.

    A product with all weights at once would multiply by zeros for the most part.
    """
    weights = _triangles(mels, rate, size)
    groups = []
    for first in range(0, mels, GROUP):
        group = weights[first : first + GROUP]
        spanned = torch.nonzero(group.sum(0)).flatten().tolist() or [0]
        bins = slice(spanned[0], spanned[-1] + 1)
        groups.append((slice(first, first + GROUP), bins, group[:, bins].contiguous()))
    return groups


def _triangles(mels: int, rate: int, size: int) -> torch.Tensor:
    """What each bin of the spectrum but the last adds to each band, float32 (mels, size / 2): triangles in mel."""

    def mel(hz: float) -> float:
        return MEL * math.log(1 + hz / MEL_HZ)

    lowest, highest = mel(LOWEST_HZ), mel(rate / 2)
    width = (highest - lowest) / (mels + 1)
    left, centre, right = (lowest + (torch.arange(mels)[:, None] + float(edge)) * width for edge in range(3))
    bins = MEL * (1 + rate / size * torch.arange(size // 2) / MEL_HZ).log()
    return torch.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)).clamp_(min=0)
