"""Maps on two objects: more on the one that is named; towers are left as they were."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import anybind
from anybind import BadInput
from anybind.binding import ConfiguredPart
from anybind.encoder import Encoder
from anybind.errors import BadOption, UnknownName
from anybind.tensors import hash_state
from anybind.torch_encoder import TorchEncoder
from anybind_explain.geometry import lay_over
from anybind_explain.pairs import explain_pair, patch_grid

NAMES = {"left": "a cat", "right": "a cup of coffee"}


@pytest.fixture(scope="module")
def samples(two_objects):
    """The two objects, and the two objects the other way round, as a picture and as a recording."""
    turned = np.concatenate([two_objects[:, 160:], two_objects[:, :160]], axis=1)
    pictures = {False: two_objects, True: turned}
    return {
        "image": pictures,
        "event": {way: anybind.derive("event", picture, seed=0) for way, picture in pictures.items()},
    }


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("of", ["image", "event"])
def test_the_map_is_larger_on_the_named_object_than_off_it(mini, samples, modality, side, turned):
    found = explain_pair(mini, modality, samples[modality][turned], NAMES[side])
    over = lay_over(found.grid, found.seen, 100, 200)
    left, right = np.nansum(over[:, :100]), np.nansum(over[:, 100:])
    named, other = (left, right) if (side == "left") != turned else (right, left)
    assert named > 2 * other


def test_the_score_is_the_cosine_of_the_embeddings(mini, tiny, samples):
    for binder in (mini, tiny):
        for of in ("image", "event"):
            sample = samples[of][False]
            cosine = binder.embed(of, [sample]) @ binder.embed("text", ["a cat"])
            assert explain_pair(binder, of, sample, "a cat").score == pytest.approx(float(cosine[0, 0]), abs=1e-5)


def test_the_event_side_of_a_copied_transformer_is_explained_over_all_its_patches(tiny, samples):
    found = explain_pair(tiny, "event", samples["event"][False], "a cat")
    assert found.grid.shape == (4, 4)
    assert (found.grid >= 0).all()
    assert found.grid.sum() > 0


@pytest.mark.parametrize("of", ["image", "event"])
@pytest.mark.parametrize("name", ["mini", "tiny"])
def test_the_same_question_has_the_same_answer_and_changes_no_tower(request, samples, name, modality):
    binder = request.getfixturevalue(name)
    towers = [binder.encoder(modality), binder.encoder("text")]
    weights = [weight for tower in towers for weight in tower.module.parameters()]
    hashes = [hash_state(tower.module.state_dict()) for tower in towers]
    first = explain_pair(binder, modality, samples[modality][False], "a cat on a sofa")
    part = next(iter(towers[0].module.children()))
    part.train()
    weights[0].requires_grad_(False)
    weights[1].grad = torch.ones_like(weights[1])
    try:
        again = explain_pair(binder, modality, samples[modality][False], "a cat on a sofa")
        assert part.training
        assert not weights[0].requires_grad
        assert torch.equal(weights[1].grad, torch.ones_like(weights[1]))
        assert all(weight.grad is None for weight in weights[2:])
    finally:
        part.eval()
        weights[0].requires_grad_(True)
        weights[1].grad = None
    assert np.array_equal(first.grid, again.grid)
    assert first.words == again.words
    assert [hash_state(tower.module.state_dict()) for tower in towers] == hashes


def test_patches_are_found_behind_a_class_token_and_without_one():
    assert patch_grid(50, 224, 224) == (1, 7, 7)
    assert patch_grid(49, 224, 224) == (0, 7, 7)
    assert patch_grid(9, 32, 64) == (1, 2, 4)
    with pytest.raises(BadInput, match="8 tokens are no grid"):
        patch_grid(8, 64, 64)


class Bare(Encoder):
    """An encoder without torch."""

    modality, space, weights_hash, preprocessing = "image", anybind.Space("s", 2, "b"), "0" * 12, {}

    def encode(self, inputs):
        return np.tile(np.float32([1, 0]), (len(inputs), 1))


class Flat(TorchEncoder):
    """A tower that neither attends nor convolves."""

    def __init__(self, modality):
        module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))
        super().__init__(module, modality=modality, space=Bare.space, preprocessing={})

    def preprocess(self, sample):
        return torch.ones(3, 2, 2)


@pytest.mark.parametrize("image", [Bare(), Flat("image")])
def test_encoders_that_are_neither_kind_are_named_with_what_is_supported(image):
    binder = anybind.Binder(anybind.Binding("strange", {of: ConfiguredPart("odd") for of in ("image", "text")}))
    binder._encoders = {"image": image, "text": Flat("text")}
    with pytest.raises(BadInput, match=r"the encoder 'odd' of image cannot be explained: .*convolutional"):
        explain_pair(binder, "image", np.zeros((2, 2, 3), np.uint8), "a cat")


def test_modalities_without_frames_or_without_an_encoder_are_refused(mini, tiny, two_objects):
    with pytest.raises(BadOption, match="text has none"):
        explain_pair(mini, "text", "a cat", "a cat")
    no_events = anybind.load(anybind.Binding("b", {of: tiny.binding.encoders[of] for of in ("image", "text")}))
    with pytest.raises(UnknownName, match="no encoder for 'event'"):
        explain_pair(no_events, "event", None, "a cat")
