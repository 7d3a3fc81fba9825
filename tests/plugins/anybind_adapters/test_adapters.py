"""Fitted adapters and their files: maps, gradients, cards, and invalid files."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import anybind
from anybind import Binding, Space
from anybind.binding import ConfiguredPart
from anybind.errors import BadOption, SpaceMismatch, WeightsMismatch
from anybind.registry import create_part, find_part
from anybind_adapters.card import KEY, read_card

NAMES = ("linear", "mlp", "procrustes", "ridge")


def save_and_load(adapter, tmp_path):
    adapter.save(tmp_path / "x.safetensors", {"data": {"hash": "abc", "n": 60}})
    return create_part("adapter", adapter.name, weights=str(tmp_path / "x.safetensors"))


@pytest.mark.parametrize("name", NAMES)
def test_saving_and_loading_is_bit_exact(fitted, make_pairs, tmp_path, name):
    adapter = fitted(name)
    again = save_and_load(adapter, tmp_path)
    for name, tensor in adapter.tensors.items():
        assert torch.equal(tensor, again.tensors[name])
    assert (again.source, again.target) == (adapter.source, adapter.target)
    assert again.identity == adapter.identity
    assert json.loads(json.dumps(adapter.settings)) == again.settings
    vectors = make_pairs()[0].vectors
    np.testing.assert_array_equal(adapter.map(vectors), again.map(vectors))


@pytest.mark.parametrize("name", NAMES)
def test_the_card_has_name_spaces_and_metadata(fitted, tmp_path, name):
    save_and_load(fitted(name), tmp_path)
    card = read_card(tmp_path / "x.safetensors")
    assert card["name"] == name
    assert (card["source"], card["target"]) == (Space("space-1", 8, "encoder@1"), Space("space-2", 6, "encoder@2"))
    assert card["metadata"] == {"data": {"hash": "abc", "n": 60}}


@pytest.mark.parametrize("name", NAMES)
def test_map_tensor_has_correct_gradients_and_the_values_of_map(fitted, name):
    adapter = fitted(name)
    adapter.tensors = {name: tensor.double() for name, tensor in adapter.tensors.items()}
    vectors = torch.randn(3, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(adapter.map_tensor, vectors)
    adapter.tensors = {name: tensor.float() for name, tensor in adapter.tensors.items()}
    plain = adapter.map(vectors.detach().numpy())
    np.testing.assert_allclose(plain, adapter.map_tensor(vectors.detach().float()).numpy())
    assert plain.dtype == np.float32


@pytest.mark.parametrize("name", NAMES)
def test_adapted_embeddings_retrieve_their_pairs(fitted, make_pairs, name):
    source, target = make_pairs()
    adapted = fitted(name)(source)
    assert adapted.space == target.space
    nearest = np.argmax(adapted @ target, axis=1)
    assert np.mean(nearest == np.arange(60)) > (0.25 if name == "procrustes" else 0.6)  # chance is 0.017


@pytest.mark.parametrize("other", [{"name": "elsewhere"}, {"backbone": "encoder@3"}, {"dim": 9}])
def test_embeddings_of_another_space_are_rejected(fitted, make_pairs, other):
    source, _ = make_pairs(d=other.get("dim", 8))
    other_source = replace(source, space=replace(source.space, **other))
    with pytest.raises(SpaceMismatch, match="cannot adapt image embeddings"):
        fitted("ridge")(other_source)


def test_a_binding_of_another_backbone_is_rejected_with_both_spaces(fitted, tmp_path, small_encoders):
    fitted("ridge").save(tmp_path / "x.safetensors")
    (tmp_path / "b.toml").write_text(
        'name = "b"\nspace = "space-2"\n[encoders.text]\nuse = "small-text"\nspace = "space-1"\ndim = 8\n'
        '[[adapters]]\nuse = "ridge"\nweights = "./x.safetensors"\n'
    )
    message = r"space-1 \(8-d of small\).*'space-2'.*space-1 \(8-d of encoder@1\)"
    with pytest.raises(SpaceMismatch, match=message):
        anybind.load(tmp_path / "b.toml").embed("text", ["a"])


def test_the_file_of_another_adapter_is_rejected(fitted, tmp_path):
    fitted("procrustes").save(tmp_path / "x.safetensors")
    with pytest.raises(
        WeightsMismatch, match="expected an adapter 'ridge', got 'procrustes'; write use = \"procrustes\""
    ):
        create_part("adapter", "ridge", weights=tmp_path / "x.safetensors")


def rewrite(path, change_tensors=lambda state: state, **fields):
    """Rewrite the file with other tensors, or with other fields in its card (None removes one)."""
    with safe_open(path, framework="pt") as file:
        card = json.loads(file.metadata()[KEY]) | fields
    card = {key: value for key, value in card.items() if value is not None}
    save_file(change_tensors(load_file(path)), path, metadata={KEY: json.dumps(card)})


@pytest.mark.parametrize(
    ("change_tensors", "message"),
    [
        (lambda state: {"weight": state["weight"]}, "lacks bias"),
        (lambda state: {**state, "more": torch.ones(1)}, "has too many more"),
        (lambda state: {**state, "weight": state["weight"].T.contiguous()}, "has other shapes of weight"),
        (lambda state: {**state, "bias": state["bias"] * torch.nan}, "NaN or infinity in tensor 'bias'"),
    ],
)
def test_invalid_tensors_are_named(fitted, tmp_path, change_tensors, message):
    path = tmp_path / "x.safetensors"
    fitted("ridge").save(path)
    rewrite(path, change_tensors)
    with pytest.raises((WeightsMismatch, anybind.BadInput), match=message):
        create_part("adapter", "ridge", weights=path)


@pytest.mark.parametrize("hidden", [0, -3, "many", 1 << 60])
def test_a_card_with_an_invalid_width_allocates_no_memory(fitted, tmp_path, hidden):
    path = tmp_path / "x.safetensors"
    fitted("mlp").save(path)
    rewrite(path, settings={"hidden": hidden})
    with pytest.raises(WeightsMismatch, match=r"hidden|other shapes"):
        create_part("adapter", "mlp", weights=path)


@pytest.mark.parametrize(
    "card",
    [{"kind": None}, {"source": {"name": "space-1"}}, {"settings": 3}, {"version": 9}, {"target": None},
     {"source": {"name": "space-1", "dim": -8}}, {"source": {"name": "space-1", "dim": "8"}}],
)  # fmt: skip
def test_an_invalid_card_is_rejected(fitted, tmp_path, card):
    path = tmp_path / "x.safetensors"
    fitted("ridge").save(path)
    rewrite(path, **card)
    with pytest.raises(anybind.BadInput, match=r"x\.safetensors: invalid adapter card"):
        create_part("adapter", "ridge", weights=path)


def test_a_truncated_file_is_one_line(fitted, tmp_path):
    path = tmp_path / "x.safetensors"
    fitted("ridge").save(path)
    content = path.read_bytes()
    for length in (0, 5, 8, 60, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(anybind.BadInput, match="not a readable safetensors file") as error:
            create_part("adapter", "ridge", weights=path)
        assert "\n" not in str(error.value)


def test_missing_and_other_files_are_rejected(tmp_path):
    with pytest.raises(anybind.BadInput, match=r"absent\.safetensors: no such adapter file; .*fit-adapter"):
        create_part("adapter", "ridge", weights=tmp_path / "absent.safetensors")
    save_file({"weight": torch.ones(1)}, tmp_path / "plain.safetensors")
    with pytest.raises(anybind.BadInput, match="fit an adapter with `anybind fit-adapter`"):
        create_part("adapter", "ridge", weights=tmp_path / "plain.safetensors")


def test_an_invalid_output_path_leaves_no_file(fitted, tmp_path):
    with pytest.raises(anybind.BadInput, match="no folder"):
        fitted("ridge").save(tmp_path / "absent" / "x.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_binding_loads_an_adapter_file(fitted, make_pairs, tmp_path):
    adapter = fitted("linear")
    adapter.save(tmp_path / "x.safetensors")
    part = ConfiguredPart("linear", {"weights": str(tmp_path / "x.safetensors")})
    binder = anybind.load(Binding("b", {"text": ConfiguredPart("mini-text")}, "", adapters=(part,)))
    assert [each.identity for each in binder.adapters] == [adapter.identity]


def test_the_identity_depends_on_the_weights(fitted):
    assert fitted("ridge").identity == fitted("ridge").identity
    assert len({fitted(name).identity for name in NAMES} | {fitted("ridge", noise=0.2).identity}) == 5


@pytest.mark.parametrize("hidden", [0, 2.0, 1 << 21])
def test_an_invalid_hidden_width_is_rejected(make_pairs, hidden):
    source, target = make_pairs()
    fit = find_part("adapter", "mlp").load().fit
    with pytest.raises(BadOption, match="hidden: expected"):
        fit(source, target, groups=np.arange(60), seed=0, hidden=hidden)


@pytest.mark.parametrize("name", ["ridge", "procrustes", "linear", "mlp"])
@pytest.mark.parametrize("counts", [(12, 13, 12), (12, 12, 5), (1, 1, 1), (0, 0, 0)])
def test_rows_that_are_no_pairs_are_rejected(make_pairs, name, counts):
    source, target = (side[:count] for side, count in zip(make_pairs(), counts, strict=False))
    expected = "expected two pairs or more, got {} sources, {} targets and {} groups".format(*counts)
    with pytest.raises(anybind.BadInput, match=expected):
        find_part("adapter", name).load().fit(source, target, groups=np.arange(counts[2]), seed=0)
