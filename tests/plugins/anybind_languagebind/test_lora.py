from __future__ import annotations

from pathlib import Path

import peft
import pytest
import torch

from anybind.errors import WeightsMismatch
from anybind_languagebind.lora import merge_lora

FILE = Path("weights.bin")
SETTINGS = {"lora_r": 4, "lora_alpha": 6}


class LoraNetwork(torch.nn.Module):
    """Two layers, of which one gets LoRA."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj = torch.nn.Linear(10, 8)
        self.mlp = torch.nn.Linear(8, 8)


@pytest.fixture
def wrapped() -> peft.PeftModel:
    torch.manual_seed(0)
    config = peft.LoraConfig(r=4, lora_alpha=6, target_modules=["q_proj"], init_lora_weights=False)
    return peft.get_peft_model(LoraNetwork(), config)


@pytest.fixture
def state(wrapped: peft.PeftModel) -> dict[str, torch.Tensor]:
    return {f"encoder.{name}": tensor.clone() for name, tensor in wrapped.state_dict().items()}


def test_merging_gives_what_peft_merges(wrapped, state):
    before = state["encoder.base_model.model.q_proj.base_layer.weight"].clone()
    merged = merge_lora(FILE, state, SETTINGS)
    theirs = {f"encoder.{name}": tensor for name, tensor in wrapped.merge_and_unload().state_dict().items()}
    assert merged.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(merged[name], tensor, rtol=0, atol=1e-6)
    assert (merged["encoder.q_proj.weight"] - before).abs().max() > 1e-3


def test_names_of_old_versions_of_peft_are_known(state):
    old = {name.replace(".base_layer.", "."): tensor.clone() for name, tensor in state.items()}
    new = merge_lora(FILE, state, SETTINGS)
    assert all(torch.equal(tensor, new[name]) for name, tensor in merge_lora(FILE, old, SETTINGS).items())


def test_weights_without_lora_are_left_as_they_are():
    state = {"encoder.q_proj.weight": torch.ones(2, 3)}
    assert merge_lora(FILE, state, {}) == state


@pytest.mark.parametrize("half", ["lora_A", "lora_B"])
def test_half_an_update_is_refused(state, half):
    del state[f"encoder.base_model.model.q_proj.{half}.default.weight"]
    with pytest.raises(WeightsMismatch, match=r"lacks .*lora_B|LoRA tensors of an unknown kind: .*lora_B"):
        merge_lora(FILE, state, SETTINGS)


def test_an_update_of_no_layer_is_refused(state):
    del state["encoder.base_model.model.q_proj.base_layer.weight"]
    with pytest.raises(WeightsMismatch, match=r"lacks .*q_proj.weight"):
        merge_lora(FILE, state, SETTINGS)


def test_another_rank_than_that_of_the_configuration_is_refused(state):
    with pytest.raises(WeightsMismatch, match=r"q_proj is of shapes .* lora_r = 2"):
        merge_lora(FILE, state, {"lora_r": 2, "lora_alpha": 6})


@pytest.mark.parametrize(
    "settings", [{}, {"lora_r": 4}, {"lora_r": 0, "lora_alpha": 6}, {"lora_r": 4, "lora_alpha": "6"}]
)
def test_a_configuration_that_does_not_say_the_scale_is_refused(state, settings):
    with pytest.raises(WeightsMismatch, match="does not say their scale"):
        merge_lora(FILE, state, settings)


def test_lora_tensors_of_another_kind_are_refused(state):
    state["encoder.base_model.model.q_proj.lora_magnitude_vector.default.weight"] = torch.ones(8)
    with pytest.raises(WeightsMismatch, match=r"unknown kind: .*magnitude"):
        merge_lora(FILE, state, SETTINGS)


def test_weights_that_are_there_twice_are_refused(state):
    state["encoder.base_model.model.q_proj.weight"] = torch.ones(8, 10)
    with pytest.raises(WeightsMismatch, match="twice"):
        merge_lora(FILE, state, SETTINGS)
