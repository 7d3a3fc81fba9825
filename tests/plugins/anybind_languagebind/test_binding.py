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


def test_the_plain_name_takes_the_published_checkpoints():
    binding = anybind.find_binding("languagebind")
    assert binding.space == "languagebind"
    models = {modality: use.options["model"] for modality, use in binding.encoders.items()}
    assert models == {
        "text": "LanguageBind/LanguageBind_Image",
        "image": "LanguageBind/LanguageBind_Image",
        "sound": "LanguageBind/LanguageBind_Audio_FT",
        "depth": "LanguageBind/LanguageBind_Depth",
        "thermal": "LanguageBind/LanguageBind_Thermal",
        "video": "LanguageBind/LanguageBind_Video_FT",
    }


def test_all_modalities_answer_each_other(models, pictures, tmp_path):
    for number in range(3):
        PIL.Image.fromarray(pictures[1]).save(tmp_path / f"{number}.png")
    binder = anybind.load(f"languagebind:local-dir:{models}")
    samples = {
        "text": "the dog",
        "image": pictures[1],
        "sound": Waveform(np.sin(np.arange(9000, dtype=np.float32)), 8000),
        "depth": DepthMap(np.full((40, 50), 2.0, np.float32)),
        "thermal": ThermalImage(pictures[1]),
        "video": open_video(tmp_path),
    }
    assert binder.modalities == tuple(samples)
    embedded = {modality: binder.embed(modality, sample) for modality, sample in samples.items()}
    assert len({vectors.space for vectors in embedded.values()}) == 1
    assert (embedded["text"] @ embedded["sound"]).shape == (1, 1)
    assert binder.encoder("sound").logit_scale == pytest.approx(np.exp(2.5))


def test_picture_files_are_taken_as_thermal(models, pictures, tmp_path):
    PIL.Image.fromarray(pictures[1]).save(tmp_path / "a.png")
    binder = anybind.load(f"languagebind:local-dir:{models}")
    by_path = binder.embed("thermal", tmp_path / "a.png")
    assert (by_path.vectors == binder.embed("thermal", ThermalImage(pictures[1])).vectors).all()


def test_only_what_the_folder_holds_is_bound(models, tmp_path):
    shutil.copytree(models / "LanguageBind_Audio_FT", tmp_path / "LanguageBind_Audio")
    binder = anybind.load(f"languagebind:local-dir:{tmp_path}")
    assert binder.modalities == ("text", "sound")
    assert binder.embed("text", "a dog").space == binder.space("sound")


def test_a_tower_of_another_text_tower_is_not_compared(models, tmp_path, make_checkpoint, pictures):
    shutil.copytree(models / "LanguageBind_Image", tmp_path / "LanguageBind_Image")
    make_checkpoint(tmp_path, "thermal", text_seed=1)
    binder = anybind.load(f"languagebind:local-dir:{tmp_path}")
    with pytest.raises(SpaceMismatch):
        binder.embed("image", pictures[0]) @ binder.embed("thermal", ThermalImage(pictures[0]))


def test_a_folder_without_checkpoints_is_refused(tmp_path):
    with pytest.raises(anybind.BadInput, match="holds no folders of LanguageBind"):
        anybind.load(f"languagebind:local-dir:{tmp_path}")


def test_another_source_is_refused():
    with pytest.raises(BadOption, match="local-dir:PATH"):
        anybind.load("languagebind:LanguageBind_Image")
