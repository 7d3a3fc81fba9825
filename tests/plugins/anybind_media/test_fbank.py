"""`kaldi-fbank` matches torchaudio to 1e-5, and its definition within float32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind import BadInput
from anybind.errors import BadOption
from anybind.registry import create_part
from anybind_media.fbank import KaldiFbank
from anybind_media.sound import Waveform

kaldi = pytest.importorskip("torchaudio.compliance.kaldi")
RATE = 16_000
TOLERANCE = 1e-5


def compute_by_torchaudio(clip: Waveform, mels: int = 128, dtype: torch.dtype = torch.float32) -> np.ndarray:
    return kaldi.fbank(
        torch.from_numpy(clip.samples).to(dtype),
        htk_compat=True,
        sample_frequency=clip.rate,
        use_energy=False,
        window_type="hanning",
        num_mel_bins=mels,
        dither=0.0,
        frame_length=25,
        frame_shift=10,
    ).T.numpy()


def compute_by_definition(clip: Waveform, mels: int = 128) -> np.ndarray:
    """Compute the definition in float64, frame by frame."""
    length, step = clip.rate // 40, clip.rate // 100
    size = 2 ** int(np.ceil(np.log2(length)))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / (length - 1))
    mel = lambda hz: 1127 * np.log(1 + hz / 700)  # noqa: E731
    edges = np.linspace(mel(20), mel(clip.rate / 2), mels + 2)
    at = mel(np.arange(size // 2) * clip.rate / size)
    bands = [np.interp(at, edges[each : each + 3], [0, 1, 0], left=0, right=0) for each in range(mels)]
    columns = []
    for start in range(0, len(clip) - length + 1, step):
        frame = clip.samples[0, start : start + length].astype(np.float64)
        frame -= frame.mean()
        frame = (frame - 0.97 * np.concatenate([frame[:1], frame[:-1]])) * window
        power = np.abs(np.fft.rfft(frame, size)[:-1]) ** 2
        columns.append(np.log(np.maximum(np.array(bands) @ power, np.finfo(np.float32).eps)))
    return np.array(columns).T


def make_noise(n: int = 2 * RATE, seed: int = 0, level: float = 0.5) -> Waveform:
    return Waveform((np.random.default_rng(seed).uniform(-1, 1, n) * level).astype(np.float32), RATE)


def make_sine(hz: float = 440.0, level: float = 1.0) -> Waveform:
    return Waveform((level * np.sin(2 * np.pi * hz * np.arange(2 * RATE) / RATE)).astype(np.float32), RATE)


CLIPS: dict[str, Callable[[], Waveform]] = {
    "noise": make_noise,
    "quiet noise": lambda: make_noise(level=1e-5),
    "sine": make_sine,
    "high sine": lambda: make_sine(7900.0),
    "quiet sine": lambda: make_sine(level=1e-4),
    "step": lambda: Waveform(np.repeat(np.float32([0, 0.9]), RATE), RATE),
    "constant": lambda: Waveform(np.full(2 * RATE, 0.5, np.float32), RATE),
    "silence": lambda: Waveform(np.zeros(2 * RATE, np.float32), RATE),
    "one frame": lambda: make_noise(400),
    "one frame and a half": lambda: make_noise(559),
}


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("mels", [128, 112, 23])
def test_matches_torchaudio(name: str, mels: int) -> None:
    clip = CLIPS[name]()
    energies = KaldiFbank(mels=mels)(clip)
    expected = compute_by_torchaudio(clip, mels)
    assert energies.shape == (1, *expected.shape)
    assert energies.dtype == np.float32
    assert energies.flags.c_contiguous
    np.testing.assert_allclose(energies[0], expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000])
def test_matches_torchaudio_at_other_rates(rate: int) -> None:
    clip = Waveform(make_noise(rate // 2).samples, rate)
    energies = KaldiFbank(mels=64, rate=rate)(clip)
    np.testing.assert_allclose(energies[0], compute_by_torchaudio(clip, 64), rtol=0, atol=TOLERANCE)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(400, 5000), exponent=st.floats(-7, 1))
def test_matches_torchaudio_at_any_length_and_level(seed: int, n: int, exponent: float) -> None:
    clip = make_noise(n, seed, 10**exponent)
    np.testing.assert_allclose(KaldiFbank()(clip)[0], compute_by_torchaudio(clip), rtol=0, atol=TOLERANCE)


def test_matches_torchaudio_on_real_clips(test_data: Path) -> None:
    for path in sorted((test_data / "esc10").glob("*/*.ogg"))[::16]:
        clip = anybind.read(path).mono().resample(RATE)
        np.testing.assert_allclose(KaldiFbank()(clip)[0], compute_by_torchaudio(clip), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["noise", "quiet noise", "quiet sine", "silence", "constant", "one frame"])
def test_matches_definition_within_float32(name: str) -> None:
    clip = CLIPS[name]()
    exact = compute_by_definition(clip)
    assert (
        np.abs(compute_by_torchaudio(clip, dtype=torch.float64) - exact).max() < 2e-3
    )  # its window and bands are float32
    ours, theirs = np.abs(KaldiFbank()(clip)[0] - exact).max(), np.abs(compute_by_torchaudio(clip) - exact).max()
    assert ours <= theirs + TOLERANCE
    assert ours < 5e-3


def test_silence_is_the_floor() -> None:
    assert np.unique(KaldiFbank()(CLIPS["silence"]())).tolist() == [np.log(np.finfo(np.float32).eps)]


@pytest.mark.parametrize("number", [1, 3, 7, 32])
def test_batch_matches_single_clips(number: int) -> None:
    sounds = [make_noise(8000, seed) for seed in range(number)]
    together = KaldiFbank().batch(sounds)
    assert together.shape == (number, 1, 128, 48)
    apart = np.stack([KaldiFbank()(clip) for clip in sounds])
    np.testing.assert_allclose(together, apart, rtol=0, atol=TOLERANCE)


def test_long_clip_matches_its_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = KaldiFbank()(make_noise(160 * 2000))
    monkeypatch.setattr("anybind_media.fbank.BLOCK_FRAMES", 64)
    np.testing.assert_allclose(KaldiFbank()(make_noise(160 * 2000)), whole, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (Waveform(np.zeros((2, 800), np.float32), RATE), "got 2 channels; convert it by mono"),
        (Waveform(np.zeros(800, np.float32), 8000), "expected a sample rate of 16000 Hz, got 8000 Hz"),
        (Waveform(np.zeros(399, np.float32), RATE), "399 samples is shorter than a frame of 25 ms; pad it"),
    ],
)
def test_unsupported_clips_are_rejected(clip: Waveform, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        KaldiFbank()(clip)


def test_batch_requires_equal_lengths() -> None:
    for sounds in ([], [make_noise(800), make_noise(801)]):
        with pytest.raises(BadInput, match="expected audio clips of equal length"):
            KaldiFbank().batch(sounds)


def test_created_by_name_with_settings() -> None:
    fbank = create_part("representation", "kaldi-fbank", mels=112, rate=RATE)
    assert fbank.settings == {"representation": "kaldi-fbank", "mels": 112, "rate": 16_000}
    for options in ({"mels": 3}, {"rate": 999}, {"mels": 12.5}):
        with pytest.raises(BadOption):
            create_part("representation", "kaldi-fbank", **options)
