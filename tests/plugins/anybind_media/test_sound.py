"""Audio clips in memory: channels, sample rates, segments, plots and augmentation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anybind import BadInput
from anybind.errors import BadOption
from anybind.modality import find_modality, infer_modality
from anybind_media.sound import Waveform


def make_noise(channels: int = 1, n: int = 8000, rate: int = 8000) -> Waveform:
    random = np.random.default_rng(0)
    return Waveform(random.uniform(-0.5, 0.5, (channels, n)).astype(np.float32), rate)


def make_tone(hz: float, rate: int, seconds: float = 1.0) -> Waveform:
    times = np.arange(round(seconds * rate)) / rate
    return Waveform(np.sin(2 * np.pi * hz * times).astype(np.float32), rate)


def test_one_axis_is_one_channel() -> None:
    sound = Waveform(np.zeros(800, np.float64), 8000)
    assert sound.samples.shape == (1, 800)
    assert sound.samples.dtype == np.float32
    assert (sound.channels, len(sound), sound.duration) == (1, 800, 0.1)
    assert repr(sound) == "Waveform(1 x 800 samples, 8000 Hz, 0.100 s)"


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.zeros(8, np.int16), 8000, "expected floats from -1 to 1, got int16"),
        (np.zeros((1, 2, 3), np.float32), 8000, r"\(channels, n\), got shape \(1, 2, 3\)"),
        (np.zeros(8, np.float32), 8000.5, "expected an integer sample rate in Hz, got 8000.5"),
    ],
)
def test_invalid_waveforms_are_rejected(samples: np.ndarray, rate: int, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Waveform(samples, rate)


def test_mono_is_mean_or_selected_channel() -> None:
    sound = make_noise(channels=8)
    assert np.allclose(sound.mono().samples, sound.samples.astype(np.float64).mean(axis=0), atol=1e-6)
    assert np.array_equal(sound.mono(3).samples[0], sound.samples[3])
    with pytest.raises(BadOption, match="channel: expected 0 to 7, got 8"):
        sound.mono(8)


@pytest.mark.parametrize("rate", [16_000, 44_100, 5512])
def test_resampling_keeps_the_frequency(rate: int) -> None:
    resampled = make_tone(440, 22_050).resample(rate)
    assert (resampled.rate, len(resampled)) == (rate, rate)
    middle = slice(rate // 10, -rate // 10)
    np.testing.assert_allclose(resampled.samples[0, middle], make_tone(440, rate).samples[0, middle], atol=1e-3)


def test_resampling_to_same_or_invalid_rate() -> None:
    sound = make_noise(channels=2)
    assert np.array_equal(sound.resample(8000).samples, sound.samples)
    assert sound.resample(16_000).channels == 2
    with pytest.raises(BadOption, match="rate: expected a positive sample rate, got 0"):
        sound.resample(0)
    with pytest.raises(BadInput, match="cannot resample an audio clip of 0 Hz"):
        Waveform(sound.samples, 0).resample(8000)


def test_resampling_limits_memory() -> None:
    with pytest.raises(BadInput, match="of 100000 s at 1 Hz is too long to resample to 16000 Hz"):
        make_noise(n=100_000, rate=1).resample(16_000)


@given(start=st.floats(-1, 2), length=st.floats(0, 3))
def test_between_returns_the_segment(start: float, length: float) -> None:
    sound = make_noise(n=1000, rate=1000)
    segment = sound.between(start, start + length)
    expected = [
        value
        for number, value in enumerate(sound.samples[0])
        if round(start * 1000) <= number < round((start + length) * 1000)
    ]
    assert segment.samples[0].tolist() == expected


@pytest.mark.parametrize("times", [(1.0, 0.5), (0.0, float("nan")), (float("-inf"), 1.0)])
def test_invalid_times_are_rejected(times: tuple[float, float]) -> None:
    with pytest.raises(BadOption, match="expected start <= end"):
        make_noise().between(*times)


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        (Waveform(np.zeros((1, 0), np.float32), 8000), "empty audio clip"),
        (Waveform(np.zeros((0, 5), np.float32), 8000), "empty audio clip"),
        (Waveform(np.zeros(5, np.float32), 0), "expected a positive sample rate, got 0 Hz"),
        (
            Waveform(np.array([[0, 0], [0, np.nan]], np.float32), 2),
            r"non-finite samples, first at 0\.500 s of channel 1",
        ),
        (Waveform(np.array([np.inf, 0], np.float32), 2), r"first at 0\.000 s of channel 0"),
    ],
)
def test_invalid_samples_are_rejected(sound: Waveform, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        find_modality("sound").check(sound)


def test_silence_is_valid() -> None:
    silence = Waveform(np.zeros(80, np.float32), 8000)
    find_modality("sound").check(silence)
    assert infer_modality(silence) == "sound"


@pytest.mark.parametrize(
    "sound", [make_noise(), make_noise(8, 3), Waveform(np.zeros(1, np.float32), 44_100), make_noise(1, 9, 1)]
)
def test_any_clip_is_plotted(sound: Waveform) -> None:
    image = find_modality("sound").show(sound)
    assert image.shape == (200, 480, 3)
    assert image.dtype == np.uint8


def test_higher_frequencies_are_plotted_higher() -> None:
    show = find_modality("sound").show
    rows = [int(show(make_tone(hz, 16_000))[80:].sum(axis=(1, 2)).argmax()) for hz in (200, 1000, 4000, 7000)]
    assert rows == sorted(rows, reverse=True)
    # The bands are even on the mel scale: 1000 Hz lies at ln(1 + 1000 / 700) / ln(1 + 8000 / 700) of the height.
    assert abs(rows[1] - 120 * (1 - np.log(1 + 1000 / 700) / np.log(1 + 8000 / 700))) <= 2


def test_amplitude_sets_waveform_height() -> None:
    samples = np.concatenate([np.full(800, 0.9), np.zeros(800)]).astype(np.float32) * make_noise(n=1600).samples[0]
    inked = (find_modality("sound").show(Waveform(samples, 8000))[:80] == (32, 74, 135)).all(axis=2)
    assert inked[:, :240].sum() > 2000
    assert not inked[:, 241:].any()


def test_augmentation_is_deterministic_and_not_in_place() -> None:
    sound, augment = make_noise(2), find_modality("sound").augment
    before = sound.samples.copy()
    first, again, other = (augment(sound, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.samples, again.samples)
    assert not np.array_equal(first.samples, other.samples)
    assert np.array_equal(sound.samples, before)
    assert (first.samples.shape, first.samples.dtype, first.rate) == (sound.samples.shape, np.float32, sound.rate)


OFF = {"gain": 0, "shift": 0, "noise": 0, "mask": 0}


@given(seed=st.integers(0, 1000))
def test_gain_is_within_bounds(seed: int) -> None:
    sound = make_noise()
    louder = find_modality("sound").augment(sound, seed=seed, **OFF | {"gain": 6.0})
    factor = float(louder.samples[0, 0] / sound.samples[0, 0])
    assert 10 ** (-6 / 20) - 1e-6 <= factor <= 10 ** (6 / 20) + 1e-6
    np.testing.assert_allclose(louder.samples, sound.samples * factor, rtol=1e-5)


@given(seed=st.integers(0, 1000))
def test_shift_is_circular_within_bounds(seed: int) -> None:
    sound = Waveform(np.arange(100, dtype=np.float32), 100)
    shifted = find_modality("sound").augment(sound, seed=seed, **OFF | {"shift": 0.2})
    by = int(shifted.samples[0].argmin())
    assert np.array_equal(shifted.samples[0], np.roll(sound.samples[0], by))
    assert min(by, 100 - by) <= 20


@given(seed=st.integers(0, 1000))
def test_mask_is_one_silent_span_within_bounds(seed: int) -> None:
    sound = Waveform(np.ones(1000, np.float32), 1000)
    silent = np.flatnonzero(find_modality("sound").augment(sound, seed=seed, **OFF | {"mask": 0.3}).samples[0] == 0)
    assert len(silent) <= 300
    assert not len(silent) or silent[-1] - silent[0] + 1 == len(silent)


def test_noise_is_relative_to_the_signal() -> None:
    sound = make_noise()
    added = find_modality("sound").augment(sound, seed=3, **OFF | {"noise": 0.5}).samples - sound.samples
    assert 0 < added.std() < 0.5 * sound.samples.std() * 1.1
    silence = Waveform(np.zeros(100, np.float32), 100)
    assert not find_modality("sound").augment(silence, seed=3, noise=1.0).samples.any()


@given(seed=st.integers(0, 1000), length=st.sampled_from([0.1, 0.5, 1.0, 1.7]))
def test_length_crops_or_pads(seed: int, length: float) -> None:
    sound = Waveform(1 + np.arange(100, dtype=np.float32), 100)
    segment = find_modality("sound").augment(sound, seed=seed, length=length, **OFF).samples[0]
    assert len(segment) == round(length * 100)
    heard = segment[segment > 0]
    assert len(heard) == min(100, len(segment))
    assert np.array_equal(np.diff(heard), np.ones(len(heard) - 1))


@pytest.mark.parametrize("options", [{"shift": 1.5}, {"noise": -0.1}, {"mask": 2}, {"gain": -1}, {"length": 0}])
def test_invalid_augmentation_is_rejected(options: dict[str, float]) -> None:
    with pytest.raises(BadOption):
        find_modality("sound").augment(make_noise(), seed=0, **options)


@pytest.mark.parametrize("shape", [(44_100, 2), (1025, 1)])
def test_samples_of_shape_n_channels_are_an_error(shape: tuple[int, int]) -> None:
    with pytest.raises(BadInput, match=r"transpose \(n, channels\)"):
        Waveform(np.zeros(shape), 44_100)


@pytest.mark.parametrize("rate", [None, float("nan"), float("inf"), "44100"])
def test_a_rate_that_is_no_number_is_an_error(rate: object) -> None:
    with pytest.raises(BadInput, match="expected an integer sample rate"):
        Waveform(np.zeros(9), rate)
