"""Resampling and log mel energies of waveforms that are tensors, on their device, by torchaudio.

Readers and encoders work on clips in memory: soxr, and `kaldi-fbank` on the CPU. This is for pipelines whose waveforms
are on a GPU already; no copy to the CPU is made. Extra `sound-device`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anybind.plugin import BadInput, BadOption
from anybind_media.fbank import FRAME_S, STEP_S, KaldiFbank

if TYPE_CHECKING:
    import torch

# A windowed sinc with the passband of SoX's quality HQ, fitted to its output for white noise, 44.1 to 16 kHz.
WIDTH, ROLLOFF, BETA = 100, 0.95684, 14.567


def resample(waveforms: torch.Tensor, rate: int, new_rate: int) -> torch.Tensor:
    """Resample waveforms, float (..., samples), as `AudioSample.resample` does to 2e-3 of the RMS.

    The output has ceil(samples * new_rate / rate) samples, and the device and dtype of the input.

    Raises:
        BadOption: a rate is not positive.
        BadInput: not a floating-point tensor.
    """
    from torchaudio import functional

    if min(rate, new_rate) <= 0:
        raise BadOption(f"expected positive sample rates, got {rate} and {new_rate}")
    _check(waveforms)
    if rate == new_rate:
        return waveforms
    return functional.resample(
        waveforms,
        rate,
        new_rate,
        lowpass_filter_width=WIDTH,
        rolloff=ROLLOFF,
        resampling_method="sinc_interp_kaiser",
        beta=BETA,
    )


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
