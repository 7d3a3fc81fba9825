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
@pytest.mark.parametrize("samples", [1, 7, 500, 20_001])
@pytest.mark.parametrize(
    ("rate", "new_rate"),
    [(8000, 16_000), (22_050, 16_000), (44_100, 16_000), (48_000, 16_000), (192_000, 16_000), (16_000, 44_100)],
)
def test_resampled_waveforms_equal_those_of_clips(device: str, rate: int, new_rate: int, samples: int) -> None:
    noise = make_noise(samples)
    resampled = resample(torch.from_numpy(noise).to(device), rate, new_rate)
    expected = np.concatenate([Waveform(clip, rate).resample(new_rate).samples for clip in noise])
    assert resampled.device.type == device
    np.testing.assert_allclose(resampled.cpu().numpy(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_resampling_keeps_shape_dtype_and_gradients(dtype: torch.dtype) -> None:
    noise = torch.from_numpy(make_noise(4410, 6)).reshape(2, 3, -1).to(dtype).requires_grad_()
    resampled = resample(noise, 44_100, 16_000)
    assert (resampled.shape, resampled.dtype) == ((2, 3, 1600), dtype)
    torch.testing.assert_close(resampled.float(), resample(noise.float(), 44_100, 16_000), rtol=0, atol=1e-3)
    resampled.sum().backward()
    assert noise.grad is not None
    assert noise.grad.abs().sum() > 0


def test_energies_of_resampled_real_clips_are_close(test_data: Path) -> None:
    for path in sorted((test_data / "esc10").glob("*/*.ogg"))[::16]:
        clip = anybind.read(path).mono()
        waveforms = resample(torch.from_numpy(clip.samples), clip.rate, 16_000)
        expected = clip.resample(16_000)
        np.testing.assert_allclose(waveforms.numpy(), expected.samples, rtol=0, atol=1e-5)
        difference = np.abs(compute_fbank(waveforms).numpy()[0] - KaldiFbank()(expected))
        assert np.median(difference) < 1e-4
    same = torch.from_numpy(clip.samples)
    assert resample(same, 16_000, 16_000) is same


def test_wrong_input_is_refused() -> None:
    with pytest.raises(BadInput, match="floating-point"):
        resample(torch.zeros(1, 400, dtype=torch.int16), 44_100, 16_000)
    with pytest.raises(BadOption, match="positive"):
        resample(torch.zeros(1, 400), 0, 16_000)
    with pytest.raises(BadOption, match="48000:44101, is too fine"):
        resample(torch.zeros(1, 400), 44_101, 48_000)
    for shape in [(400,), (0, 400), (1, 399)]:
        with pytest.raises(BadInput, match="25 ms"):
            compute_fbank(torch.zeros(shape))
    with pytest.raises(BadOption, match="mels"):
        compute_fbank(torch.zeros(1, 400), mels=2)
