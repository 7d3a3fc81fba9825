"""The binding of CLIP and ImageBind: its adapter file, and five modalities in one space."""

from __future__ import annotations

import numpy as np
import pytest

import anybind
from anybind.errors import SpaceMismatch
from anybind.registry import find_part
from anybind_adapters.binding import NAME, get_default_path

pytestmark = pytest.mark.torch

COMMON_SPACE = anybind.Space("imagebind", 12, "small-imagebind")


@pytest.fixture
def adapter_file(small_encoders, make_pairs, tmp_path):
    """Fit and write an adapter between the spaces of the small encoders."""
    from dataclasses import replace

    def write(path, adapter="linear", target=COMMON_SPACE):
        spaces = anybind.Space("small-image", 16, "small"), target
        sides = [replace(side, space=space) for side, space in zip(make_pairs(d=16, e=12), spaces, strict=True)]
        path.parent.mkdir(parents=True, exist_ok=True)
        find_part("adapter", adapter).load().fit(*sides, groups=np.arange(60), seed=0).save(path)
        return path

    return write


@pytest.fixture
def samples():
    from anybind_media.depth import DepthMap
    from anybind_media.sound import Waveform

    image = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    return {
        "image": image,
        "event": anybind.derive("event", image),
        "sound": Waveform(np.full((1, 400), 0.25, np.float32), 8000),
        "depth": DepthMap(np.ones((4, 5), np.float32)),
    }


@pytest.mark.parametrize("adapter", ["linear", "procrustes"])
def test_every_modality_is_embedded_in_one_space(adapter_file, samples, tmp_path, adapter):
    path = adapter_file(tmp_path / "x.safetensors", adapter)
    binder = anybind.load(f"{NAME}:{path}")
    assert binder.modalities == ("text", "image", "event", "sound", "depth")
    embeddings = {modality: binder.embed(modality, [sample]) for modality, sample in samples.items()}
    assert {each.space for each in embeddings.values()} == {COMMON_SPACE}
    assert (embeddings["event"] @ embeddings["sound"]).shape == (1, 1)
    assert [len(binder.route(name)) for name in samples] == [1, 1, 0, 0]


def test_the_default_adapter_is_in_the_users_data_folder(adapter_file, samples, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert get_default_path() == tmp_path / "data" / "anybind" / "clip-vit-l-14+imagebind.safetensors"
    adapter_file(get_default_path())
    assert anybind.load(NAME).embed("image", [samples["image"]]).space == COMMON_SPACE
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert str(get_default_path()) == "/home/someone/.local/share/anybind/clip-vit-l-14+imagebind.safetensors"


def test_a_missing_adapter_is_an_error_with_the_fit_command(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "da ta"))
    path = f"'{tmp_path / 'da ta' / 'anybind'}/{NAME}.safetensors'"
    message = cli("embed", tmp_path, "--binding", NAME, "-o", tmp_path / "v.safetensors").error()
    assert f"mkdir -p '{tmp_path / 'da ta' / 'anybind'}' && anybind fit-adapter" in message
    assert f"--source clip-vit-l-14 --target imagebind --data IMAGE_FOLDER -o {path}" in message
    with pytest.raises(anybind.BadInput, match=rf"fit one: anybind fit-adapter .* -o {tmp_path}/x.safetensors"):
        anybind.load(f"{NAME}:{tmp_path}/x.safetensors")


def test_bindings_lists_it_without_an_adapter_file(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    outcome = cli("bindings", "--json")
    assert outcome.code == 0
    assert NAME in outcome.out


def test_a_file_that_is_not_an_adapter_is_rejected(small_encoders, tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(anybind.BadInput, match="not a readable safetensors file"):
        anybind.load(f"{NAME}:{tmp_path / 'x.safetensors'}")


def test_an_adapter_to_another_imagebind_cannot_be_compared_with_audio(adapter_file, samples, tmp_path):
    other_space = anybind.Space("imagebind", 12, "another-imagebind")
    binder = anybind.load(f"{NAME}:{adapter_file(tmp_path / 'x.safetensors', target=other_space)}")
    with pytest.raises(SpaceMismatch, match=r"another-imagebind.* and .*small-imagebind.* are different spaces"):
        binder.embed("image", [samples["image"]]) @ binder.embed("sound", [samples["sound"]])


def test_a_binder_without_adapters_shares_the_encoders(adapter_file, samples, tmp_path):
    binder = anybind.load(f"{NAME}:{adapter_file(tmp_path / 'x.safetensors')}")
    own = binder.without_adapters("image")
    assert own.encoder("image") is binder.encoder("image")
    assert own.embed("image", [samples["image"]]).space == anybind.Space("small-image", 16, "small")
    assert own.route("image") == []
    assert len(binder.route("image")) == 1
