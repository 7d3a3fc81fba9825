"""Maps of two objects: higher relevance on the target one, unchanged encoders, flat maps."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
import torch

import anybind
from anybind import BadInput, Binding
from anybind.binding import ConfiguredPart
from anybind.encoder import Encoder
from anybind.errors import BadOption, UnknownName
from anybind.tensors import hash_state
from anybind.torch_encoder import TorchEncoder
from anybind_explain import relevance
from anybind_explain.geometry import InputRegion, project_map
from anybind_explain.pairs import Relevance, explain_pair, find_patch_grid

NAMES = {"left": "a cat", "right": "a cup of coffee"}


@pytest.fixture(scope="module")
def samples(two_objects):
    """Return the two objects, and the two objects swapped, as an image and as a recording."""
    swapped = np.concatenate([two_objects[:, 160:], two_objects[:, :160]], axis=1)
    images = {False: two_objects, True: swapped}
    return {
        "image": images,
        "event": {is_swapped: anybind.derive("event", image, seed=0) for is_swapped, image in images.items()},
    }


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("modality", ["image", "event"])
def test_relevance_is_higher_on_the_named_object(mini, samples, modality, side, swapped):
    explanation = explain_pair(mini, modality, samples[modality][swapped], NAMES[side])
    projected = project_map(explanation.grid, explanation.region, 100, 200)
    left, right = np.nansum(projected[:, :100]), np.nansum(projected[:, 100:])
    target, other = (left, right) if (side == "left") != swapped else (right, left)
    assert target > 2 * other


def test_the_score_is_the_cosine_of_the_embeddings(mini, tiny, samples):
    for binder in (mini, tiny):
        for modality in ("image", "event"):
            sample = samples[modality][False]
            cosine = binder.embed(modality, [sample]) @ binder.embed("text", ["a cat"])
            assert explain_pair(binder, modality, sample, "a cat").score == pytest.approx(float(cosine[0, 0]), abs=1e-5)


def test_the_map_of_an_event_encoder_has_a_cell_per_patch(tiny, samples):
    explanation = explain_pair(tiny, "event", samples["event"][False], "a cat")
    assert explanation.grid.shape == (4, 4)
    assert (explanation.grid >= 0).all()
    assert explanation.grid.sum() > 0


@pytest.mark.parametrize("modality", ["image", "event"])
@pytest.mark.parametrize("name", ["mini", "tiny"])
def test_explanations_are_reproducible_and_change_no_encoder(request, samples, name, modality):
    binder = request.getfixturevalue(name)
    encoders = [binder.encoder(modality), binder.encoder("text")]
    weights = [weight for encoder in encoders for weight in encoder.module.parameters()]
    hashes = [hash_state(encoder.module.state_dict()) for encoder in encoders]
    first = explain_pair(binder, modality, samples[modality][False], "a cat on a sofa")
    submodule = next(iter(encoders[0].module.children()))
    submodule.train()
    weights[0].requires_grad_(False)
    weights[1].grad = torch.ones_like(weights[1])
    try:
        second = explain_pair(binder, modality, samples[modality][False], "a cat on a sofa")
        assert submodule.training
        assert not weights[0].requires_grad
        assert torch.equal(weights[1].grad, torch.ones_like(weights[1]))
        assert all(weight.grad is None for weight in weights[2:])
    finally:
        submodule.eval()
        weights[0].requires_grad_(True)
        weights[1].grad = None
    assert np.array_equal(first.grid, second.grid)
    assert first.words == second.words
    assert [hash_state(encoder.module.state_dict()) for encoder in encoders] == hashes


def test_the_patch_grid_is_found_with_and_without_class_token():
    assert find_patch_grid(50, 224, 224) == (1, 7, 7)
    assert find_patch_grid(49, 224, 224) == (0, 7, 7)
    assert find_patch_grid(9, 32, 64) == (1, 2, 4)
    with pytest.raises(BadInput, match="got 8 tokens"):
        find_patch_grid(8, 64, 64)


class NumpyEncoder(Encoder):
    """An encoder without torch."""

    modality, space, weights_hash, preprocessing = "image", anybind.Space("s", 2, "b"), "0" * 12, {}

    def encode(self, inputs):
        return np.tile(np.float32([1, 0]), (len(inputs), 1))


class LinearEncoder(TorchEncoder):
    """An encoder without attention and convolution."""

    def __init__(self, modality):
        module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))
        super().__init__(module, modality=modality, space=NumpyEncoder.space, preprocessing={})

    def preprocess(self, sample):
        return torch.ones(3, 2, 2)


@pytest.mark.parametrize("image", [NumpyEncoder(), LinearEncoder("image")])
def test_unsupported_encoders_are_an_error(image):
    binding = anybind.Binding("strange", {name: ConfiguredPart("odd") for name in ("image", "text")})
    binder = anybind.Binder(binding, backend="torch")
    binder._loader.encoders = {("image", "torch"): image, ("text", "torch"): LinearEncoder("text")}
    with pytest.raises(BadInput, match=r"the image encoder 'odd' cannot be explained; .*convolutional"):
        explain_pair(binder, "image", np.zeros((2, 2, 3), np.uint8), "a cat")


def test_modalities_without_frames_or_encoder_are_an_error(mini, tiny, two_objects):
    with pytest.raises(BadOption, match="got text"):
        explain_pair(mini, "text", "a cat", "a cat")
    no_events = anybind.load(anybind.Binding("b", {name: tiny.binding.encoders[name] for name in ("image", "text")}))
    with pytest.raises(UnknownName, match="no encoder for 'event'"):
        explain_pair(no_events, "event", None, "a cat")


@pytest.mark.parametrize(
    ("grid", "half_area", "is_flat", "description"),
    [
        (np.ones((7, 7)), 25 / 49, True, "map of 7 x 7 cells, flat: half of the relevance lies in 51 % of its area"),
        (np.zeros((2, 4)), 0.5, True, "map of 2 x 4 cells, empty: no region contributes"),
        (np.diag([9.0, 1, 1, 1]), 1 / 16, False, "map of 4 x 4 cells: half of the relevance lies in 6 % of its area"),
        (np.eye(4), 2 / 16, False, "map of 4 x 4 cells: half of the relevance lies in 12 % of its area"),
        (1 + 0.1 * np.eye(5), 13 / 25, True, "map of 5 x 5 cells, flat"),
    ],
)
def test_a_map_without_contrast_is_flat(grid, half_area, is_flat, description):
    explanation = Relevance(0.1, grid, InputRegion(), (), {}, 1.0, "all")
    assert explanation.half_area == pytest.approx(half_area)
    assert explanation.is_flat == is_flat
    assert explanation.describe_map().startswith(description)


def test_a_flat_map_warns_and_a_map_of_a_named_object_does_not(mini, two_objects, monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("error", anybind.AnybindWarning)
        assert not relevance(two_objects, "a cat", binding=mini).is_flat
    monkeypatch.setattr("anybind_explain.pairs.FLAT_AREA", 0.01)
    with pytest.warns(anybind.AnybindWarning, match="image, 'a cat': map of 7 x 7 cells, flat"):
        relevance(two_objects, "a cat", binding=mini)


def test_the_map_of_several_windows_is_the_mean_of_their_maps(mini, two_objects):
    def load_with_windows(windows: int) -> anybind.Binder:
        options = {"representation": "count-image", "options": {"crop": False, "density": 0.2}, "size": 96}
        event = Binding.configure("event-encoder", image_encoder="@image", windows=windows, **options)
        binding = mini.binding
        encoders = {**binding.encoders, "event": event}
        return anybind.Binder(Binding("windows", encoders, space=binding.space, adapters=binding.adapters))

    recording = anybind.derive("event", two_objects, seed=0)
    edges = np.linspace(0, len(recording), 4).round().astype(int)
    parts = [recording[first:last] for first, last in itertools.pairwise(edges)]
    maps = [explain_pair(load_with_windows(1), "event", part, "a cat").grid for part in parts]
    assert not np.allclose(maps[0], maps[1])
    explanation = explain_pair(load_with_windows(3), "event", recording, "a cat")
    np.testing.assert_allclose(explanation.grid, np.mean(maps, axis=0), rtol=1e-4, atol=1e-7)
