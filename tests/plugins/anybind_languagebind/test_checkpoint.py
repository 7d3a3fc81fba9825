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


def test_both_weight_formats_give_the_same_embeddings(tmp_path, make_checkpoint, images):
    folders = [make_checkpoint(tmp_path / str(flag), "image", safetensors=flag) for flag in (True, False)]
    encoders = [LanguageBindImageEncoder(f"local-dir:{folder}") for folder in folders]
    assert encoders[0].identity == encoders[1].identity
    one, other = (encoder.encode([encoder.preprocess(images[0])]) for encoder in encoders)
    assert (one == other).all()


def test_half_precision_weights_are_converted_to_float32(tmp_path, make_checkpoint):
    def halve(state, _):
        state.update({name: tensor.half() for name, tensor in state.items() if tensor.is_floating_point()})

    encoder = LanguageBindImageEncoder(f"local-dir:{make_checkpoint(tmp_path, 'image', halve, safetensors=False)}")
    assert {tensor.dtype for tensor in encoder.module.state_dict().values()} == {torch.float32}


def test_the_logit_scale_and_space_are_those_of_the_checkpoint(models):
    encoder = LanguageBindImageEncoder(f"local-dir:{models / 'LanguageBind_Image'}")
    assert encoder.logit_scale == pytest.approx(torch.tensor(2.5).exp().item())
    assert (encoder.space.name, encoder.space.dim) == ("languagebind", 24)


def test_encoders_bound_to_one_text_tower_share_a_space(models, tmp_path, make_checkpoint):
    image = LanguageBindImageEncoder(f"local-dir:{models / 'LanguageBind_Image'}")
    assert LanguageBindDepthEncoder(f"local-dir:{models / 'LanguageBind_Depth'}").space == image.space
    other = make_checkpoint(tmp_path, "depth", text_seed=1)
    assert LanguageBindDepthEncoder(f"local-dir:{other}").space != image.space


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state, _: state.pop("vision_model.pre_layrnorm.bias"), "lacks vision_model.pre_layrnorm.bias"),
        (lambda state, _: state.update(extra=torch.ones(1)), "1 unexpected: extra"),
        (lambda state, _: state.update({"vision_model.more": torch.ones(1)}), "has too many vision_model.more"),
        (lambda state, _: state.pop("logit_scale"), "missing logit_scale"),
        (lambda state, _: state.pop("text_projection.weight"), "missing text_projection.weight"),
        (lambda state, _: state.update(logit_scale=torch.ones(2)), "unexpected shape"),
        (
            lambda state, _: state.update({"visual_projection.weight": torch.ones(25, 32)}),
            "other shapes of visual_projection.weight",
        ),
        (lambda _, vision: vision.update(num_hidden_layers=3), "lacks vision_model.encoder.layers.2.* and 13 more"),
        (lambda _, vision: vision.update(image_size=35), "other shapes of vision_model.embeddings.position_embedding"),
    ],
)
def test_weights_that_do_not_match_are_an_error_with_the_first_names(tmp_path, make_checkpoint, change, message):
    folder = make_checkpoint(tmp_path, "image", change)
    with pytest.raises(WeightsMismatch) as caught:
        LanguageBindImageEncoder(f"local-dir:{folder}")
    assert all(part in str(caught.value) for part in message.split("*")), caught.value
    assert str(folder / "model.safetensors") in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda vision: vision.pop("hidden_size"), "vision_config has no hidden_size"),
        (lambda vision: vision.pop("image_size"), "vision_config has no image_size"),
        (lambda vision: vision.update(image_size=[28, 35]), r"image_size: expected .* got \[28, 35\]"),
        (lambda vision: vision.update(patch_size=0), "patch_size: expected an integer above 0, got 0"),
        (lambda vision: vision.update(patch_size=True), "patch_size: expected an integer above 0, got True"),
        (lambda vision: vision.update(hidden_act="no such"), "not a valid CLIP configuration"),
        (lambda vision: vision.update(num_attention_heads=5), "not a valid CLIP configuration"),
    ],
)
def test_an_invalid_configuration_is_an_error(tmp_path, make_checkpoint, change, message):
    folder = make_checkpoint(tmp_path, "image", lambda _, vision: change(vision))
    with pytest.raises(BadInput, match=message):
        LanguageBindImageEncoder(f"local-dir:{folder}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "holds no config.json"),
        ("{", "not valid JSON"),
        ("[]", "got list"),
        ("{}", "no table vision_config"),
        ('{"vision_config": 3}', "no table vision_config"),
    ],
)
def test_a_missing_or_malformed_configuration_is_an_error(tmp_path, make_checkpoint, text, message):
    folder = make_checkpoint(tmp_path, "image")
    (folder / "config.json").unlink()
    if text is not None:
        (folder / "config.json").write_text(text)
    with pytest.raises(BadInput, match=message):
        LanguageBindImageEncoder(f"local-dir:{folder}")


