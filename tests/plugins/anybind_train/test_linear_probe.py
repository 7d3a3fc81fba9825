"""The linear probe: a classification head on frozen embeddings."""

from __future__ import annotations

import pytest
import torch
from safetensors.numpy import load_file

from anybind.errors import BadOption
from anybind_train import train
from anybind_train.linear_probe import HEAD, train_linear_probe
from anybind_train.student import load_student_binder


def test_the_linear_probe_uses_the_weights_of_the_recipe(world, tmp_path):
    overrides = [
        "student.method=linear-probe",
        'probe.classes=["disc","bar","ring"]',
        "probe.held_out=true",
        "data.0.shots=3",
    ]
    plain = train_linear_probe(world.parse_recipe(*overrides), world.data, tmp_path / "plain", "cpu")
    encoder = load_student_binder(world.parse_recipe(*overrides), "cpu").encoder("event")
    with torch.no_grad():
        for parameter in encoder.module.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    encoder.save_weights(tmp_path / "encoder.safetensors")
    recipe = world.parse_recipe(*overrides, f"student.weights={tmp_path / 'encoder.safetensors'}")
    result = train_linear_probe(recipe, world.data, tmp_path / "trained", "cpu")
    assert result["encoder"] == encoder.identity != plain["encoder"]
    assert result["settings"]["student"]["method"] == "linear-probe"
    assert "torch" in result["versions"]
    heads = [load_file(tmp_path / folder / HEAD)["weight"] for folder in ("plain", "trained")]
    assert heads[0].shape == heads[1].shape == (3, 16)
    assert abs(heads[0] - heads[1]).max() > 1e-3


def test_a_folder_that_contains_a_run_is_kept(world, tmp_path):
    recipe = world.parse_recipe(
        "student.method=linear-probe", 'probe.classes=["disc","bar","ring"]', "probe.held_out=true", "data.0.shots=3"
    )
    train(recipe, world.data, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.*") if path.is_file()}
    with pytest.raises(BadOption, match="contains a run; choose another folder"):
        train(recipe, world.data, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.*") if path.is_file()} == before
