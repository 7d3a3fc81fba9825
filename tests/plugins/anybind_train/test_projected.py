"""The encoder `projected`, and runs that add it to a base."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import anybind
from anybind.plugin import BadOption, create_part, errors, modalities
from anybind_train.projected import ProjectedEncoder

PROJECTED = (
    "student.encoder=projected",
    'student.options={"target": "@image", "modality": "event", "hidden": 32}',
    'student.train=["projection"]',
    'losses=[{"use": "cosine", "space": "own"}, {"use": "contrastive", "temperature": 0.1, "space": "own"}]',
)


@pytest.fixture(scope="module")
def base(world):
    return anybind.load(world.binding, backend="torch")


@pytest.fixture(scope="module")
def projected(base):
    return ProjectedEncoder(target=base.encoder("image"), modality="event", hidden=16)


@pytest.fixture(scope="module")
def stream():
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    return anybind.derive("event", image, source="image", seed=0)


def test_it_embeds_into_the_space_of_the_base_by_a_projection_of_the_backbone(base, projected, stream):
    assert projected.space == base.space("image")
    assert projected.logit_scale == base.encoder("image").logit_scale
    vector = projected.encode([projected.preprocess(stream)])
    unit = anybind.load("mini", backend="torch").encoder("event").encode([projected.preprocess(stream)])
    with torch.inference_mode():
        expected = projected.module.get_submodule("projection")(torch.from_numpy(unit)).numpy()
    assert vector == pytest.approx(expected / np.linalg.norm(expected), abs=1e-5)


def test_an_untrained_projection_is_the_same_whatever_torchs_random_state(base, projected):
    torch.manual_seed(123)
    again = ProjectedEncoder(target=base.encoder("image"), modality="event", hidden=16)
    assert again.identity == projected.identity
    linear = ProjectedEncoder(target=base.encoder("image"), modality="event", hidden=0)
    assert linear.identity != projected.identity


@pytest.mark.parametrize("modality", ["event", "depth"])
def test_a_copy_is_trained_without_changing_the_original(base, modality, stream):
    encoder = ProjectedEncoder(target=base.encoder("image"), modality=modality, hidden=4)
    depth = modalities.make_sample("depth", np.linspace(1, 3, 64 * 64, dtype=np.float32).reshape(64, 64))
    prepared = encoder.preprocess(stream if modality == "event" else depth)
    before, identity = encoder.encode([prepared]), encoder.identity
    twin = encoder.copy()
    with torch.no_grad():
        for parameter in twin.module.get_submodule("backbone").parameters():
            parameter.mul_(0.9)
    assert not np.allclose(twin.encode([prepared]), before, atol=1e-4)  # its backbone is its own, and used
    assert encoder.encode([prepared]) == pytest.approx(before, abs=0)
    assert encoder.identity == identity


def test_a_backbone_of_mini_stays_as_it_is_after_training_a_copy_of_depth():
    binder = anybind.load("mini", backend="torch")
    identity = binder.identity("image")
    twin = binder.encoder("depth").copy()
    with torch.no_grad():
        next(twin.module.parameters()).add_(1)
    assert binder.identity("image") == identity
    assert twin.image.module is twin.module


def test_weights_of_another_base_are_refused(base, projected, tmp_path):
    projected.save_weights(tmp_path / "w.safetensors")
    loaded = ProjectedEncoder(
        target=base.encoder("image"), modality="event", hidden=16, weights=str(tmp_path / "w.safetensors")
    )
    assert loaded.identity == projected.identity
    mini = anybind.load("mini", backend="torch")
    with pytest.raises(errors.WeightsMismatch, match="holds weights for"):
        ProjectedEncoder(
            target=mini.encoder("image"), modality="event", hidden=16, weights=str(tmp_path / "w.safetensors")
        )


def test_invalid_options_are_errors(base):
    target = base.encoder("image")
    with pytest.raises(BadOption, match="hidden: expected at least 0"):
        create_part("encoder", "projected", target=target, modality="event", hidden=-1)
    with pytest.raises(errors.UnknownName, match="no encoder for 'video'"):
        create_part("encoder", "projected", target=target, modality="video")
    with pytest.raises(errors.UnknownName):
        create_part("encoder", "projected", target=target, modality="event", backbone="minny")


def test_a_run_trains_the_projection_alone_and_describes_itself(train, world, tmp_path):
    finished = train(*PROJECTED, "epochs=3", probe=False)
    losses = finished.read_losses()
    assert losses[-1] < 0.7 * losses[0]
    untrained = ProjectedEncoder(
        target=anybind.load(world.binding, backend="torch").encoder("image"), modality="event", hidden=32
    ).module.state_dict()
    for name, tensor in finished.load_weights().items():
        assert torch.equal(tensor, untrained[name]) == (not name.startswith("projection"))
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    base = anybind.load(world.binding, backend="torch")
    assert result["base"] == {
        "binding": world.binding,
        "modality": "event",
        "teacher": "image",
        "identity": base.encoder("image").identity,
        "space": vars(base.space("image")),
    }
    assert result["settings"]["student"]["encoder"] == "projected"


def test_the_binding_file_of_a_run_is_the_base_with_the_trained_encoder(train, world, tmp_path, stream):
    finished = train(*PROJECTED, "epochs=1", probe=False)
    binder, base = anybind.load(tmp_path / "run" / "binding.toml"), anybind.load(world.binding)
    assert binder.identity("event") == finished.result["encoder"]
    assert binder.identity("text") == base.identity("text")
    scores = binder.embed("event", [stream]) @ binder.embed("text", ["a disc", "a bar"])  # one space
    assert scores.shape == (1, 2)


def test_the_binding_file_of_any_run_loads_its_weights(train, tmp_path):
    finished = train("epochs=1", probe=False)
    assert anybind.load(tmp_path / "run" / "binding.toml").identity("event") == finished.result["encoder"]


def test_a_moved_run_is_still_a_binding(train, tmp_path):
    finished = train(*PROJECTED, "epochs=1", probe=False)
    moved = (tmp_path / "run").rename(tmp_path / "moved")
    assert anybind.load(moved / "binding.toml").identity("event") == finished.result["encoder"]


def test_recipes_hashes_of_other_recipes_have_not_changed(world):
    recipe = world.parse_recipe()
    assert recipe.hash == world.parse_recipe("student.encoder=").hash
    assert recipe.hash != world.parse_recipe(*PROJECTED[:2]).hash