def test_a_folder_without_weights_is_an_error(tmp_path, make_checkpoint):
    folder = make_checkpoint(tmp_path, "image")
    (folder / "model.safetensors").unlink()
    with pytest.raises(BadInput, match=r"no model.safetensors and no pytorch_model.bin"):
        LanguageBindImageEncoder(f"local-dir:{folder}")


@pytest.mark.parametrize("safetensors", [True, False])
@pytest.mark.parametrize("n_bytes", [0, 7, 3000])
def test_corrupt_weights_are_an_error(tmp_path, make_checkpoint, safetensors, n_bytes):
    folder = make_checkpoint(tmp_path, "image", safetensors=safetensors)
    path = folder / ("model.safetensors" if safetensors else "pytorch_model.bin")
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(BadInput, match="not a "):
        LanguageBindImageEncoder(f"local-dir:{folder}")


def test_code_in_a_weight_file_is_not_executed(tmp_path, make_checkpoint):
    class OpenOnUnpickling:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    folder = make_checkpoint(tmp_path, "image", safetensors=False)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"logit_scale": OpenOnUnpickling()}))
    with pytest.raises(BadInput, match="not a "):
        LanguageBindImageEncoder(f"local-dir:{folder}")
    assert not (tmp_path / "executed").exists()


def test_a_file_without_a_state_dict_is_an_error(tmp_path, make_checkpoint):
    folder = make_checkpoint(tmp_path, "image", safetensors=False)
    torch.save([torch.ones(1)], folder / "pytorch_model.bin")
    with pytest.raises(WeightsMismatch, match="tensors by name"):
        LanguageBindImageEncoder(f"local-dir:{folder}")


def test_local_files_need_no_network(models, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("unexpected network access")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert isinstance(
        LanguageBindThermalEncoder(f"local-dir:{models / 'LanguageBind_Thermal'}").module, ClipVisionTower
    )


def test_names_that_are_neither_folder_nor_repository_are_an_error(tmp_path):
    with pytest.raises(BadOption, match="neither"):
        LanguageBindImageEncoder("no such model")
    with pytest.raises(BadInput, match="is not a folder"):
        LanguageBindImageEncoder(f"local-dir:{tmp_path / 'missing'}")


def test_the_weight_file_is_closed_after_loading(tmp_path, make_checkpoint, images):
    folder = make_checkpoint(tmp_path, "image", safetensors=False)
    encoder = LanguageBindImageEncoder(f"local-dir:{folder}")
    before = encoder.encode([encoder.preprocess(images[0])])
    path = folder / "pytorch_model.bin"
    path.write_bytes(bytes(path.stat().st_size))
    assert (encoder.encode([encoder.preprocess(images[0])]) == before).all()


def test_lora_without_a_scale_is_an_error(tmp_path, make_checkpoint, images):
    folder = make_checkpoint(tmp_path, "depth")
    config = json.loads((folder / "config.json").read_text())
    del config["vision_config"]["lora_alpha"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsMismatch, match="does not set their scale"):
        LanguageBindDepthEncoder(f"local-dir:{folder}")
