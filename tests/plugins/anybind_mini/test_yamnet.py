"""YAMNet in torch and its input: references in float64, and the checks of its authors."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

import anybind
from anybind import BadInput
from anybind.plugin import modalities, tensors
from anybind_mini import log_mel
from anybind_mini.build_sound import FILE, UNUSED, build_map, build_sound, convert_weights, read_class_names
from anybind_mini.sound_encoder import MiniSoundEncoder
from anybind_mini.sound_input import MAX_PATCHES
from anybind_mini.yamnet import LAYERS, ConvReLU, Yamnet

pytestmark = pytest.mark.torch

NAMED = {
    "birds1": "Bird", "car-horn": "Vehicle horn, car horn, honking", "car_engine": "Engine", "crowd_cheering": "Cheering",
    "dog": "Dog", "guitar": "Guitar", "gunshots": "Gunshot, gunfire", "jazz_guitar": "Guitar", "piano": "Piano",
    "rain": "Rain", "arcade_music": "Music", "cinematic": "Music",
}  # fmt: skip


def compute_reference(samples: np.ndarray) -> np.ndarray:
    """Compute log mel patches in float64 by their definition: pad, Fourier sums, triangles over mel, logarithm."""
    hop, first = 0.48 * 16_000, (0.96 + 0.015) * 16_000
    length = first + hop * max(0, math.ceil((len(samples) - first) / hop))
    padded = np.pad(samples.astype(np.float64), (0, round(length) - len(samples)))
    n = np.arange(400)
    hann = 0.5 * (1 - np.cos(2 * np.pi * n / 400))
    sums = np.exp(-2j * np.pi * np.outer(n, np.arange(257)) / 512)
    frames = np.stack([padded[start : start + 400] for start in range(0, len(padded) - 399, 160)])
    spectrum = np.abs((frames * hann) @ sums)

    def to_mel(hz: float) -> float:
        return 1127 * math.log(1 + hz / 700)

    edges = np.linspace(to_mel(125), to_mel(7500), 66)
    weights = np.array([
        [max(0, min((to_mel(k * 31.25) - low) / (mid - low), (high - to_mel(k * 31.25)) / (high - mid)))
         for low, mid, high in zip(edges, edges[1:], edges[2:], strict=False)]
        for k in range(257)
    ])  # fmt: skip
    energies = np.log(spectrum @ weights + 0.001)
    return np.stack([energies[start : start + 96] for start in range(0, len(energies) - 95, 48)])


@settings(max_examples=12, deadline=None)
@given(
    length=st.integers(1, 40_000),
    level=st.sampled_from([0.0, 1e-4, 0.1, 1.0]),
    block=st.sampled_from([1000, 7777, 1 << 20]),
    seed=st.integers(0, 9),
)
def test_log_mel_patches_match_their_definition_in_any_blocks(length, level, block, seed):
    samples = (level * np.random.default_rng(seed).standard_normal(length)).astype(np.float32)
    blocks = [samples[first : first + block] for first in range(0, length, block)]
    patches = log_mel.compute_patches(blocks)
    assert patches.dtype == np.float32
    assert len(patches) == log_mel.count_patches(length)
    np.testing.assert_allclose(patches, compute_reference(samples), rtol=0, atol=2e-3)


@pytest.mark.parametrize(("length", "expected"), [(1, 1), (15_600, 1), (15_601, 2), (23_280, 2), (23_281, 3)])
def test_a_patch_more_is_needed_after_every_48_frames(length, expected):
    assert log_mel.count_patches(length) == expected
    assert len(log_mel.compute_patches([np.zeros(length, np.float32)])) == expected


@pytest.mark.parametrize("every", [2, 3, 7])
def test_every_so_many_patches_are_those_of_the_whole_clip(every):
    samples = np.random.default_rng(0).standard_normal(100_000).astype(np.float32)
    blocks = [samples[first : first + 9001] for first in range(0, len(samples), 9001)]
    assert np.array_equal(log_mel.compute_patches(blocks, every), log_mel.compute_patches(blocks)[::every])


def make_arrays() -> dict[str, np.ndarray]:
    """Make random arrays with the names and shapes of YAMNet's."""
    random, arrays, width = np.random.default_rng(0), {}, 1

    def add(number: int, name: str, *shape: int) -> None:
        fan_in = math.prod(shape[:3]) if name == "kernel" else 9
        arrays[f"layer_with_weights-{number}.{name}"] = (
            random.uniform(0.5, 2, shape) if name == "moving_variance"
            else random.standard_normal(shape) * (math.sqrt(2 / fan_in) if "kernel" in name else 0.1)
        ).astype(np.float32)  # fmt: skip

    for number, channels in enumerate([32, *(each for width, _ in LAYERS for each in (0, width))]):
        if channels:
            size = 1 if number else 3
            add(2 * number, "kernel", size, size, width, channels)
            width = channels
        else:
            add(2 * number, "depthwise_kernel", 3, 3, width, 1)
        for name in ("beta", "moving_mean", "moving_variance"):
            add(2 * number + 1, name, width)
    add(54, "kernel", 1024, 521)
    add(54, "bias", 521)
    return arrays


