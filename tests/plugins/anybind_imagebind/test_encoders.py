"""The encoders: preprocessing, embeddings, and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torchvision.transforms as transforms
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms.functional import InterpolationMode

from anybind import BadInput
from anybind.errors import BadOption
from anybind.registry import create_part
from anybind_imagebind.encoders import (
    ImageBindDepthEncoder,
    ImageBindImageEncoder,
    ImageBindSoundEncoder,
)
from anybind_imagebind.inputs import compute_clip_bounds
from anybind_media.depth import DepthMap
from anybind_media.sound import Waveform

RATE = 16_000
SILENT_BAND = (float(np.log(np.finfo(np.float32).eps)) + 4.268) / 9.138
ZERO_PADDING = 4.268 / 9.138


def encode(encoder: Any, samples: list[Any]) -> np.ndarray:
    return encoder.encode([encoder.preprocess(sample) for sample in samples])


def make_noise(seconds: float, rate: int = RATE, channels: int = 1, seed: int = 0) -> Waveform:
    random = np.random.default_rng(seed)
    return Waveform(random.normal(0, 0.1, (channels, int(seconds * rate))).astype(np.float32), rate)


def compute_spectrogram(samples: np.ndarray) -> np.ndarray:
    """Return the spectrogram of a clip by the registered representation."""
    clip = torch.from_numpy(samples.copy())
    clip -= clip.mean()
    fbank = create_part("representation", "kaldi-fbank", mels=128, rate=RATE)(Waveform(clip.numpy(), RATE))[0]
    padded_fbank = np.zeros((128, 204), np.float32)
    padded_fbank[:, : fbank.shape[1]] = fbank[:, :204]
    return (padded_fbank + 4.268) / 9.138


def test_audio_becomes_three_spectrograms(sound_encoder: ImageBindSoundEncoder) -> None:
    waveform = make_noise(5)
    inputs = sound_encoder.preprocess(waveform)
    assert inputs.shape == (3, 1, 128, 204)
    assert inputs.dtype == torch.float32
    for number, first in enumerate((0, 24_000, 48_000)):
        expected = compute_spectrogram(waveform.samples[:, first : first + 32_000])
        np.testing.assert_allclose(inputs[number, 0], expected, rtol=0, atol=1e-2)


@pytest.mark.parametrize("steps", [2, 3], ids=["pinned", "released"])
@given(samples=st.integers(32_000, 10_000_000))
def test_clips_are_evenly_spaced_to_within_a_sample(steps: int, samples: int) -> None:
    for number, (first, last) in enumerate(compute_clip_bounds(samples, steps)):
        assert abs(first - (samples - 32_000) * number / steps) <= 1
        assert abs(last - first - 32_000) <= 1
        assert last <= samples


@pytest.mark.parametrize("samples", [1, 400, 31_999])
def test_audio_shorter_than_a_clip_is_complete_in_each_clip(samples: int) -> None:
    assert compute_clip_bounds(samples, 2) == [(0, 32_000)] * 3


@pytest.mark.parametrize(("clips", "first"), [("pytorchvideo", 48_000), ("pytorchvideo-0.1.5", 32_000)])
def test_the_clips_option_sets_the_start_of_the_last_clip(
    weights: str, architectures: Any, clips: str, first: int
) -> None:
    encoder = ImageBindSoundEncoder(weights, clips=clips, architecture=architectures["sound"])
    silent = np.zeros((1, 80_000), np.float32)
    silent[0, first : first + 8_000] = make_noise(1).samples[0, :8_000]  # starts with the last clip
    spectrogram = encoder.preprocess(Waveform(silent, RATE))[2, 0].mean(dim=0)
    assert spectrogram[0] > -1
    assert spectrogram[60] < -1


def test_overlapping_samples_are_shifted_by_both_means(sound_encoder: ImageBindSoundEncoder) -> None:
    waveform = make_noise(5).samples.copy()
    waveform += np.linspace(0, 1, waveform.shape[1], dtype=np.float32)
    shifted = waveform.copy()
    for number, first in enumerate((0, 24_000, 48_000)):
        clip = shifted[:, first : first + 32_000]
        expected = compute_spectrogram(clip)
        clip -= clip.mean()
        np.testing.assert_allclose(
            sound_encoder.preprocess(Waveform(waveform, RATE))[number, 0], expected, rtol=0, atol=1e-3
        )


def test_unknown_clips_are_an_error(weights: str) -> None:
    with pytest.raises(BadOption, match="pytorchvideo"):
        ImageBindSoundEncoder(weights, clips="torchvideo")


def test_the_clips_option_is_part_of_the_identity(
    weights: str, architectures: Any, sound_encoder: ImageBindSoundEncoder
) -> None:
    other = ImageBindSoundEncoder(weights, clips="pytorchvideo-0.1.5", architecture=architectures["sound"])
    assert other.weights_hash == sound_encoder.weights_hash
    assert other.identity != sound_encoder.identity


def test_audio_shorter_than_a_clip_gives_three_equal_padded_clips(sound_encoder: ImageBindSoundEncoder) -> None:
    waveform = make_noise(1)
    inputs = sound_encoder.preprocess(waveform)
    np.testing.assert_allclose(inputs[0, 0], compute_spectrogram(waveform.samples), rtol=0, atol=1e-5)
    np.testing.assert_allclose(inputs[1:], inputs[:1].expand(2, -1, -1, -1), rtol=0, atol=2e-3)
    np.testing.assert_allclose(inputs[:, :, :, 98:], ZERO_PADDING, rtol=1e-6)


@pytest.mark.parametrize("samples", [1, 160, 399, 400])
def test_audio_shorter_than_a_frame_is_padded_with_silence(sound_encoder: ImageBindSoundEncoder, samples: int) -> None:
    waveform = make_noise(1).samples[:, :samples]
    inputs = sound_encoder.preprocess(Waveform(waveform, RATE))
    padded = np.zeros((1, 400), np.float32)
    padded[:, :samples] = waveform - waveform.mean()
    np.testing.assert_allclose(inputs[0, 0, :, 0], compute_spectrogram(padded)[:, 0], rtol=0, atol=2e-3)
    np.testing.assert_allclose(inputs[:, :, :, 1:], ZERO_PADDING, rtol=1e-6)
    assert np.isfinite(encode(sound_encoder, [Waveform(waveform, RATE)])).all()


def test_a_single_sample_at_a_high_rate_has_an_embedding(sound_encoder: ImageBindSoundEncoder) -> None:
    assert np.isfinite(encode(sound_encoder, [Waveform(np.ones((1, 1), np.float32), 192_000)])).all()


def test_silence_has_an_embedding(sound_encoder: ImageBindSoundEncoder) -> None:
    silence = Waveform(np.zeros((1, 3 * RATE), np.float32), RATE)
    np.testing.assert_allclose(sound_encoder.preprocess(silence)[:, :, :, :198], SILENT_BAND, rtol=1e-6)
    assert np.isfinite(encode(sound_encoder, [silence])).all()


def test_the_first_channel_is_used(sound_encoder: ImageBindSoundEncoder) -> None:
    eight = make_noise(3, channels=8)
    assert torch.equal(sound_encoder.preprocess(eight), sound_encoder.preprocess(eight.mono(0)))


def test_audio_of_other_sample_rates_is_resampled(sound_encoder: ImageBindSoundEncoder) -> None:
    waveform = make_noise(3, rate=44_100)
    assert torch.equal(sound_encoder.preprocess(waveform), sound_encoder.preprocess(waveform.resample(RATE)))


def test_an_offset_has_no_effect_on_disjoint_clips(sound_encoder: ImageBindSoundEncoder) -> None:
    waveform = make_noise(6)
    shifted = Waveform(waveform.samples + np.float32(0.25), RATE)
    np.testing.assert_allclose(sound_encoder.preprocess(shifted), sound_encoder.preprocess(waveform), rtol=0, atol=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_an_error(sound_encoder: ImageBindSoundEncoder, value: float) -> None:
    waveform = make_noise(3).samples.copy()
    waveform[0, 1000] = value
    with pytest.raises(BadInput, match="expected finite samples"):
        sound_encoder.preprocess(Waveform(waveform, RATE))


def test_audio_without_samples_or_rate_is_an_error(sound_encoder: ImageBindSoundEncoder) -> None:
    for empty in (Waveform(np.zeros((1, 0), np.float32), RATE), Waveform(np.zeros((1, 9), np.float32), 0)):
        with pytest.raises(BadInput):
            sound_encoder.preprocess(empty)


def test_overflowing_audio_is_an_error_or_has_an_embedding(sound_encoder: ImageBindSoundEncoder) -> None:
    for loudest in (1e4, 1e18, 3e38):
        waveform = Waveform(make_noise(3).samples * np.float32(10 * loudest / 10), RATE)
        try:
            assert np.isfinite(encode(sound_encoder, [waveform])).all()
        except BadInput as error:
            assert "not finite" in str(error)  # noqa: PT017


def test_an_audio_embedding_is_the_mean_of_its_clip_embeddings(sound_encoder: ImageBindSoundEncoder) -> None:
    inputs = sound_encoder.preprocess(make_noise(6))
    with torch.inference_mode():
        each = torch.nn.functional.normalize(sound_encoder.module(inputs), dim=1).numpy()
    assert np.abs(each[0] - each[1]).max() > 1e-3
    mean = each.mean(axis=0)
    np.testing.assert_allclose(sound_encoder.encode([inputs])[0], mean / np.linalg.norm(mean), rtol=0, atol=1e-6)


def test_encoders_have_the_logit_scale_of_their_weights(
    sound_encoder: ImageBindSoundEncoder, depth_encoder: ImageBindDepthEncoder, image_encoder: ImageBindImageEncoder
) -> None:
    assert sound_encoder.logit_scale == pytest.approx(20, rel=1e-6)
    assert depth_encoder.logit_scale == pytest.approx(5, rel=1e-6)
    assert image_encoder.logit_scale is None


def make_depth_map(height: int = 30, width: int = 40, seed: int = 0, **camera: Any) -> DepthMap:
    metres = np.random.default_rng(seed).uniform(0.5, 8, (height, width)).astype(np.float32)
    return DepthMap(metres, **({"fx": 518.0, "baseline": 0.075} | camera))


@pytest.mark.parametrize("modality", ["sound", "depth", "image"])
def test_embeddings_do_not_depend_on_the_batch(request: pytest.FixtureRequest, modality: str) -> None:
    encoder = request.getfixturevalue(f"{modality}_encoder")
    random = np.random.default_rng(0)
    makers = {
        "sound": lambda seed: make_noise(1 + seed, seed=seed),
        "depth": lambda seed: make_depth_map(20 + seed, 30, seed),
        "image": lambda seed: random.integers(0, 256, (40, 30 + seed, 3), dtype=np.uint8),
    }
    inputs = [encoder.preprocess(makers[modality](seed)) for seed in range(4)]
    batched = encoder.encode(inputs)
    single = np.concatenate([encoder.encode([each]) for each in inputs])
    assert np.abs(batched[0] - batched[1]).max() > 1e-3
    np.testing.assert_allclose(batched, single, rtol=0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(batched, axis=1), 1, rtol=0, atol=1e-6)
    assert np.array_equal(batched, encoder.encode(inputs))


def preprocess_reference(sample: DepthMap, fx: float = 518.0, baseline: float = 0.075) -> np.ndarray:
    disparity = baseline * fx / torch.from_numpy(sample.metres).double().clamp(0.01, 50)
    steps = [
        transforms.Resize(224, interpolation=InterpolationMode.BICUBIC, antialias=True),
        transforms.CenterCrop(224),
        transforms.Normalize(mean=[0.0418], std=[0.0295]),
    ]
    return transforms.Compose(steps)((disparity.clamp(0.01, 75)[None] / 75).float()).numpy()


@pytest.mark.parametrize("shape", [(30, 40), (41, 30), (480, 640), (225, 224), (224, 224), (1, 5)])
def test_a_depth_map_becomes_a_normalised_disparity_map(
    depth_encoder: ImageBindDepthEncoder, shape: tuple[int, int]
) -> None:
    inputs = depth_encoder.preprocess(make_depth_map(*shape))
    assert inputs.dtype == torch.float32
    np.testing.assert_allclose(inputs, preprocess_reference(make_depth_map(*shape)), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("metres", "disparity"), [(3.885, 10.0), (1e-4, 75.0), (0.2, 75.0), (1e4, 0.777), (50.0, 0.777)]
)
def test_disparities_are_clamped(depth_encoder: ImageBindDepthEncoder, metres: float, disparity: float) -> None:
    metres = DepthMap(np.full((30, 40), metres, np.float32), fx=518.0, baseline=0.075)
    np.testing.assert_allclose(depth_encoder.preprocess(metres), (disparity / 75 - 0.0418) / 0.0295, rtol=0, atol=1e-4)


@pytest.mark.parametrize("hole", [np.nan, 0.0])
def test_pixels_of_unknown_depth_get_the_median_disparity(depth_encoder: ImageBindDepthEncoder, hole: float) -> None:
    metres = np.full((224, 224), 2.0, np.float32)
    metres[:60] = 8.0
    metres[100:120, 100:120] = hole
    filled = np.where(metres > 0, metres, np.float32(2.0))
    camera = {"fx": 518.0, "baseline": 0.075}
    actual, expected = (depth_encoder.preprocess(DepthMap(each, **camera)) for each in (metres, filled))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("unknown", [np.nan, 0.0])
def test_a_depth_map_without_known_depth_is_an_error(depth_encoder: ImageBindDepthEncoder, unknown: float) -> None:
    with pytest.raises(BadInput, match="all pixels is 0 or NaN"):
        depth_encoder.preprocess(DepthMap(np.full((9, 9), unknown, np.float32), fx=518.0, baseline=0.075))


@pytest.mark.parametrize("missing", ["fx", "baseline"])
def test_a_missing_camera_parameter_is_an_error(depth_encoder: ImageBindDepthEncoder, missing: str) -> None:
    with pytest.raises(BadInput, match=missing):
        depth_encoder.preprocess(make_depth_map(**{missing: None}))


def test_the_encoders_camera_is_used_for_maps_without_one(
    weights: str, architectures: Any, depth_encoder: ImageBindDepthEncoder
) -> None:
    encoder = ImageBindDepthEncoder(weights, fx=518.0, baseline=0.075, architecture=architectures["depth"])
    assert torch.equal(
        encoder.preprocess(make_depth_map(fx=None, baseline=None)), depth_encoder.preprocess(make_depth_map())
    )
    assert encoder.identity != depth_encoder.identity


def test_the_maps_camera_takes_precedence(
    weights: str, architectures: Any, depth_encoder: ImageBindDepthEncoder
) -> None:
    encoder = ImageBindDepthEncoder(weights, fx=100.0, baseline=0.01, architecture=architectures["depth"])
    assert torch.equal(encoder.preprocess(make_depth_map()), depth_encoder.preprocess(make_depth_map()))


@pytest.mark.parametrize("option", [{"fx": 0.0}, {"fx": float("nan")}, {"fx": "518"}, {"baseline": -1.0}])
def test_invalid_camera_parameters_are_an_error(weights: str, option: dict[str, Any]) -> None:
    with pytest.raises(BadOption, match="above 0"):
        ImageBindDepthEncoder(weights, **option)


@given(st.integers(1, 60), st.integers(1, 60), st.floats(0.001, 1000), st.floats(0, 0.99), st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_any_depth_map_with_known_depth_gives_finite_input(
    depth_encoder: ImageBindDepthEncoder, height: int, width: int, far: float, holes: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    metres = random.uniform(0, far, (height, width)).astype(np.float32)
    metres[random.random(metres.shape) < holes] = np.nan
    metres[0, 0] = far
    inputs = depth_encoder.preprocess(DepthMap(metres, fx=500.0, baseline=0.1))
    assert inputs.shape == (1, 224, 224)
    assert torch.isfinite(inputs).all()


@pytest.mark.parametrize("shape", [(30, 40), (41, 30), (300, 451), (224, 224), (7, 300)])
def test_image_preprocessing_equals_torchvision(image_encoder: ImageBindImageEncoder, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    steps = [
        transforms.Resize(224, interpolation=InterpolationMode.BICUBIC),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    ]
    expected = transforms.Compose(steps)(Image.fromarray(image))
    torch.testing.assert_close(image_encoder.preprocess(image), expected, rtol=0, atol=1e-6)
