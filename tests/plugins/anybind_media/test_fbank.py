"""`kaldi-fbank` is what torchaudio computes, to 1e-5, and what the definition says, as far as float32 can tell."""

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


def by_torchaudio(sound: Waveform, mels: int = 128, dtype: torch.dtype = torch.float32) -> np.ndarray:
    return kaldi.fbank(
        torch.from_numpy(sound.samples).to(dtype),
        htk_compat=True,
        sample_frequency=sound.rate,
        use_energy=False,
        window_type="hanning",
        num_mel_bins=mels,
        dither=0.0,
        frame_length=25,
        frame_shift=10,
    ).T.numpy()


def by_definition(sound: Waveform, mels: int = 128) -> np.ndarray:
    """In float64, frame by frame."""
    length, step = sound.rate // 40, sound.rate // 100
    size = 2 ** int(np.ceil(np.log2(length)))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / (length - 1))
    mel = lambda hz: 1127 * np.log(1 + hz / 700)  # noqa: E731
    edges = np.linspace(mel(20), mel(sound.rate / 2), mels + 2)
    at = mel(np.arange(size // 2) * sound.rate / size)
    bands = [np.interp(at, edges[each : each + 3], [0, 1, 0], left=0, right=0) for each in range(mels)]
    columns = []
    for start in range(0, len(sound) - length + 1, step):
        frame = sound.samples[0, start : start + length].astype(np.float64)
        frame -= frame.mean()
        frame = (frame - 0.97 * np.concatenate([frame[:1], frame[:-1]])) * window
        power = np.abs(np.fft.rfft(frame, size)[:-1]) ** 2
        columns.append(np.log(np.maximum(np.array(bands) @ power, np.finfo(np.float32).eps)))
    return np.array(columns).T


def noise(n: int = 2 * RATE, seed: int = 0, loudness: float = 0.5) -> Waveform:
    return Waveform((np.random.default_rng(seed).uniform(-1, 1, n) * loudness).astype(np.float32), RATE)


def sine(hz: float = 440.0, loudness: float = 1.0) -> Waveform:
    return Waveform((loudness * np.sin(2 * np.pi * hz * np.arange(2 * RATE) / RATE)).astype(np.float32), RATE)


MADE: dict[str, Callable[[], Waveform]] = {
    "noise": noise,
    "quiet noise": lambda: noise(loudness=1e-5),
    "sine": sine,
    "high sine": lambda: sine(7900.0),
    "quiet sine": lambda: sine(loudness=1e-4),
    "step": lambda: Waveform(np.repeat(np.float32([0, 0.9]), RATE), RATE),
    "constant": lambda: Waveform(np.full(2 * RATE, 0.5, np.float32), RATE),
    "silence": lambda: Waveform(np.zeros(2 * RATE, np.float32), RATE),
    "one frame": lambda: noise(400),
    "one frame and a half": lambda: noise(559),
}


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("mels", [128, 112, 23])
def test_it_is_torchaudios(name: str, mels: int) -> None:
    sound = MADE[name]()
    found = KaldiFbank(mels=mels)(sound)
    expected = by_torchaudio(sound, mels)
    assert found.shape == (1, *expected.shape)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000])
def test_it_is_torchaudios_at_other_rates(rate: int) -> None:
    sound = Waveform(noise(rate // 2).samples, rate)
    found = KaldiFbank(mels=64, rate=rate)(sound)
    np.testing.assert_allclose(found[0], by_torchaudio(sound, 64), rtol=0, atol=TOLERANCE)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(400, 5000), exponent=st.floats(-7, 1))
def test_it_is_torchaudios_at_any_length_and_loudness(seed: int, n: int, exponent: float) -> None:
    sound = noise(n, seed, 10**exponent)
    np.testing.assert_allclose(KaldiFbank()(sound)[0], by_torchaudio(sound), rtol=0, atol=TOLERANCE)


def test_it_is_torchaudios_on_real_clips(test_data: Path) -> None:
    for path in sorted((test_data / "esc10").glob("*/*.ogg"))[::16]:
        sound = anybind.read(path).mono().resample(RATE)
        np.testing.assert_allclose(KaldiFbank()(sound)[0], by_torchaudio(sound), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["noise", "quiet noise", "quiet sine", "silence", "constant", "one frame"])
def test_it_is_the_definition_as_far_as_float32_can_tell(name: str) -> None:
    sound = MADE[name]()
    exact = by_definition(sound)
    assert np.abs(by_torchaudio(sound, dtype=torch.float64) - exact).max() < 2e-3  # its window and bands are float32
    ours, theirs = np.abs(KaldiFbank()(sound)[0] - exact).max(), np.abs(by_torchaudio(sound) - exact).max()
    assert ours <= theirs + TOLERANCE
    assert ours < 5e-3


def test_silence_is_the_floor() -> None:
    assert np.unique(KaldiFbank()(MADE["silence"]())).tolist() == [np.log(np.finfo(np.float32).eps)]


@pytest.mark.parametrize("number", [1, 3, 7, 32])
def test_a_batch_is_each_of_its_sounds(number: int) -> None:
    sounds = [noise(8000, seed) for seed in range(number)]
    together = KaldiFbank().batch(sounds)
    assert together.shape == (number, 1, 128, 48)
    apart = np.stack([KaldiFbank()(sound) for sound in sounds])
    np.testing.assert_allclose(together, apart, rtol=0, atol=TOLERANCE)


def test_a_long_sound_is_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = KaldiFbank()(noise(160 * 2000))
    monkeypatch.setattr("anybind_media.fbank.BLOCK", 64)
    np.testing.assert_allclose(KaldiFbank()(noise(160 * 2000)), whole, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        (Waveform(np.zeros((2, 800), np.float32), RATE), "2 channels; make it mono first"),
        (Waveform(np.zeros(800, np.float32), 8000), "of 8000 Hz; resample it to 16000 Hz first"),
        (Waveform(np.zeros(399, np.float32), RATE), "399 samples is shorter than a frame of 25 ms; pad it first"),
    ],
)
def test_what_it_does_not_take_is_refused(sound: Waveform, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        KaldiFbank()(sound)


def test_a_batch_of_several_lengths_or_none_is_refused() -> None:
    for sounds in ([], [noise(800), noise(801)]):
        with pytest.raises(BadInput, match="a batch needs sounds of one length"):
            KaldiFbank().batch(sounds)


def test_it_is_made_by_name_and_says_its_settings() -> None:
    made = create_part("representation", "kaldi-fbank", mels=112, rate=RATE)
    assert made.settings == {"representation": "kaldi-fbank", "mels": 112, "rate": 16_000}
    for options in ({"mels": 3}, {"rate": 999}, {"mels": 12.5}):
        with pytest.raises(BadOption):
            create_part("representation", "kaldi-fbank", **options)
