"""Waveforms that are tensors give the samples and the energies of clips in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import anybind
from anybind import BadInput
from anybind.errors import BadOption
from anybind_media.fbank import KaldiFbank
from anybind_media.sound import Waveform

pytest.importorskip("torchaudio")
from anybind_media.device_sound import compute_fbank, resample

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))]


def make_noise(rate: int, n: int = 3) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (n, rate)).astype(np.float32)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("mels", [128, 23])
def test_energies_equal_those_of_clips(device: str, mels: int) -> None:
    noise = make_noise(16_000)
    energies = compute_fbank(torch.from_numpy(noise).to(device), mels)
    expected = KaldiFbank(mels=mels).batch([Waveform(clip, 16_000) for clip in noise])
    assert energies.device.type == device
    np.testing.assert_allclose(energies.cpu().numpy(), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000])
def test_resampled_waveforms_equal_those_of_clips(device: str, rate: int) -> None:
    noise = make_noise(rate)
    resampled = resample(torch.from_numpy(noise).to(device), rate, 16_000)
    expected = np.concatenate([Waveform(clip, rate).resample(16_000).samples for clip in noise])
    assert resampled.shape == expected.shape
    inner = slice(200, -200)  # at the ends, the resamplers continue a clip differently
    difference = resampled.cpu().numpy()[:, inner] - expected[:, inner]
    assert np.sqrt(np.square(difference).mean()) < 2e-3 * np.sqrt(np.square(expected).mean())


def test_energies_of_resampled_real_clips_are_close(test_data: Path) -> None:
    for path in sorted((test_data / "esc10").glob("*/*.ogg"))[::16]:
        clip = anybind.read(path).mono()
        waveforms = resample(torch.from_numpy(clip.samples), clip.rate, 16_000)
        difference = np.abs(compute_fbank(waveforms).numpy()[0] - KaldiFbank()(clip.resample(16_000)))
        assert np.median(difference) < 1e-3
    same = torch.from_numpy(clip.samples)
    assert resample(same, 16_000, 16_000) is same


def test_wrong_input_is_refused() -> None:
    with pytest.raises(BadInput, match="floating-point"):
        resample(torch.zeros(1, 400, dtype=torch.int16), 44_100, 16_000)
    with pytest.raises(BadOption, match="positive"):
        resample(torch.zeros(1, 400), 0, 16_000)
    for shape in [(400,), (0, 400), (1, 399)]:
        with pytest.raises(BadInput, match="25 ms"):
            compute_fbank(torch.zeros(shape))
    with pytest.raises(BadOption, match="mels"):
        compute_fbank(torch.zeros(1, 400), mels=2)
