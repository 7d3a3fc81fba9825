"""A base that has changed since the pack was made is found and refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import anybind
from anybind.errors import WeightsMismatch
from anybind.plugin import tensors
from anybind_packs import load_pack, pack
from anybind_packs.card import describe_files, read_pack
from helpers import tiny_base
from helpers.packs import change_card

pytestmark = pytest.mark.torch


@pytest.fixture
def adapter_pack(tmp_path: Path, tiny_registry, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pack an adapter of the binding `tiny`, whose image encoder a test can change."""
    from anybind_adapters import fit_adapter

    monkeypatch.setattr(tiny_base, "OPTIONS", {})
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(40)]
    source = anybind.load("tiny").embed("image", images)
    target = anybind.load_encoder("tiny-image", dim=12).embed("image", images)
    fit_adapter(source, target, adapter="ridge").save(tmp_path / "a.safetensors")
    pack(tmp_path / "a.safetensors", tmp_path / "pack", licence="MIT", bases=["tiny"])
    return tmp_path / "pack"


def test_an_unchanged_base_is_accepted(adapter_pack: Path, image: np.ndarray) -> None:
    assert anybind.load(f"pack:{adapter_pack}").embed("image", [image]).space.name == "tiny-12"


def test_other_weights_of_the_base_are_refused(adapter_pack: Path, monkeypatch, image: np.ndarray) -> None:
    monkeypatch.setattr(tiny_base, "OPTIONS", {"side": 10})
    with pytest.raises(WeightsMismatch, match="another image encoder of tiny: expected the weights"):
        anybind.load(f"pack:{adapter_pack}").embed("image", [image])
    anybind.load(f"pack:{adapter_pack}").encoder("text")  # the same as before


def test_other_embeddings_of_the_same_weights_are_refused(adapter_pack: Path, monkeypatch, image: np.ndarray) -> None:
    monkeypatch.setattr(tiny_base, "OPTIONS", {"output": "sharp"})
    with pytest.raises(WeightsMismatch, match="its weights are the same, but its embeddings of fixed samples are not"):
        anybind.load(f"pack:{adapter_pack}").embed("image", [image])


def test_rounding_of_another_processor_is_accepted_and_a_real_difference_is_not(adapter_pack: Path) -> None:
    _, stored = tensors.read_tensors(adapter_pack / "base.safetensors")
    for size, accepted in ((1e-4, True), (0.05, False)):
        folder = Path(shutil.copytree(adapter_pack, adapter_pack.parent / f"noise-{size}"))
        noise = np.random.default_rng(0).normal(0, size, stored["0.image"].shape)
        noisy = stored["0.image"] + noise
        noisy = (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float32)
        tensors.write_tensors(folder / "base.safetensors", {**stored, "0.image": noisy}, {})
        replace(read_pack(folder), files=describe_files(folder)).write(folder)
        binder = anybind.load(f"pack:{folder}")
        if accepted:
            binder.encoder("image")
        else:
            with pytest.raises(WeightsMismatch, match="min cosine"):
                binder.encoder("image")


def test_a_base_without_an_encoder_or_with_another_name_is_checked(adapter_pack: Path, image: np.ndarray) -> None:
    lacking = anybind.Binding("tiny", {"text": anybind.Binding.configure("tiny-text")})
    with pytest.raises(WeightsMismatch, match="it lacks image"):
        load_pack(adapter_pack, bases=(lacking,))
    copy = anybind.Binding("copy", tiny_base.make_binding("").encoders)
    binder = anybind.load(load_pack(adapter_pack, bases=(copy,)))
    assert binder.embed("image", [image]).space.name == "tiny-12"


def test_other_adapters_of_the_base_are_refused(own_pack: Path) -> None:
    change_card(own_pack, lambda card: card["bases"][0].update(adapters=["0" * 12]))
    with pytest.raises(WeightsMismatch, match="fits other adapters of mini"):
        anybind.load(f"pack:{own_pack}").embed("text", ["a dog"])
