"""The towers: what goes into them, what comes out, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.transforms as transforms
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms.functional import InterpolationMode

import anybind
from anybind import BadInput, Binding
from anybind.binding import ConfiguredPart
from anybind.errors import BadOption
from anybind.registry import create_part
from anybind_events.stream import EventStream
from anybind_imagebind.towers import DepthTower, ImageTower, SoundTower, clip_bounds
from anybind_media.depth import DepthMap
from anybind_media.sound import Waveform

RATE = 16_000
SILENT_BAND = (float(np.log(np.finfo(np.float32).eps)) + 4.268) / 9.138
NOTHING = 4.268 / 9.138


def encode(tower: Any, samples: list[Any]) -> np.ndarray:
    return tower.encode([tower.preprocess(sample) for sample in samples])


def noise(seconds: float, rate: int = RATE, channels: int = 1, seed: int = 0) -> Waveform:
    random = np.random.default_rng(seed)
    return Waveform(random.normal(0, 0.1, (channels, int(seconds * rate))).astype(np.float32), rate)


def spectrogram(samples: np.ndarray) -> np.ndarray:
    """What a clip becomes, from the registered representation."""
    clip = torch.from_numpy(samples.copy())
    clip -= clip.mean()
    fbank = create_part("representation", "kaldi-fbank", mels=128, rate=RATE)(Waveform(clip.numpy(), RATE))[0]
    held = np.zeros((128, 204), np.float32)
    held[:, : fbank.shape[1]] = fbank[:, :204]
    return (held + 4.268) / 9.138


def test_a_sound_becomes_three_spectrograms(sound: SoundTower) -> None:
    given = noise(5)
    prepared = sound.preprocess(given)
    assert prepared.shape == (3, 1, 128, 204)
    assert prepared.dtype == torch.float32
    for number, first in enumerate((0, 24_000, 48_000)):
        expected = spectrogram(given.samples[:, first : first + 32_000])
        np.testing.assert_allclose(prepared[number, 0], expected, rtol=0, atol=1e-2)


@pytest.mark.parametrize("steps", [2, 3], ids=["pinned", "released"])
@given(samples=st.integers(32_000, 10_000_000))
def test_clips_are_spread_over_a_sound_within_a_sample(steps: int, samples: int) -> None:
    for number, (first, last) in enumerate(clip_bounds(samples, steps)):
        assert abs(first - (samples - 32_000) * number / steps) <= 1
        assert abs(last - first - 32_000) <= 1
        assert last <= samples


@pytest.mark.parametrize("samples", [1, 400, 31_999])
def test_a_sound_shorter_than_a_clip_is_wholly_in_each(samples: int) -> None:
    assert clip_bounds(samples, 2) == [(0, 32_000)] * 3


@pytest.mark.parametrize(("clips", "first"), [("pytorchvideo", 48_000), ("pytorchvideo-0.1.5", 32_000)])
def test_the_named_version_says_where_the_last_clip_begins(
    weights: str, architectures: Any, clips: str, first: int
) -> None:
    tower = SoundTower(weights, clips=clips, architecture=architectures["sound"])
    silent = np.zeros((1, 80_000), np.float32)
    silent[0, first : first + 8_000] = noise(1).samples[0, :8_000]  # heard from the last clip's first frame on
    heard = tower.preprocess(Waveform(silent, RATE))[2, 0].mean(dim=0)
    assert heard[0] > -1
    assert heard[60] < -1


def test_what_clips_share_is_moved_by_both_means(sound: SoundTower) -> None:
    given = noise(5).samples.copy()
    given += np.linspace(0, 1, given.shape[1], dtype=np.float32)
    moved = given.copy()
    for number, first in enumerate((0, 24_000, 48_000)):
        clip = moved[:, first : first + 32_000]
        expected = spectrogram(clip)
        clip -= clip.mean()
        np.testing.assert_allclose(sound.preprocess(Waveform(given, RATE))[number, 0], expected, rtol=0, atol=1e-3)


def test_clips_of_no_known_name_are_refused(weights: str) -> None:
    with pytest.raises(BadOption, match="pytorchvideo"):
        SoundTower(weights, clips="torchvideo")


def test_the_name_of_the_clips_is_part_of_the_identity(weights: str, architectures: Any, sound: SoundTower) -> None:
    other = SoundTower(weights, clips="pytorchvideo-0.1.5", architecture=architectures["sound"])
    assert other.weights_hash == sound.weights_hash
    assert other.identity != sound.identity


def test_a_sound_shorter_than_a_clip_is_three_times_the_same_followed_by_nothing(sound: SoundTower) -> None:
    given = noise(1)
    prepared = sound.preprocess(given)
    np.testing.assert_allclose(prepared[0, 0], spectrogram(given.samples), rtol=0, atol=1e-5)
    np.testing.assert_allclose(prepared[1:], prepared[:1].expand(2, -1, -1, -1), rtol=0, atol=2e-3)
    np.testing.assert_allclose(prepared[:, :, :, 98:], NOTHING, rtol=1e-6)


@pytest.mark.parametrize("samples", [1, 160, 399, 400])
def test_a_sound_shorter_than_a_frame_is_padded_with_silence(sound: SoundTower, samples: int) -> None:
    given = noise(1).samples[:, :samples]
    prepared = sound.preprocess(Waveform(given, RATE))
    padded = np.zeros((1, 400), np.float32)
    padded[:, :samples] = given - given.mean()
    np.testing.assert_allclose(prepared[0, 0, :, 0], spectrogram(padded)[:, 0], rtol=0, atol=2e-3)
    np.testing.assert_allclose(prepared[:, :, :, 1:], NOTHING, rtol=1e-6)
    assert np.isfinite(encode(sound, [Waveform(given, RATE)])).all()


def test_one_sample_at_a_high_rate_has_a_vector(sound: SoundTower) -> None:
    assert np.isfinite(encode(sound, [Waveform(np.ones((1, 1), np.float32), 192_000)])).all()


def test_silence_has_a_vector(sound: SoundTower) -> None:
    silence = Waveform(np.zeros((1, 3 * RATE), np.float32), RATE)
    np.testing.assert_allclose(sound.preprocess(silence)[:, :, :, :198], SILENT_BAND, rtol=1e-6)
    assert np.isfinite(encode(sound, [silence])).all()


def test_the_first_of_the_channels_is_heard(sound: SoundTower) -> None:
    eight = noise(3, channels=8)
    assert torch.equal(sound.preprocess(eight), sound.preprocess(eight.mono(0)))


def test_sounds_of_other_rates_are_resampled(sound: SoundTower) -> None:
    given = noise(3, rate=44_100)
    assert torch.equal(sound.preprocess(given), sound.preprocess(given.resample(RATE)))


def test_an_offset_is_not_heard_where_clips_share_nothing(sound: SoundTower) -> None:
    given = noise(6)
    shifted = Waveform(given.samples + np.float32(0.25), RATE)
    np.testing.assert_allclose(sound.preprocess(shifted), sound.preprocess(given), rtol=0, atol=1e-3)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_no_numbers_are_refused(sound: SoundTower, bad: float) -> None:
    given = noise(3).samples.copy()
    given[0, 1000] = bad
    with pytest.raises(BadInput, match="no numbers"):
        sound.preprocess(Waveform(given, RATE))


def test_a_sound_without_samples_or_rate_is_refused(sound: SoundTower) -> None:
    for empty in (Waveform(np.zeros((1, 0), np.float32), RATE), Waveform(np.zeros((1, 9), np.float32), 0)):
        with pytest.raises(BadInput):
            sound.preprocess(empty)


def test_sounds_that_overflow_are_refused_or_have_a_vector(sound: SoundTower) -> None:
    for loudest in (1e4, 1e18, 3e38):
        given = Waveform(noise(3).samples * np.float32(10 * loudest / 10), RATE)
        try:
            assert np.isfinite(encode(sound, [given])).all()
        except BadInput as error:
            assert "not finite" in str(error)  # noqa: PT017


def test_a_sounds_vector_is_the_mean_of_its_clips_vectors(sound: SoundTower) -> None:
    prepared = sound.preprocess(noise(6))
    with torch.inference_mode():
        each = torch.nn.functional.normalize(sound.module(prepared), dim=1).numpy()
    assert np.abs(each[0] - each[1]).max() > 1e-3
    mean = each.mean(axis=0)
    np.testing.assert_allclose(sound.encode([prepared])[0], mean / np.linalg.norm(mean), rtol=0, atol=1e-6)


def test_towers_know_the_scale_they_were_trained_with(sound: SoundTower, depth: DepthTower, image: ImageTower) -> None:
    assert sound.logit_scale == pytest.approx(20, rel=1e-6)
    assert depth.logit_scale == pytest.approx(5, rel=1e-6)
    assert image.logit_scale is None


def room(height: int = 30, width: int = 40, seed: int = 0, **known: Any) -> DepthMap:
    metres = np.random.default_rng(seed).uniform(0.5, 8, (height, width)).astype(np.float32)
    return DepthMap(metres, **({"fx": 518.0, "baseline": 0.075} | known))


@pytest.mark.parametrize("kind", ["sound", "depth", "image"])
def test_vectors_depend_on_no_batch(request: pytest.FixtureRequest, kind: str) -> None:
    tower = request.getfixturevalue(kind)
    random = np.random.default_rng(0)
    made = {
        "sound": lambda seed: noise(1 + seed, seed=seed),
        "depth": lambda seed: room(20 + seed, 30, seed),
        "image": lambda seed: random.integers(0, 256, (40, 30 + seed, 3), dtype=np.uint8),
    }
    prepared = [tower.preprocess(made[kind](seed)) for seed in range(4)]
    together = tower.encode(prepared)
    alone = np.concatenate([tower.encode([each]) for each in prepared])
    assert np.abs(together[0] - together[1]).max() > 1e-3
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=0, atol=1e-6)
    assert np.array_equal(together, tower.encode(prepared))


def depth_reference(sample: DepthMap, fx: float = 518.0, baseline: float = 0.075) -> np.ndarray:
    disparity = baseline * fx / torch.from_numpy(sample.metres).double().clamp(0.01, 50)
    steps = [
        transforms.Resize(224, interpolation=InterpolationMode.BICUBIC, antialias=True),
        transforms.CenterCrop(224),
        transforms.Normalize(mean=[0.0418], std=[0.0295]),
    ]
    return transforms.Compose(steps)((disparity.clamp(0.01, 75)[None] / 75).float()).numpy()


@pytest.mark.parametrize("shape", [(30, 40), (41, 30), (480, 640), (225, 224), (224, 224), (1, 5)])
def test_a_depth_map_becomes_a_normalised_disparity(depth: DepthTower, shape: tuple[int, int]) -> None:
    prepared = depth.preprocess(room(*shape))
    assert prepared.dtype == torch.float32
    np.testing.assert_allclose(prepared, depth_reference(room(*shape)), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("metres", "disparity"), [(3.885, 10.0), (1e-4, 75.0), (0.2, 75.0), (1e4, 0.777), (50.0, 0.777)]
)
def test_disparities_are_clamped(depth: DepthTower, metres: float, disparity: float) -> None:
    flat = DepthMap(np.full((30, 40), metres, np.float32), fx=518.0, baseline=0.075)
    np.testing.assert_allclose(depth.preprocess(flat), (disparity / 75 - 0.0418) / 0.0295, rtol=0, atol=1e-4)


@pytest.mark.parametrize("hole", [np.nan, 0.0])
def test_pixels_of_unknown_depth_get_the_median_disparity(depth: DepthTower, hole: float) -> None:
    flat = np.full((224, 224), 2.0, np.float32)
    flat[:60] = 8.0
    flat[100:120, 100:120] = hole
    whole = np.where(flat > 0, flat, np.float32(2.0))
    known = {"fx": 518.0, "baseline": 0.075}
    filled, expected = (depth.preprocess(DepthMap(each, **known)) for each in (flat, whole))
    np.testing.assert_allclose(filled, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("nothing", [np.nan, 0.0])
def test_a_map_that_knows_no_depth_is_refused(depth: DepthTower, nothing: float) -> None:
    with pytest.raises(BadInput, match="no pixel"):
        depth.preprocess(DepthMap(np.full((9, 9), nothing, np.float32), fx=518.0, baseline=0.075))


@pytest.mark.parametrize("lacking", ["fx", "baseline"])
def test_a_map_of_an_unknown_camera_is_refused_with_what_it_lacks(depth: DepthTower, lacking: str) -> None:
    with pytest.raises(BadInput, match=lacking):
        depth.preprocess(room(**{lacking: None}))


def test_the_towers_camera_serves_maps_that_know_none(weights: str, architectures: Any, depth: DepthTower) -> None:
    tower = DepthTower(weights, fx=518.0, baseline=0.075, architecture=architectures["depth"])
    assert torch.equal(tower.preprocess(room(fx=None, baseline=None)), depth.preprocess(room()))
    assert tower.identity != depth.identity


def test_a_map_that_knows_its_camera_is_seen_by_that(weights: str, architectures: Any, depth: DepthTower) -> None:
    tower = DepthTower(weights, fx=100.0, baseline=0.01, architecture=architectures["depth"])
    assert torch.equal(tower.preprocess(room()), depth.preprocess(room()))


@pytest.mark.parametrize("option", [{"fx": 0.0}, {"fx": float("nan")}, {"fx": "518"}, {"baseline": -1.0}])
def test_a_camera_that_cannot_be_is_refused(weights: str, option: dict[str, Any]) -> None:
    with pytest.raises(BadOption, match="above 0"):
        DepthTower(weights, **option)


@given(st.integers(1, 60), st.integers(1, 60), st.floats(0.001, 1000), st.floats(0, 0.99), st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_any_map_with_some_known_depth_becomes_finite(
    depth: DepthTower, height: int, width: int, far: float, holes: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    metres = random.uniform(0, far, (height, width)).astype(np.float32)
    metres[random.random(metres.shape) < holes] = np.nan
    metres[0, 0] = far
    prepared = depth.preprocess(DepthMap(metres, fx=500.0, baseline=0.1))
    assert prepared.shape == (1, 224, 224)
    assert torch.isfinite(prepared).all()


@pytest.mark.parametrize("shape", [(30, 40), (41, 30), (300, 451), (224, 224), (7, 300)])
def test_a_picture_is_scaled_cut_and_normalised_as_torchvision_does_it(
    image: ImageTower, shape: tuple[int, int]
) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    steps = [
        transforms.Resize(224, interpolation=InterpolationMode.BICUBIC),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    ]
    expected = transforms.Compose(steps)(Image.fromarray(picture))
    torch.testing.assert_close(image.preprocess(picture), expected, rtol=0, atol=1e-6)


def binding(weights: str, architectures: Any, *modalities: str) -> Binding:
    uses = {
        each: ConfiguredPart(f"imagebind-{each}", {"weights": weights, "architecture": architectures[each]})
        for each in modalities
    }
    return Binding(
        "small", uses | {"event": ConfiguredPart("event-encoder", {"image_encoder": "@image"})}, space="imagebind"
    )


def test_loading_says_that_the_weights_are_not_for_trade(weights: str, architectures: Any) -> None:
    binder = anybind.load(binding(weights, architectures, "sound"))
    with pytest.warns(anybind.AnybindWarning, match="CC-BY-NC-SA-4.0: no commercial use"):
        binder.encoder("sound")


@pytest.mark.filterwarnings("ignore:the weights of imagebind")
def test_sounds_depth_maps_pictures_words_and_events_meet_in_one_space(weights: str, architectures: Any) -> None:
    binder = anybind.load(binding(weights, architectures, "image", "sound", "depth", "text"))
    random = np.random.default_rng(0)
    events = EventStream(
        *(random.integers(0, 20, 99).astype(np.uint16) for _ in "xy"), np.arange(99), random.random(99) < 0.5, 20, 20
    )
    embedded = [
        binder.embed("event", [events]),
        binder.embed("image", [random.integers(0, 256, (30, 30, 3), dtype=np.uint8)]),
        binder.embed("sound", [noise(1)]),
        binder.embed("depth", [room()]),
        binder.embed("text", ["a dog"]),
    ]
    assert len({each.space for each in embedded}) == 1
    for one in embedded:
        for other in embedded:
            assert (one @ other).shape == (1, 1)


def test_the_binding_takes_a_file(weights: str) -> None:
    named = anybind.find_binding(f"imagebind:{weights}")
    assert named.name == f"imagebind:{weights}"
    assert {each: use.options.get("weights") for each, use in named.encoders.items()} == {
        **dict.fromkeys(("text", "image", "sound", "depth"), weights),
        "event": None,
    }


def test_the_binding_alone_is_of_the_published_weights() -> None:
    published = anybind.find_binding("imagebind")
    assert published.name == "imagebind"
    assert not published.encoders["sound"].options
    assert published.encoders["event"].options["image_encoder"] == "@image"


def test_embedding_sounds_loads_no_other_tower(weights: str, architectures: Any) -> None:
    small = binding(weights, architectures, "text", "sound")
    whole = anybind.find_binding(f"imagebind:{weights}")
    binder = anybind.load(replace(whole, encoders=small.encoders))
    with pytest.warns(anybind.AnybindWarning) as told:
        binder.embed("sound", [noise(1)])
    assert [str(each.message).split()[3] for each in told] == ["imagebind-sound"]
