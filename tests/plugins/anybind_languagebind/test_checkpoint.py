from __future__ import annotations

import json
import pickle
import socket

import pytest
import torch

from anybind import BadInput
from anybind.errors import BadOption, WeightsMismatch
from anybind_languagebind.encoders import LanguageBindDepthEncoder, LanguageBindImageEncoder, LanguageBindThermalEncoder
from anybind_languagebind.vision_tower import ClipVisionTower


def test_both_kinds_of_weight_file_give_the_same_vectors(tmp_path, make_checkpoint, pictures):
    kinds = [make_checkpoint(tmp_path / str(kind), "image", safetensors=kind) for kind in (True, False)]
    towers = [LanguageBindImageEncoder(f"local-dir:{folder}") for folder in kinds]
    assert towers[0].identity == towers[1].identity
    one, other = (tower.encode([tower.preprocess(pictures[0])]) for tower in towers)
    assert (one == other).all()


def test_half_precision_is_computed_in_full(tmp_path, make_checkpoint):
    def halve(state, _):
        state.update({name: tensor.half() for name, tensor in state.items() if tensor.is_floating_point()})

    tower = LanguageBindImageEncoder(f"local-dir:{make_checkpoint(tmp_path, 'image', halve, safetensors=False)}")
    assert {tensor.dtype for tensor in tower.module.state_dict().values()} == {torch.float32}


def test_the_scale_of_the_checkpoint_stands_beside_the_vectors(models):
    tower = LanguageBindImageEncoder(f"local-dir:{models / 'LanguageBind_Image'}")
    assert tower.logit_scale == pytest.approx(torch.tensor(2.5).exp().item())
    assert (tower.space.name, tower.space.dim) == ("languagebind", 24)


def test_towers_bound_to_one_text_tower_share_a_space(models, tmp_path, make_checkpoint):
    image = LanguageBindImageEncoder(f"local-dir:{models / 'LanguageBind_Image'}")
    assert LanguageBindDepthEncoder(f"local-dir:{models / 'LanguageBind_Depth'}").space == image.space
    other = make_checkpoint(tmp_path, "depth", text_seed=1)
    assert LanguageBindDepthEncoder(f"local-dir:{other}").space != image.space


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda state, _: state.pop("vision_model.pre_layrnorm.bias"), "lacks vision_model.pre_layrnorm.bias"),
        (lambda state, _: state.update(extra=torch.ones(1)), "1 too many: extra"),
        (lambda state, _: state.update({"vision_model.more": torch.ones(1)}), "has too many vision_model.more"),
        (lambda state, _: state.pop("logit_scale"), "lacks logit_scale"),
        (lambda state, _: state.pop("text_projection.weight"), "lacks text_projection.weight"),
        (lambda state, _: state.update(logit_scale=torch.ones(2)), "another shape"),
        (
            lambda state, _: state.update({"visual_projection.weight": torch.ones(25, 32)}),
            "other shapes of visual_projection.weight",
        ),
        (lambda _, vision: vision.update(num_hidden_layers=3), "lacks vision_model.encoder.layers.2.* and 13 more"),
        (lambda _, vision: vision.update(image_size=35), "other shapes of vision_model.embeddings.position_embedding"),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_the_first_named(tmp_path, make_checkpoint, change, told):
    folder = make_checkpoint(tmp_path, "image", change)
    with pytest.raises(WeightsMismatch) as refused:
        LanguageBindImageEncoder(f"local-dir:{folder}")
    assert all(part in str(refused.value) for part in told.split("*")), refused.value
    assert str(folder / "model.safetensors") in str(refused.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda vision: vision.pop("hidden_size"), "vision_config lacks hidden_size"),
        (lambda vision: vision.pop("image_size"), "vision_config lacks image_size"),
        (lambda vision: vision.update(image_size=[28, 35]), r"image_size must be .* got \[28, 35\]"),
        (lambda vision: vision.update(patch_size=0), "patch_size must be a whole number above 0, got 0"),
        (lambda vision: vision.update(patch_size=True), "patch_size must be a whole number above 0, got True"),
        (lambda vision: vision.update(hidden_act="no such"), "makes no network"),
        (lambda vision: vision.update(num_attention_heads=5), "makes no network"),
    ],
)
def test_a_configuration_that_makes_no_network_is_refused(tmp_path, make_checkpoint, change, told):
    folder = make_checkpoint(tmp_path, "image", lambda _, vision: change(vision))
    with pytest.raises(BadInput, match=told):
        LanguageBindImageEncoder(f"local-dir:{folder}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "holds no config.json"),
        ("{", "not valid JSON"),
        ("[]", "got list"),
        ("{}", "lacks the table vision_config"),
        ('{"vision_config": 3}', "lacks the table vision_config"),
    ],
)
def test_a_folder_without_a_configuration_is_refused(tmp_path, make_checkpoint, text, told):
    folder = make_checkpoint(tmp_path, "image")
    (folder / "config.json").unlink()
    if text is not None:
        (folder / "config.json").write_text(text)
    with pytest.raises(BadInput, match=told):
        LanguageBindImageEncoder(f"local-dir:{folder}")


