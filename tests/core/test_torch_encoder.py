"""Encoders on torch modules: identity, weight files, training mode."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import anybind
from anybind.errors import BadOption, WeightsMismatch
from anybind.tensors import hash_state
from anybind.torch_encoder import TorchEncoder

SPACE = anybind.Space("test", 3)


class Doubling(TorchEncoder):
    """A linear layer over vectors; the preprocessing doubles them."""

    def __init__(self, seed=0, width=4, space=SPACE, factor=2.0):
        torch.manual_seed(seed)
        self.factor = factor
        super().__init__(
            torch.nn.Linear(width, space.dim), modality="image", space=space, preprocessing={"factor": factor}
        )

    def preprocess(self, sample):
        return self.factor * torch.as_tensor(sample, dtype=torch.float32)


SAMPLES = np.random.default_rng(0).normal(size=(6, 4))


def vectors(tower):
    return tower.encode([tower.preprocess(sample) for sample in SAMPLES])


def test_vectors_are_the_normalised_features():
    tower = Doubling()
    weight, bias = (parameter.detach().numpy().astype(np.float64) for parameter in tower.module.parameters())
    features = 2 * SAMPLES @ weight.T + bias
    expected = features / np.linalg.norm(features, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors(tower), expected, atol=1e-6)
    assert vectors(tower).dtype == np.float32


def test_saved_weights_are_loaded_unchanged(tmp_path):
    tower, other = Doubling(seed=1), Doubling(seed=2)
    tower.save_weights(tmp_path / "w.safetensors")
    assert other.identity != tower.identity
    np.testing.assert_array_equal(vectors(other.load_weights(tmp_path / "w.safetensors")), vectors(tower))
    assert other.identity == tower.identity


def assert_refused(tower, path, message, error=WeightsMismatch):
    before = vectors(tower)
    with pytest.raises(error, match=message) as caught:
        tower.load_weights(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(vectors(tower), before)


def test_weights_without_their_preprocessing_raise(tmp_path):
    save_file(Doubling().module.state_dict(), tmp_path / "bare.safetensors")
    assert_refused(Doubling(seed=3), tmp_path / "bare.safetensors", "the preprocessing of its weights is unknown")


def test_weights_of_another_preprocessing_raise_with_the_difference(tmp_path):
    Doubling(factor=3.0).save_weights(tmp_path / "w.safetensors")
    assert_refused(Doubling(seed=3), tmp_path / "w.safetensors", r"factor differ \(factor=3\.0 there\)")


def test_weights_of_another_space_raise(tmp_path):
    Doubling(space=anybind.Space("other", 3)).save_weights(tmp_path / "w.safetensors")
    assert_refused(Doubling(seed=3), tmp_path / "w.safetensors", r"holds weights for other \(3-d\), not for test")


def test_weights_of_another_shape_raise_with_the_key(tmp_path):
    Doubling(width=5).save_weights(tmp_path / "w.safetensors")
    assert_refused(Doubling(seed=3), tmp_path / "w.safetensors", "of another model: it has other shapes of weight")


def test_weights_with_other_keys_raise_with_the_first_ones(tmp_path):
    Doubling().save_weights(tmp_path / "w.safetensors")
    with_card = {"anybind": json.dumps(_card(tmp_path / "w.safetensors"))}
    save_file({f"k{i}": torch.zeros(1) for i in range(5)}, tmp_path / "k.safetensors", metadata=with_card)
    message = "it lacks bias, weight; has too many k0, k1, k2 and 2 more"
    assert_refused(Doubling(seed=3), tmp_path / "k.safetensors", message)


def _card(path):
    from safetensors import safe_open

    with safe_open(path, framework="pt") as opened:
        return json.loads(opened.metadata()["anybind"])


@pytest.mark.parametrize("length", [0, 7, 100, -1])
def test_a_truncated_weight_file_raises(tmp_path, length):
    path = tmp_path / "w.safetensors"
    Doubling().save_weights(path)
    path.write_bytes(path.read_bytes()[:length])
    assert_refused(Doubling(seed=3), path, "not a readable safetensors file", anybind.BadInput)


def test_a_weight_file_is_plain_safetensors_that_others_can_read(tmp_path):
    Doubling().save_weights(tmp_path / "w.safetensors")
    assert set(load_file(tmp_path / "w.safetensors")) == {"weight", "bias"}


def test_a_change_in_place_changes_the_identity():
    tower = Doubling()
    before = tower.identity
    with torch.no_grad():
        tower.module.weight[0, 0] += 1
    assert tower.identity != before


def test_the_identity_depends_on_preprocessing_and_weights():
    weights, preprocessing = Doubling().identity.split("-")
    assert Doubling(factor=3.0).identity.startswith(weights)
    assert Doubling(seed=9).identity.endswith(preprocessing)


def test_the_identity_is_the_same_for_every_dtype_of_tensor():
    state = {
        "f": torch.ones(2, dtype=torch.bfloat16),
        "n": torch.tensor(3),
        "b": torch.tensor([True]),
        "e": torch.ones(0),
    }
    assert hash_state(state) == hash_state(dict(reversed(state.items())))
    assert hash_state(state) != hash_state({**state, "f": torch.ones(2)})


def test_a_copy_has_its_own_weights():
    tower = Doubling()
    copied = tower.copy()
    with torch.no_grad():
        copied.module.weight.zero_()
    assert (vectors(tower) != vectors(copied)).any()


def test_features_keep_gradients():
    tower = Doubling()
    tower.features(tower.collate([tower.preprocess(SAMPLES[0])])).sum().backward()
    assert tower.module.weight.grad is not None


def test_a_zero_embedding_raises_instead_of_giving_nan():
    tower = Doubling()
    with torch.no_grad():
        tower.module.weight.zero_()
        tower.module.bias.zero_()
    with pytest.raises(anybind.BadInput, match="no direction"):
        vectors(tower)


def test_encoding_keeps_the_training_mode_of_every_submodule():
    tower = Doubling()
    tower.module = torch.nn.Sequential(tower.module, torch.nn.BatchNorm1d(3)).train()
    tower.module[1].eval()
    vectors(tower)
    with pytest.raises(RuntimeError):
        tower.encode([torch.zeros(99)])
    assert [part.training for part in tower.module.modules()] == [True, True, False]


def test_tied_weights_can_be_saved_and_loaded(tmp_path):
    def tied(seed):
        tower = Doubling(seed=seed, width=3)
        tower.module = torch.nn.Sequential(tower.module, torch.nn.Linear(3, 3))
        tower.module[1].weight = tower.module[0].weight
        return tower

    first, second = tied(1), tied(2)
    first.save_weights(tmp_path / "w.safetensors")
    assert second.load_weights(tmp_path / "w.safetensors").identity == first.identity


def test_an_encoder_created_in_inference_mode_has_an_identity():
    with torch.inference_mode():
        tower = Doubling()
        assert tower.identity == Doubling().identity


def test_an_invalid_card_raises(tmp_path):
    for number, card in enumerate(["{", "[]", "{}", '{"space": 3}']):
        path = tmp_path / f"{number}.safetensors"
        save_file(Doubling().module.state_dict(), path, metadata={"anybind": card})
        assert_refused(Doubling(seed=3), path, "card")


def test_a_module_that_replaces_another_in_memory_has_its_own_identity():
    tower = Doubling()
    for seed in range(50):
        torch.manual_seed(seed)
        tower.module = torch.nn.Linear(4, 3)
        assert tower.weights_hash == hash_state(tower.module.state_dict())


def test_a_lower_precision_is_close_and_part_of_the_identity():
    encoder, low = Doubling(seed=1), Doubling(seed=1)
    assert low.set_precision("bf16") is low
    assert low.identity == f"{encoder.identity}-bf16"
    assert low.weights_hash == encoder.weights_hash
    difference = np.abs(vectors(low) - vectors(encoder)).max()
    assert 1e-5 < difference < 0.02
    assert {weight.dtype for weight in low.module.parameters()} == {torch.float32}
    assert low.identity == f"{encoder.identity}-bf16"  # also after the weights were converted
    np.testing.assert_array_equal(vectors(low.set_precision("fp32")), vectors(encoder))
    assert low.identity == encoder.identity


def test_a_lower_precision_follows_changed_weights():
    low = Doubling(seed=1).set_precision("bf16")
    before = vectors(low)
    with torch.no_grad():
        low.module.weight.mul_(-1)
        low.module.bias.mul_(-1)
    np.testing.assert_array_equal(vectors(low), -before)


def test_an_error_in_a_lower_precision_leaves_the_weights(monkeypatch):
    low = Doubling(seed=1).set_precision("bf16")
    expected = vectors(low)
    with pytest.raises(RuntimeError):
        low.encode([torch.zeros(5)])
    assert {weight.dtype for weight in low.module.parameters()} == {torch.float32}
    np.testing.assert_array_equal(vectors(low), expected)


def test_threads_with_a_lower_precision_share_a_module():
    first, second = Doubling(seed=1), Doubling(seed=1)
    second.module = first.module
    expected = vectors(Doubling(seed=1).set_precision("bf16"))
    first.set_precision("bf16"), second.set_precision("bf16")
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(vectors, [first, second] * 50))
    for result in results:
        np.testing.assert_array_equal(result, expected)
    assert {weight.dtype for weight in first.module.parameters()} == {torch.float32}


def test_unsupported_precisions_are_one_line():
    with pytest.raises(BadOption, match="expected a precision of fp32, bf16, fp16, got 'int8'"):
        Doubling().set_precision("int8")
    encoder = Doubling()
    encoder.module.to("meta")
    with pytest.raises(BadOption, match="the device 'meta' does not support the precision bf16"):
        encoder.set_precision("bf16")


@pytest.mark.filterwarnings("always::anybind.AnybindWarning")
def test_a_precision_without_instructions_of_the_processor_warns(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", bool)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", bool)
    with pytest.warns(anybind.AnybindWarning, match="bf16 is slower than fp32 on this processor"):
        Doubling().set_precision("bf16")
