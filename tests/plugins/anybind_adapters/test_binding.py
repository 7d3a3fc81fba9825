"""The binding of CLIP and ImageBind: where its adapter is looked for, and that five modalities meet in one space."""

from __future__ import annotations

import numpy as np
import pytest

import anybind
from anybind.errors import SpaceMismatch
from anybind.registry import find_part
from anybind_adapters.binding import NAME, get_default_path

ONE_SPACE = anybind.Space("imagebind", 12, "tiny-imagebind")


@pytest.fixture
def adapter_file(tiny_towers, make_pairs, tmp_path):
    """An adapter between the stand-ins' spaces, of any kind."""
    from dataclasses import replace

    def write(path, kind="linear", target=ONE_SPACE):
        source, wanted = make_pairs(d=16, e=12)
        clip = anybind.Space("tiny-pictures", 16, "tiny")
        source, wanted = replace(source, space=clip), replace(wanted, space=target)
        fit = find_part("adapter", kind).load().fit
        path.parent.mkdir(parents=True, exist_ok=True)
        fit(source, wanted, groups=np.arange(60), seed=0).save(path)
        return path

    return write


@pytest.fixture
def samples():
    from anybind_media.depth import DepthMap
    from anybind_media.sound import Waveform

    picture = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    return {
        "image": picture,
        "event": anybind.derive("event", picture),
        "sound": Waveform(np.full((1, 400), 0.25, np.float32), 8000),
        "depth": DepthMap(np.ones((4, 5), np.float32)),
    }


@pytest.mark.parametrize("kind", ["linear", "procrustes"])
def test_every_modality_is_embedded_in_one_space(adapter_file, samples, tmp_path, kind):
    path = adapter_file(tmp_path / "x.safetensors", kind)
    binder = anybind.load(f"{NAME}:{path}")
    assert binder.modalities == ("text", "image", "event", "sound", "depth")
    made = {name: binder.embed(name, [sample]) for name, sample in samples.items()}
    assert {embeddings.space for embeddings in made.values()} == {ONE_SPACE}
    assert (made["event"] @ made["sound"]).shape == (1, 1)
    assert [len(binder.route(name)) for name in samples] == [1, 1, 0, 0]


def test_the_adapter_is_looked_for_in_the_users_data_folder(adapter_file, samples, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert get_default_path() == tmp_path / "data" / "anybind" / "clip-vit-l-14+imagebind.safetensors"
    adapter_file(get_default_path())
    assert anybind.load(NAME).embed("image", [samples["image"]]).space == ONE_SPACE
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert str(get_default_path()) == "/home/someone/.local/share/anybind/clip-vit-l-14+imagebind.safetensors"


def test_a_missing_adapter_is_told_with_the_line_that_makes_it(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "da ta"))
    path = f"'{tmp_path / 'da ta' / 'anybind'}/{NAME}.safetensors'"
    told = cli("embed", tmp_path, "--binding", NAME, "-o", tmp_path / "v.safetensors").error()
    assert f"mkdir -p '{tmp_path / 'da ta' / 'anybind'}' && anybind fit-adapter" in told
    assert f"--from clip-vit-l-14 --to imagebind --data FOLDER_OF_PICTURES -o {path}" in told
    with pytest.raises(anybind.BadInput, match=rf"make it: anybind fit-adapter .* -o {tmp_path}/x.safetensors"):
        anybind.load(f"{NAME}:{tmp_path}/x.safetensors")


def test_the_bindings_list_shows_it_without_an_adapter(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    ended = cli("bindings", "--json")
    assert ended.code == 0
    assert NAME in ended.out


def test_a_file_that_holds_no_adapter_is_told(tiny_towers, tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(anybind.BadInput, match="not a readable safetensors file"):
        anybind.load(f"{NAME}:{tmp_path / 'x.safetensors'}")


def test_an_adapter_to_another_imagebind_meets_no_sound(adapter_file, samples, tmp_path):
    elsewhere = anybind.Space("imagebind", 12, "another-imagebind")
    binder = anybind.load(f"{NAME}:{adapter_file(tmp_path / 'x.safetensors', target=elsewhere)}")
    with pytest.raises(SpaceMismatch, match=r"another-imagebind.* and .*tiny-imagebind.* are different spaces"):
        binder.embed("image", [samples["image"]]) @ binder.embed("sound", [samples["sound"]])


def test_a_binder_in_a_modalitys_own_space_uses_no_adapter_and_the_same_towers(adapter_file, samples, tmp_path):
    binder = anybind.load(f"{NAME}:{adapter_file(tmp_path / 'x.safetensors')}")
    own = binder.without_adapters("image")
    assert own.encoder("image") is binder.encoder("image")
    assert own.embed("image", [samples["image"]]).space == anybind.Space("tiny-pictures", 16, "tiny")
    assert own.route("image") == []
    assert len(binder.route("image")) == 1