def test_a_folder_without_weights_is_refused(tmp_path, make_checkpoint):
    folder = make_checkpoint(tmp_path, "image")
    (folder / "model.safetensors").unlink()
    with pytest.raises(BadInput, match=r"no model.safetensors and no pytorch_model.bin"):
        LanguageBindImageEncoder(f"local-dir:{folder}")


@pytest.mark.parametrize("safetensors", [True, False])
@pytest.mark.parametrize("kept", [0, 7, 3000])
def test_damaged_weights_are_refused(tmp_path, make_checkpoint, safetensors, kept):
    folder = make_checkpoint(tmp_path, "image", safetensors=safetensors)
    path = folder / ("model.safetensors" if safetensors else "pytorch_model.bin")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(BadInput, match="not a "):
        LanguageBindImageEncoder(f"local-dir:{folder}")


def test_a_weight_file_that_holds_code_is_not_run(tmp_path, make_checkpoint):
    class Code:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    folder = make_checkpoint(tmp_path, "image", safetensors=False)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"logit_scale": Code()}))
    with pytest.raises(BadInput, match="not a "):
        LanguageBindImageEncoder(f"local-dir:{folder}")
    assert not (tmp_path / "ran").exists()


def test_a_file_of_something_else_is_refused(tmp_path, make_checkpoint):
    folder = make_checkpoint(tmp_path, "image", safetensors=False)
    torch.save([torch.ones(1)], folder / "pytorch_model.bin")
    with pytest.raises(WeightsMismatch, match="tensors by name"):
        LanguageBindImageEncoder(f"local-dir:{folder}")


def test_local_files_are_used_without_any_network(models, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert isinstance(LanguageBindThermalEncoder(f"local-dir:{models / 'LanguageBind_Thermal'}").module, ClipVisionTower)


def test_names_that_are_neither_folder_nor_repository_are_refused(tmp_path):
    with pytest.raises(BadOption, match="neither"):
        LanguageBindImageEncoder("no such model")
    with pytest.raises(BadInput, match="is no folder"):
        LanguageBindImageEncoder(f"local-dir:{tmp_path / 'missing'}")


def test_nothing_of_the_file_stays_open(tmp_path, make_checkpoint, pictures):
    folder = make_checkpoint(tmp_path, "image", safetensors=False)
    tower = LanguageBindImageEncoder(f"local-dir:{folder}")
    before = tower.encode([tower.preprocess(pictures[0])])
    path = folder / "pytorch_model.bin"
    path.write_bytes(bytes(path.stat().st_size))
    assert (tower.encode([tower.preprocess(pictures[0])]) == before).all()


def test_the_configuration_says_which_tensors_are_merged(tmp_path, make_checkpoint, pictures):
    folder = make_checkpoint(tmp_path, "depth")
    config = json.loads((folder / "config.json").read_text())
    del config["vision_config"]["lora_alpha"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsMismatch, match="does not say their scale"):
        LanguageBindDepthEncoder(f"local-dir:{folder}")
