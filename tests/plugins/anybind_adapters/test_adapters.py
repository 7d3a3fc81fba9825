"""Fitted adapters and their files: what they map, what they refuse, and that nothing is lost on the way."""

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

KINDS = ("linear", "mlp", "procrustes", "ridge")


def reread(adapter, tmp_path):
    adapter.save(tmp_path / "x.safetensors", {"data": {"hash": "abc", "n": 60}})
    return create_part("adapter", adapter.kind, weights=str(tmp_path / "x.safetensors"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_gives_back_every_bit(fitted, make_pairs, tmp_path, kind):
    adapter = fitted(kind)
    again = reread(adapter, tmp_path)
    for name, tensor in adapter.tensors.items():
        assert torch.equal(tensor, again.tensors[name])
    assert (again.source, again.target) == (adapter.source, adapter.target)
    assert again.identity == adapter.identity
    assert json.loads(json.dumps(adapter.settings)) == again.settings
    vectors = make_pairs()[0].vectors
    np.testing.assert_array_equal(adapter.map(vectors), again.map(vectors))


@pytest.mark.parametrize("kind", KINDS)
def test_the_card_names_spaces_kind_and_data_and_is_read_without_tensors(fitted, tmp_path, kind):
    reread(fitted(kind), tmp_path)
    card = read_card(tmp_path / "x.safetensors")
    assert card["kind"] == kind
    assert (card["source"], card["target"]) == (Space("here", 8, "tower@1"), Space("there", 6, "tower@2"))
    assert card["about"] == {"data": {"hash": "abc", "n": 60}}


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_finite_differences_and_values_those_of_map(fitted, kind):
    adapter = fitted(kind)
    adapter.tensors = {name: tensor.double() for name, tensor in adapter.tensors.items()}
    vectors = torch.randn(3, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(adapter.map_tensor, vectors)
    adapter.tensors = {name: tensor.float() for name, tensor in adapter.tensors.items()}
    plain = adapter.map(vectors.detach().numpy())
    np.testing.assert_allclose(plain, adapter.map_tensor(vectors.detach().float()).numpy())
    assert plain.dtype == np.float32


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_find_each_other_once_adapted(fitted, make_pairs, kind):
    source, target = make_pairs()
    adapted = fitted(kind)(source)
    assert adapted.space == target.space
    nearest = np.argmax(adapted @ target, axis=1)
    assert np.mean(nearest == np.arange(60)) > (0.25 if kind == "procrustes" else 0.6)  # chance is 0.017


@pytest.mark.parametrize("other", [{"name": "elsewhere"}, {"backbone": "tower@3"}, {"dim": 9}])
def test_embeddings_of_any_other_space_are_refused(fitted, make_pairs, other):
    source, _ = make_pairs(d=other.get("dim", 8))
    elsewhere = replace(source, space=replace(source.space, **other))
    with pytest.raises(SpaceMismatch, match="cannot adapt image embeddings"):
        fitted("ridge")(elsewhere)


def test_a_binding_of_another_backbone_is_told_which_spaces_the_adapter_is_for(fitted, tmp_path, tiny_towers):
    fitted("ridge").save(tmp_path / "x.safetensors")
    (tmp_path / "b.toml").write_text(
        'name = "b"\nspace = "there"\n[encoders.text]\nuse = "tiny-text"\nspace = "here"\ndim = 8\n'
        '[[adapters]]\nuse = "ridge"\nweights = "./x.safetensors"\n'
    )
    told = r"no adapter leads text from here \(8-d of tiny\) to 'there' \(its adapters lead from here \(8-d of tower@1\) to"
    with pytest.raises(SpaceMismatch, match=told):
        anybind.load(tmp_path / "b.toml").embed("text", ["a"])


def test_another_kind_of_adapter_is_told(fitted, tmp_path):
    fitted("procrustes").save(tmp_path / "x.safetensors")
    with pytest.raises(WeightsMismatch, match="of kind 'procrustes'; write use = \"procrustes\""):
        create_part("adapter", "ridge", weights=tmp_path / "x.safetensors")


def changed(path, tensors=None, card=None):
    """Write the file anew with other tensors, or with other things in its card (None takes one away)."""
    with safe_open(path, framework="pt") as file:
        held = json.loads(file.metadata()[KEY])
    for key, value in (card or {}).items():
        held.pop(key)
        if value is not None:
            held[key] = value
    save_file(load_file(path) if tensors is None else tensors(load_file(path)), path, metadata={KEY: json.dumps(held)})


@pytest.mark.parametrize(
    ("tensors", "told"),
    [
        (lambda held: {"weight": held["weight"]}, "lacks bias"),
        (lambda held: {**held, "more": torch.ones(1)}, "has too many more"),
        (lambda held: {**held, "weight": held["weight"].T.contiguous()}, "has other shapes of weight"),
        (lambda held: {**held, "bias": held["bias"] * torch.nan}, "bias holds numbers that are not finite"),
    ],
)
def test_tensors_that_are_missing_too_many_or_of_other_shapes_are_named(fitted, tmp_path, tensors, told):
    path = tmp_path / "x.safetensors"
    fitted("ridge").save(path)
    changed(path, tensors)
    with pytest.raises((WeightsMismatch, anybind.BadInput), match=told):
        create_part("adapter", "ridge", weights=path)


@pytest.mark.parametrize("hidden", [0, -3, "many", 1 << 60])
def test_a_card_that_claims_another_width_allocates_nothing(fitted, tmp_path, hidden):
    path = tmp_path / "x.safetensors"
    fitted("mlp").save(path)
    changed(path, card={"settings": {"hidden": hidden}})
    with pytest.raises(WeightsMismatch, match=r"hidden|other shapes"):
        create_part("adapter", "mlp", weights=path)


@pytest.mark.parametrize(
    "card",
    [{"kind": None}, {"source": {"name": "here"}}, {"settings": 3}, {"version": 9}, {"target": None},
     {"source": {"name": "here", "dim": -8}}, {"source": {"name": "here", "dim": "8"}}],
)  # fmt: skip
def test_a_card_that_makes_no_sense_is_refused(fitted, tmp_path, card):
    path = tmp_path / "x.safetensors"
    fitted("ridge").save(path)
    changed(path, card=card)
    with pytest.raises(anybind.BadInput, match=r"x\.safetensors: the card of the adapter"):
        create_part("adapter", "ridge", weights=path)


def test_a_file_that_is_cut_at_any_place_is_one_line(fitted, tmp_path):
    path = tmp_path / "x.safetensors"
    fitted("ridge").save(path)
    whole = path.read_bytes()
    for length in (0, 5, 8, 60, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(anybind.BadInput, match="not a readable safetensors file") as error:
            create_part("adapter", "ridge", weights=path)
        assert "\n" not in str(error.value)


def test_files_that_are_missing_or_hold_something_else_are_told(tmp_path):
    with pytest.raises(anybind.BadInput, match=r"there is no adapter .*absent.*fit-adapter"):
        create_part("adapter", "ridge", weights=tmp_path / "absent.safetensors")
    save_file({"weight": torch.ones(1)}, tmp_path / "plain.safetensors")
    with pytest.raises(anybind.BadInput, match="fit-adapter` makes an adapter"):
        create_part("adapter", "ridge", weights=tmp_path / "plain.safetensors")


def test_a_path_that_cannot_be_written_is_told_and_leaves_nothing(fitted, tmp_path):
    with pytest.raises(anybind.BadInput, match="no folder"):
        fitted("ridge").save(tmp_path / "absent" / "x.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_binding_takes_an_adapter_by_its_file(fitted, make_pairs, tmp_path):
    adapter = fitted("linear")
    adapter.save(tmp_path / "x.safetensors")
    use = ConfiguredPart("linear", {"weights": str(tmp_path / "x.safetensors")})
    binder = anybind.load(Binding("b", {"text": ConfiguredPart("mini-text")}, "", adapters=(use,)))
    assert [each.identity for each in binder.adapters] == [adapter.identity]


def test_other_weights_other_identity(fitted):
    assert fitted("ridge").identity == fitted("ridge").identity
    assert len({fitted(kind).identity for kind in KINDS} | {fitted("ridge", noise=0.2).identity}) == 5


@pytest.mark.parametrize("hidden", [0, 2.0, 1 << 21])
def test_a_network_of_no_sensible_width_is_refused(make_pairs, hidden):
    source, target = make_pairs()
    fit = find_part("adapter", "mlp").load().fit
    with pytest.raises(BadOption, match="hidden must be"):
        fit(source, target, groups=np.arange(60), seed=0, hidden=hidden)