def run_reference(arrays: Mapping[str, np.ndarray], patch: np.ndarray) -> np.ndarray:
    """Run the network by its definition in float64: convolution, batch norm and ReLU one after the other."""
    hidden = torch.from_numpy(patch.astype(np.float64))[None, None]
    strides = [2, *(each for _, stride in LAYERS for each in (stride, 1))]

    def get(number: int, name: str) -> torch.Tensor:
        return torch.from_numpy(arrays[f"layer_with_weights-{number}.{name}"].astype(np.float64))

    for number, stride in enumerate(strides):
        depthwise = number % 2 == 1
        kernel = get(2 * number, "depthwise_kernel" if depthwise else "kernel")
        kernel = kernel.permute(2, 3, 0, 1) if depthwise else kernel.permute(3, 2, 0, 1)
        pads = []
        for size in (hidden.shape[3], hidden.shape[2]):  # TensorFlow's SAME padding
            total = max((-(-size // stride) - 1) * stride + kernel.shape[2] - size, 0)
            pads += [total // 2, total - total // 2]
        groups = hidden.shape[1] if depthwise else 1
        hidden = functional.conv2d(functional.pad(hidden, pads), kernel, stride=stride, groups=groups)
        beta, mean, variance = (
            get(2 * number + 1, name)[:, None, None] for name in ("beta", "moving_mean", "moving_variance")
        )
        hidden = ((hidden - mean) / (variance + 1e-4).sqrt() + beta).clamp(min=0)
    return torch.sigmoid(hidden.mean((2, 3)) @ get(54, "kernel") + get(54, "bias"))[0].numpy()


def test_the_network_with_folded_batch_norms_matches_its_definition():
    arrays = make_arrays()
    network = Yamnet()
    network.load_state_dict({name: torch.from_numpy(array) for name, array in convert_weights(arrays).items()})
    patch = np.random.default_rng(1).standard_normal((96, 64)).astype(np.float32)
    with torch.inference_mode():
        scores = network(torch.from_numpy(patch)[None])[0].numpy()
    expected = run_reference(arrays, patch)
    assert expected.std() > 0.01
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-4)


def test_a_missing_array_and_another_class_map_are_errors(tmp_path):
    arrays = make_arrays()
    del arrays["layer_with_weights-13.beta"]
    with pytest.raises(BadInput, match=r"missing array layer_with_weights-13\.beta"):
        convert_weights(arrays)
    (tmp_path / "map.csv").write_text("index,mid,display_name\n0,/m/09x0r,Speech\n")
    with pytest.raises(BadInput, match="expected YAMNet's class map with 521 display names, got 1 rows"):
        read_class_names(tmp_path / "map.csv")


def test_the_map_of_class_scores_is_the_ridge_solution():
    names = np.random.default_rng(0).standard_normal((521, 24))
    names[:, 7] = 0
    names /= np.linalg.norm(names, axis=1, keepdims=True)
    weight, bias = build_map(names, 7)
    assert np.flatnonzero(bias).tolist() == [7]
    assert not weight[:, UNUSED].any()
    assert not weight[7].any()
    centred = names - names.mean(axis=0)
    gram = centred.T @ centred
    # At the minimum of |centred M - I|^2 + penalty |M|^2, the gradient is zero.
    solution = np.linalg.inv(gram + 0.3 * np.trace(gram) / 24 * np.eye(24)) @ centred.T
    used = np.setdiff1d(np.arange(521), UNUSED)
    scale = np.linalg.norm(solution, axis=0).mean()
    np.testing.assert_allclose(weight[:, used], solution[:, used] / scale, rtol=0, atol=1e-6)


def test_strided_convolutions_pad_the_end_alone():
    convolution = ConvReLU(1, 1, 3, stride=2)
    with torch.no_grad():
        convolution.weight.fill_(1)
        assert convolution.bias is not None
        convolution.bias.fill_(0)
        sums = convolution(torch.ones(1, 1, 4, 4))[0, 0]
    assert sums.tolist() == [[9, 6], [6, 4]]


@pytest.fixture(scope="module")
def encoder() -> MiniSoundEncoder:
    encoder = anybind.load("mini").encoder("sound", "torch")
    assert isinstance(encoder, MiniSoundEncoder)
    return encoder


def rank_classes(encoder: MiniSoundEncoder, waveform: np.ndarray) -> list[str]:
    """Rank the names of the classes by their mean score over the patches of a clip at 16 kHz."""
    with torch.inference_mode():
        scores = encoder.module.network(torch.from_numpy(log_mel.compute_patches([waveform]))).mean(0).numpy()
    return [tensors.read_card(FILE)["classes"][index] for index in np.argsort(-scores)]


def test_the_synthetic_signals_of_the_authors_get_their_classes(encoder):
    """As in `yamnet_test.py`: the class is among the ten best of three seconds."""
    noise = np.random.default_rng(0).uniform(-1, 1, 48_000).astype(np.float32)
    sine = np.sin(2 * np.pi * 440 * np.arange(48_000) / 16_000).astype(np.float32)
    for waveform, name in ((np.zeros(48_000, np.float32), "Silence"), (noise, "White noise"), (sine, "Sine wave")):
        assert name in rank_classes(encoder, waveform)[:10]


@pytest.mark.slow
@pytest.mark.parametrize(("file", "name"), NAMED.items())
def test_recorded_sounds_get_their_class(encoder, test_data, file, name):
    clip = anybind.read(test_data / "freesound_samples" / f"{file}.flac").mono().resample(16_000)
    assert name in rank_classes(encoder, clip.samples[0])[:5]


@pytest.mark.long
@pytest.mark.slow
def test_the_shipped_weights_are_those_of_the_build(test_data, tmp_path):
    card, built = tensors.read_tensors(build_sound(test_data / "yamnet", tmp_path / "sound.safetensors"))
    shipped_card, shipped = tensors.read_tensors(FILE)
    assert card == shipped_card
    assert built.keys() == shipped.keys()
    for name, array in built.items():
        np.testing.assert_allclose(array, shipped[name], rtol=2e-3, atol=5e-4, err_msg=name)


@pytest.mark.parametrize("level", [0, 1e-5, 1e-4])
def test_silence_is_similar_to_no_text(level):
    noise = np.random.default_rng(0).standard_normal(32_000) * level
    binder = anybind.load("mini")
    vectors = binder.embed("sound", [modalities.make_sample("sound", noise.astype(np.float32), 16_000)])
    texts = binder.embed("text", ["a dog", "silence", "the sound of rain", "a photo of a violin"])
    assert np.abs(vectors @ texts).max() < 0.01


def test_a_clip_shorter_than_a_patch_is_mirrored(encoder):
    short = np.random.default_rng(0).standard_normal(6000).astype(np.float32)
    inputs = encoder.preprocess(modalities.make_sample("sound", short, 16_000))
    mirrored = np.concatenate([short, short[-2::-1], short[1:]])[: log_mel.PATCH_SAMPLES]
    assert torch.equal(inputs, torch.from_numpy(log_mel.compute_patches([mirrored])))


def test_a_long_clip_has_evenly_spaced_patches(encoder):
    clip = modalities.make_sample("sound", np.zeros(16_000 * 600, np.float32), 16_000)
    assert len(encoder.preprocess(clip)) == 417  # of 1,249, one of three
    assert MAX_PATCHES == 600


def test_one_clip_by_the_module_is_the_encoders_embedding(encoder):
    inputs = torch.from_numpy(np.random.default_rng(0).standard_normal((7, 96, 64)).astype(np.float32))
    with torch.inference_mode():
        alone = encoder.module(inputs).numpy()
    np.testing.assert_allclose(encoder.encode_raw([inputs[:2], inputs])[1:], alone, rtol=0, atol=1e-5)
