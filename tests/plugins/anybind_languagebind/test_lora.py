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
    """A network of two layers, one of which gets LoRA."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj = torch.nn.Linear(10, 8)
        self.mlp = torch.nn.Linear(8, 8)


@pytest.fixture
def peft_model() -> peft.PeftModel:
    torch.manual_seed(0)
    config = peft.LoraConfig(r=4, lora_alpha=6, target_modules=["q_proj"], init_lora_weights=False)
    return peft.get_peft_model(LoraNetwork(), config)


@pytest.fixture
def state(peft_model: peft.PeftModel) -> dict[str, torch.Tensor]:
    return {f"encoder.{name}": tensor.clone() for name, tensor in peft_model.state_dict().items()}


def test_merged_weights_equal_pefts(peft_model, state):
    before = state["encoder.base_model.model.q_proj.base_layer.weight"].clone()
    merged = merge_lora(FILE, state, SETTINGS)
    expected = {f"encoder.{name}": tensor for name, tensor in peft_model.merge_and_unload().state_dict().items()}
    assert merged.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(merged[name], tensor, rtol=0, atol=1e-6)
    assert (merged["encoder.q_proj.weight"] - before).abs().max() > 1e-3


def test_names_of_old_peft_versions_are_supported(state):
    old_state = {name.replace(".base_layer.", "."): tensor.clone() for name, tensor in state.items()}
    merged = merge_lora(FILE, state, SETTINGS)
    assert all(torch.equal(tensor, merged[name]) for name, tensor in merge_lora(FILE, old_state, SETTINGS).items())


def test_weights_without_lora_are_unchanged():
    state = {"encoder.q_proj.weight": torch.ones(2, 3)}
    assert merge_lora(FILE, state, {}) == state


@pytest.mark.parametrize("factor", ["lora_A", "lora_B"])
def test_an_update_with_one_factor_is_an_error(state, factor):
    del state[f"encoder.base_model.model.q_proj.{factor}.default.weight"]
    with pytest.raises(WeightsMismatch, match=r"lora_B.* is missing|unsupported LoRA tensors: .*lora_B"):
        merge_lora(FILE, state, SETTINGS)


def test_an_update_without_frozen_weight_is_an_error(state):
    del state["encoder.base_model.model.q_proj.base_layer.weight"]
    with pytest.raises(WeightsMismatch, match=r"q_proj.weight is missing"):
        merge_lora(FILE, state, SETTINGS)


def test_a_rank_other_than_configured_is_an_error(state):
    with pytest.raises(WeightsMismatch, match=r"q_proj has shapes .* lora_r = 2"):
        merge_lora(FILE, state, {"lora_r": 2, "lora_alpha": 6})


@pytest.mark.parametrize(
    "settings", [{}, {"lora_r": 4}, {"lora_r": 0, "lora_alpha": 6}, {"lora_r": 4, "lora_alpha": "6"}]
)
def test_a_configuration_without_scale_is_an_error(state, settings):
    with pytest.raises(WeightsMismatch, match="does not set their scale"):
        merge_lora(FILE, state, settings)


def test_unsupported_lora_tensors_are_an_error(state):
    state["encoder.base_model.model.q_proj.lora_magnitude_vector.default.weight"] = torch.ones(8)
    with pytest.raises(WeightsMismatch, match=r"unsupported LoRA tensors: .*magnitude"):
        merge_lora(FILE, state, SETTINGS)


def test_duplicate_weights_are_an_error(state):
    state["encoder.base_model.model.q_proj.weight"] = torch.ones(8, 10)
    with pytest.raises(WeightsMismatch, match="duplicate weights"):
        merge_lora(FILE, state, SETTINGS)
