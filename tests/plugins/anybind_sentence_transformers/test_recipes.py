"""The recipes of packs, run on tiny random bases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("sentence_transformers", minversion="6")

import anybind
from anybind.plugin import BadOption
from anybind_datasets.packaged import StereoTiles
from anybind_train import train
from anybind_train.metrics_log import read_log
from anybind_train.projected import ProjectedEncoder
from helpers.tiny_models import make_siglip

RECIPES = Path(__file__).parents[3] / "benchmarks" / "recipes"
pytestmark = [pytest.mark.slow, pytest.mark.torch]


@pytest.fixture(scope="module")
def siglip(tmp_path_factory) -> Path:
    return make_siglip(tmp_path_factory.mktemp("models") / "siglip")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Write images of coloured shapes, 32 for training and 12 held out."""
    root, random = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for folder, count in (("train", 32), ("held-out", 12)):
        (root / folder).mkdir()
        for number in range(count):
            pixels = np.full((64, 64, 3), random.integers(0, 256, 3), np.uint8)
            for _ in range(6):
                top, left, height, width = random.integers(0, 40, 2).tolist() + random.integers(8, 24, 2).tolist()
                pixels[top : top + height, left : left + width] = random.integers(0, 256, 3)
            PIL.Image.fromarray(pixels).save(root / folder / f"{number}.png")
    return root


def measure_held_out_cosine(binder: anybind.Binder, modality: str, items: list, images: list) -> float:
    student, teacher = (
        binder.without_adapters(name).embed(name, list(each)).vectors
        for name, each in ((modality, items), ("image", images))
    )
    return float((student * teacher).sum(1).mean())


def add_untrained(binding: str, modality: str, folder: Path) -> anybind.Binder:
    """Return the base with an untrained projection."""
    encoder = ProjectedEncoder(target=anybind.load(binding, backend="torch").encoder("image"), modality=modality)
    encoder.save_weights(folder / "untrained.safetensors")
    text = (folder / "run" / "binding.toml").read_text().replace("./last.safetensors", "./../untrained.safetensors")
    (folder / "run" / "untrained.toml").write_text(text)
    return anybind.load(folder / "run" / "untrained.toml")


@pytest.mark.parametrize(
    ("recipe", "base"),
    [
        pytest.param("pack-event-on-siglip2", "siglip", marks=pytest.mark.long),
        ("pack-event-on-qwen3-vl-embedding", "qwen3_vl"),
    ],
)
def test_an_event_encoder_learns_the_image_space_of_a_base(recipe, base, data, tmp_path, request):
    binding = f"sentence-transformers:{request.getfixturevalue(base)}"
    overrides = (
        f"binding={binding}",
        "epochs=4",
        "batch_size=8",
        "variants=1",
        "derive_each_epoch=false",
        "probe.every=4",
    )
    overrides += ("optimiser.lr=3e-3", 'derive={"model": "saccades"}')
    with pytest.raises(BadOption, match=r"inputs differ in shape \(.*; set cache_inputs = false"):  # several windows
        train(RECIPES / f"{recipe}.toml", data, tmp_path / "cached", overrides=(*overrides, "cache_inputs=true"))
    result = train(RECIPES / f"{recipe}.toml", data, tmp_path / "run", overrides=overrides)
    trained = anybind.load(tmp_path / "run" / "binding.toml")
    images = [anybind.read(path) for path in sorted((data / "held-out").glob("*.png"))]
    events = [anybind.derive("event", image, source="image", seed=0) for image in images]
    untrained = add_untrained(binding, "event", tmp_path)
    before, after = (measure_held_out_cosine(binder, "event", events, images) for binder in (untrained, trained))
    assert after > before + 0.2
    losses = [line["loss"] for line in read_log(tmp_path / "run") if line["kind"] == "step"]
    assert np.mean(losses[-3:]) < 0.8 * losses[0]
    assert [probe["epoch"] for probe in result.record["probes"]] == [0, 4]
    texts = trained.embed("text", ["a red square", "a blue square"])
    assert (trained.embed("event", events) @ texts).shape == (12, 2)
    assert result.record["base"]["binding"] == binding


@pytest.mark.long
@pytest.mark.slow
def test_a_depth_encoder_learns_the_image_space_of_a_base(qwen3_vl, tmp_path):
    binding = f"sentence-transformers:{qwen3_vl}"
    (tiles := tmp_path / "tiles").mkdir()
    overrides = (
        f"binding={binding}", "epochs=8", "batch_size=8", "data.0.dataset=stereo-tiles", "data.0.path=tiles",
        "data.0.options={}", "data.0.limit=8", "probe.dataset=stereo-tiles",
        "probe.path=tiles", "probe.options={}", "probe.held_out=true", "probe.every=8",
        'student.train=["projection"]', "optimiser.lr=3e-3",
    )  # fmt: skip
    result = train(RECIPES / "pack-depth-on-qwen3-vl-embedding.toml", tmp_path, tmp_path / "run", overrides=overrides)
    trained = anybind.load(tmp_path / "run" / "binding.toml")
    untrained = add_untrained(binding, "depth", tmp_path)
    seen = {item.id for item in StereoTiles(tiles, modalities=["depth"], limit=8).items}
    items = [item for item in StereoTiles(tiles, modalities=["depth"]).items if item.id not in seen]
    assert len(items) == 4
    depths, images = [item.source for item in items], [item.partner("image").source for item in items]
    before, after = (measure_held_out_cosine(binder, "depth", depths, images) for binder in (untrained, trained))
    assert after > before + 0.2
    assert result.record["samples"] == 8
