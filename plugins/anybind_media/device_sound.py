"""Resampling and log mel energies of waveforms that are tensors, on their device.

Readers and encoders work on clips in memory: soxr, and `kaldi-fbank` on the CPU. This is for pipelines whose waveforms
are on a GPU already; no copy to the CPU is made. Energies are by torchaudio. Its resampler has other filters than soxr:
`resample` convolves with those of soxr, which are measured. Extra `sound-device`.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from anybind.plugin import BadInput, BadOption
from anybind_media.fbank import FRAME_S, STEP_S, KaldiFbank

if TYPE_CHECKING:
    import torch

REACH = 105
"""Samples, at the lower of two rates, on each side of an output that soxr's quality HQ computes it from."""
MAX_RATIO = 4096
"""Largest term of the ratio of two rates; the kernels of finer ratios would be too large."""
CHANNELS = 256
"""Impulses that are resampled at a time."""


def resample(waveforms: torch.Tensor, rate: int, new_rate: int) -> torch.Tensor:
    """Resample waveforms, float (..., samples), as `AudioSample.resample` does to 1e-4 of their RMS.

    The output has `samples * new_rate / rate` samples, rounded, and the device and dtype of the input.

    Raises:
        BadOption: a rate is not positive, or the ratio of the rates has a term above 4096 in lowest terms.
        BadInput: not a floating-point tensor.
    """
    import torch

    if min(rate, new_rate) <= 0:
        raise BadOption(f"expected positive sample rates, got {rate} and {new_rate}")
    _check(waveforms)
    if rate == new_rate:
        return waveforms
    kernels = _measure_kernels(rate, new_rate)
    up, down = kernels.up, kernels.down
    samples = waveforms.shape[-1]
    n_outputs = int(samples * up / down + 0.5)  # as soxr rounds
    n_periods = max(1, -(-n_outputs // up))
    dtype = torch.promote_types(waveforms.dtype, torch.float32)
    inputs = waveforms.to(dtype).reshape(-1, 1, samples)
    padded = torch.nn.functional.pad(inputs, (kernels.reach, n_periods * down + kernels.reach - samples))
    weights = torch.as_tensor(kernels.kernels, dtype=dtype, device=waveforms.device)
    outputs = torch.nn.functional.conv1d(padded, weights[:, None], stride=down).transpose(1, 2)
    outputs = outputs.reshape(len(inputs), n_periods * up)[:, :n_outputs]
    start = torch.as_tensor(kernels.start, dtype=dtype, device=waveforms.device)[:samples, :n_outputs]
    started = outputs[:, : start.shape[1]] + inputs[:, 0, : len(start)] @ start
    outputs = torch.cat([started, outputs[:, start.shape[1] :]], dim=1)
    return outputs.reshape(*waveforms.shape[:-1], n_outputs).to(waveforms.dtype)


class _Kernels(NamedTuple):
    """Filters of a resampler between two rates.

    Attributes:
        up: samples of a period of the output.
        down: samples of a period of the input.
        reach: samples before and after a period that its outputs are computed from.
        kernels: (up, reach + down + reach) float32.
        start: (inputs, outputs) float32, what soxr adds to the first outputs for the first inputs.
    """

    up: int
    down: int
    reach: int
    kernels: np.ndarray
    start: np.ndarray


@functools.lru_cache(maxsize=16)
def _measure_kernels(rate: int, new_rate: int) -> _Kernels:
    """Measure soxr's filters by impulses, one at each position in a period of the input."""
    common = math.gcd(rate, new_rate)
    up, down = new_rate // common, rate // common
    if max(up, down) > MAX_RATIO:
        raise BadOption(
            f"the ratio of the rates, {up}:{down}, is too fine for a tensor; resample the clip by AudioSample.resample"
        )
    reach = math.ceil(REACH * max(1, down / up))
    margin = down * math.ceil(2 * reach / down + 1)  # whole periods
    positions = margin + (margin + 1) * np.arange(down)  # position r is r periods and r samples after the first
    impulses = np.zeros(positions[-1] + margin, np.float32)
    impulses[positions] = 1
    responses = _resample(impulses[:, None], rate, new_rate)[:, 0]
    offsets = np.arange(-reach, down + reach)
    periods = (positions[offsets % down] - offsets) // down
    kernels = np.stack([responses[periods * up + phase] for phase in range(up)])
    return _Kernels(up, down, reach, kernels, _measure_start(rate, new_rate, kernels, reach))


def _measure_start(rate: int, new_rate: int, kernels: np.ndarray, reach: int) -> np.ndarray:
    """Measure what soxr adds to the first outputs: it continues a clip before its first sample, though not by zeros."""
    up = len(kernels)
    down = kernels.shape[1] - 2 * reach
    n_inputs = 2 * reach
    rows = []
    for first in range(0, n_inputs, CHANNELS):
        impulses = np.eye(n_inputs + 2 * reach, min(CHANNELS, n_inputs - first), -first, np.float32)
        rows.append(_resample(impulses, rate, new_rate)[: reach * up // down + 1])
    responses = np.concatenate(rows, axis=1).T
    outputs = np.arange(responses.shape[1])
    taps = np.arange(n_inputs)[:, None] - outputs // up * down + reach
    inside = (taps >= 0) & (taps < kernels.shape[1])
    expected = np.where(inside, kernels[outputs % up, np.clip(taps, 0, kernels.shape[1] - 1)], 0)
    return responses - expected


def _resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    import soxr

    return soxr.resample(samples, rate, new_rate, quality="HQ")


def compute_fbank(waveforms: torch.Tensor, mels: int = 128, rate: int = 16_000) -> torch.Tensor:
    """Compute log mel energies of mono waveforms, float (n, samples), as `kaldi-fbank` does to 1e-4.

    Returns:
        Energies (n, 1, mels, frames) in the device and dtype of the input.

    Raises:
        BadOption: fewer than 4 mels, or a rate below 1 kHz.
        BadInput: not a floating-point tensor (n, samples), no clip, or clips shorter than a frame of 25 ms.
    """
    import torch
    from torchaudio.compliance import kaldi

    KaldiFbank(mels, rate)  # checks the options
    _check(waveforms)
    if waveforms.ndim != 2 or not len(waveforms) or waveforms.shape[1] < int(rate * FRAME_S):
        raise BadInput(f"expected waveforms (n, samples) of at least 25 ms, got {tuple(waveforms.shape)}")
    energies = [
        kaldi.fbank(
            waveform[None],
            htk_compat=True,
            sample_frequency=rate,
            use_energy=False,
            window_type="hanning",
            num_mel_bins=mels,
            dither=0.0,
            frame_length=FRAME_S * 1000,
            frame_shift=STEP_S * 1000,
        )
        for waveform in waveforms
    ]
    return torch.stack(energies).transpose(1, 2)[:, None]


def _check(waveforms: torch.Tensor) -> None:
    if not waveforms.is_floating_point():
        raise BadInput(f"expected a floating-point tensor from -1 to 1, got {waveforms.dtype}")
