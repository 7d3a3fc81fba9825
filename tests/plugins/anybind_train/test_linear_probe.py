"""A linear classifier on frozen vectors: of which weights they are."""

from __future__ import annotations

import torch
from safetensors.numpy import load_file

from anybind_train.linear_probe import HEAD, train_linear_probe
from anybind_train.student import load_student_binder


def test_the_linear_probe_uses_the_weights_of_the_recipe(world, tmp_path):
    probe = [
        "student.method=linear-probe",
        'probe.classes=["disc","bar","ring"]',
        "probe.held_out=true",
        "data.0.shots=3",
    ]
    plain = train_linear_probe(world.parse_recipe(*probe), world.data, tmp_path / "plain", "cpu")
    tower = load_student_binder(world.parse_recipe(*probe), "cpu").encoder("event")
    with torch.no_grad():
        for parameter in tower.module.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    tower.save_weights(tmp_path / "tower.safetensors")
    named = world.parse_recipe(*probe, f"student.weights={tmp_path / 'tower.safetensors'}")
    result = train_linear_probe(named, world.data, tmp_path / "named", "cpu")
    assert result["encoder"] == tower.identity != plain["encoder"]
    heads = [load_file(tmp_path / folder / HEAD)["weight"] for folder in ("plain", "named")]
    assert heads[0].shape == heads[1].shape == (3, 16)
    assert abs(heads[0] - heads[1]).max() > 1e-3
