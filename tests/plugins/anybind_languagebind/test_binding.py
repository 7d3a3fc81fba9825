from __future__ import annotations

import shutil

import numpy as np
import PIL.Image
import pytest

import anybind
from anybind.errors import BadOption, SpaceMismatch
from anybind_languagebind.thermal import ThermalImage
from anybind_media.depth import DepthMap
from anybind_media.sound import Waveform
from anybind_media.video import open_video


def test_the_binding_without_source_has_the_published_checkpoints():
    binding = anybind.find_binding("languagebind")
    assert binding.space == "languagebind"
    models = {modality: use.options["model"] for modality, use in binding.encoders.items() if "model" in use.options}
    assert models == {
        "text": "LanguageBind/LanguageBind_Image",
        "image": "LanguageBind/LanguageBind_Image",
        "sound": "LanguageBind/LanguageBind_Audio_FT",
        "depth": "LanguageBind/LanguageBind_Depth",
        "thermal": "LanguageBind/LanguageBind_Thermal",
        "video": "LanguageBind/LanguageBind_Video_FT",
    }


def test_all_modalities_share_one_space(models, images, tmp_path):
    for number in range(3):
        PIL.Image.fromarray(images[1]).save(tmp_path / f"{number}.png")
    binder = anybind.load(f"languagebind:local-dir:{models}")
    samples = {
        "text": "the dog",
        "image": images[1],
        "sound": Waveform(np.sin(np.arange(9000, dtype=np.float32)), 8000),
        "depth": DepthMap(np.full((40, 50), 2.0, np.float32)),
        "thermal": ThermalImage(images[1]),
        "video": open_video(tmp_path),
        "event": anybind.derive("event", images[1], seed=0),
    }
    assert binder.modalities == tuple(samples)
    embeddings = {modality: binder.embed(modality, sample) for modality, sample in samples.items()}
    assert len({vectors.space for vectors in embeddings.values()}) == 1
    assert (embeddings["text"] @ embeddings["sound"]).shape == (1, 1)
    assert binder.encoder("sound").logit_scale == pytest.approx(np.exp(2.5))


def test_the_event_encoder_is_a_copy_of_the_image_encoder_and_trains_alone(models):
    binder = anybind.load(f"languagebind:local-dir:{models}")
    event, image = binder.encoder("event"), binder.encoder("image")
    weights, copied = image.module.state_dict(), event.module.state_dict()
    assert all((copied[name] == weight).all() for name, weight in weights.items())
    assert {weight.data_ptr() for weight in event.module.parameters()}.isdisjoint(
        weight.data_ptr() for weight in image.module.parameters()
    )


def test_image_files_are_read_as_thermal_images(models, images, tmp_path):
    PIL.Image.fromarray(images[1]).save(tmp_path / "a.png")
    binder = anybind.load(f"languagebind:local-dir:{models}")
    by_path = binder.embed("thermal", tmp_path / "a.png")
    assert (by_path.vectors == binder.embed("thermal", ThermalImage(images[1])).vectors).all()


def test_the_binding_has_the_modalities_of_the_folder(models, tmp_path):
    shutil.copytree(models / "LanguageBind_Audio_FT", tmp_path / "LanguageBind_Audio")
    binder = anybind.load(f"languagebind:local-dir:{tmp_path}")
    assert binder.modalities == ("text", "sound")
    assert binder.embed("text", "a dog").space == binder.space("sound")


def test_encoders_bound_to_different_text_encoders_cannot_be_compared(models, tmp_path, make_checkpoint, images):
    shutil.copytree(models / "LanguageBind_Image", tmp_path / "LanguageBind_Image")
    make_checkpoint(tmp_path, "thermal", text_seed=1)
    binder = anybind.load(f"languagebind:local-dir:{tmp_path}")
    with pytest.raises(SpaceMismatch):
        binder.embed("image", images[0]) @ binder.embed("thermal", ThermalImage(images[0]))


def test_a_folder_without_checkpoints_is_an_error(tmp_path):
    with pytest.raises(anybind.BadInput, match="no checkpoint folders of LanguageBind"):
        anybind.load(f"languagebind:local-dir:{tmp_path}")


def test_an_invalid_source_is_an_error():
    with pytest.raises(BadOption, match="local-dir:PATH"):
        anybind.load("languagebind:LanguageBind_Image")
