"""Exported folders: equal embeddings and identities, accuracy limits, what the card has."""

from __future__ import annotations

import json

import numpy as np
import pytest

import anybind
from anybind import AnybindWarning, Binding
from anybind_adapters import fit_adapter
from anybind_export import export, graphs
from anybind_export.exporting import GateMissed
from anybind_retrieval import build_index, search

from .conftest import make_binding

pytestmark = pytest.mark.torch


def test_a_lossless_export_has_the_embeddings_and_the_identity_of_its_source(exported, images):
    source, loaded = anybind.load(make_binding()), anybind.load(f"onnx:{exported}")
    for modality, samples in (("image", images), ("text", ["a duck", "a cat"])):
        first, second = (binder.embed(modality, samples) for binder in (source, loaded))
        np.testing.assert_allclose(first.vectors, second.vectors, atol=1e-4)
        assert (first.encoder, first.space) == (second.encoder, second.space)
    assert loaded.binding.summary == "tiny exported for onnx, fp32"


def make_toml(folder):
    path = folder / "tiny.toml"
    path.write_text('name = "tiny"\n[encoders.text]\nuse = "tiny-text"\n[encoders.image]\nuse = "tiny-image"\n')
    return str(path)


def test_an_index_of_the_source_is_valid_for_a_lossless_export_and_the_reverse(exported, image_folder, tmp_path):
    toml = make_toml(tmp_path)
    index = tmp_path / "index.safetensors"
    build_index(index, image_folder, binding=toml)
    hits = [search("duck", index, binding=binding).hits for binding in (f"onnx:{exported}", toml)]
    assert [hit.path for hit in hits[0]] == [hit.path for hit in hits[1]]
    build_index(tmp_path / "other.safetensors", image_folder, binding=f"onnx:{exported}")
    with pytest.raises(anybind.AnybindError, match=r"was built with the binding 'onnx:.*; name it"):
        search("duck", tmp_path / "other.safetensors")  # an index must not name files to load
    other = search("duck", tmp_path / "other.safetensors", binding=toml).hits
    assert [hit.path for hit in other] == [hit.path for hit in hits[1]]


def test_an_index_of_lower_precision_is_valid_for_that_export_only(export_tiny, images, image_folder, tmp_path):
    report = export_tiny(precision="fp16", samples={"image": images})
    build_index(tmp_path / "index.safetensors", image_folder, binding=report.binding)
    query = str(image_folder / "0.png")
    assert search(query, tmp_path / "index.safetensors", binding=report.binding).hits
    with pytest.raises(anybind.AnybindError, match="~onnx-fp16-"):
        search(query, tmp_path / "index.safetensors", binding=make_toml(tmp_path))


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_lossy_precision_is_part_of_the_identity(precision, export_tiny, images):
    report = export_tiny(precision=precision, samples={"image": images})
    part = report.card.encoders["image"]
    assert part.identity.startswith(f"{part.source}~onnx-{precision}-")
    assert 0.99 <= part.gate.min_cosine < 1
    embeddings = anybind.load(report.binding).embed("image", images)
    assert embeddings.encoder == part.identity
    source = anybind.load(make_binding()).embed("image", images)
    assert np.abs(embeddings.vectors - source.vectors).max() == pytest.approx(part.gate.max_difference, rel=1e-3)


@pytest.mark.filterwarnings("ignore:.*exported with --force:anybind.AnybindWarning")  # by some versions of ONNX Runtime
def test_an_embedding_of_int8_does_not_depend_on_its_batch(export_tiny, images, monkeypatch):
    for recipe in ("static", "dynamic", "weights"):
        monkeypatch.setattr(graphs, "RECIPES", (recipe,))
        report = export_tiny(precision="int8", samples={"image": images}, force=True)
        assert report.card.encoders["image"].recipe == recipe
        binder = anybind.load(report.binding)
        single = np.concatenate([binder.embed("image", [image]).vectors for image in images[:5]])
        np.testing.assert_allclose(binder.embed("image", images[:5]).vectors, single, atol=1e-5)
        report.folder.rename(report.folder.with_name(recipe))


def test_openvino_gives_the_same_embeddings_and_identity(export_tiny, images):
    report = export_tiny(backend="openvino")
    assert report.binding.startswith("openvino:")
    first, second = (anybind.load(binding).embed("image", images) for binding in (make_binding(), report.binding))
    np.testing.assert_allclose(first.vectors, second.vectors, atol=1e-4)
    assert first.encoder == second.encoder
    with pytest.raises(anybind.AnybindError, match="exported for the backend openvino: load it as openvino:"):
        anybind.load(f"onnx:{report.folder}")


@pytest.mark.parametrize("backend", ["onnx", pytest.param("openvino", marks=pytest.mark.long)])
def test_half_precision_halves_the_files(backend, tmp_path):
    sizes = []
    for precision in ("fp32", "fp16"):
        report = export(
            make_binding(side=32), tmp_path / precision, modalities=["image"], backend=backend, precision=precision
        )
        sizes.append(sum(path.stat().st_size for path in (report.folder / "image").iterdir()))
    assert sizes[1] < 0.6 * sizes[0]


def test_the_card_describes_the_source_the_files_and_the_measurement(exported):
    card = json.loads((exported / "card.json").read_text())
    assert (card["format"], card["binding"], card["backend"], card["precision"]) == (1, "tiny", "onnx", "fp32")
    assert card["processor"]
    part = card["encoders"]["image"]
    assert part["encoder"] == part["input"] == "tiny-image"
    assert part["options"] == {"side": 8}
    assert part["preprocessing"] == {"side": 8, "output": "tanh"}
    assert part["licence"] == "CC0-1.0"
    assert part["gate"]["samples"] == 64
    assert part["gate"]["synthetic"]
    assert [speed["batch_size"] for speed in part["speed"]] == [1, 32]
    assert set(part["files"]) == {"model.onnx"}
    assert card["encoders"]["text"]["space"] == {"name": "tiny", "dim": 16, "backbone": "random"}


def test_large_weights_are_external_data_in_the_folder(export_tiny, images, monkeypatch):
    monkeypatch.setattr(graphs, "MAX_EMBEDDED_BYTES", 1000)
    report = export_tiny()
    assert set(report.card.encoders["image"].files) == {"model.onnx", "model.onnx.data"}
    assert (report.folder / "image" / "model.onnx.data").stat().st_size > 1000
    source = anybind.load(make_binding()).embed("image", images)
    np.testing.assert_allclose(anybind.load(report.binding).embed("image", images).vectors, source.vectors, atol=1e-4)


def test_a_graph_that_differs_from_its_source_is_refused(export_tiny, tmp_path):
    with pytest.raises(GateMissed, match=r"image: fp32: max difference \d\.\d+e-0\d \(at most 1e-04 expected\);.*64 s"):
        export_tiny("shifted")
    assert not (tmp_path / "new").exists()


def test_what_is_kept_by_force_is_marked(export_tiny, images):
    report = export_tiny("sharp", precision="int8", samples={"image": images}, force=True)
    part = report.card.encoders["image"]
    assert part.gate.missed.startswith("int8: min cosine")
    assert anybind.find_binding(report.binding).summary.endswith(f"; exported with --force: image: {part.gate.missed}")
    with pytest.warns(AnybindWarning, match="exported with --force: image: int8: min cosine"):
        anybind.load(report.binding).encoder("image")


def test_a_graph_kept_by_force_does_not_share_the_sources_identity(export_tiny):
    part = export_tiny("shifted", force=True).card.encoders["image"]
    assert part.identity.startswith(f"{part.source}~onnx-fp32-")


def test_adapters_are_kept_with_their_files_or_folded_into_the_graph(tmp_path, images):
    wide = Binding("wide", {"image": Binding.configure("tiny-image", dim=24)})
    target = Binding("target", {"image": Binding.configure("tiny-image")})
    embeddings = [anybind.load(each).embed("image", images) for each in (wide, target)]
    fit_adapter(*embeddings, adapter="ridge").save(tmp_path / "adapter.safetensors")
    binding = Binding(
        "adapted",
        {"image": Binding.configure("tiny-image", dim=24)},
        space="tiny",
        adapters=(Binding.configure("ridge", weights=str(tmp_path / "adapter.safetensors")),),
    )
    expected = anybind.load(binding).embed("image", images)
    reports = [export(binding, tmp_path / f"fold-{fold}", fold_adapters=fold) for fold in (False, True)]
    (tmp_path / "adapter.safetensors").unlink()
    for report in reports:
        actual = anybind.load(report.binding).embed("image", images)
        np.testing.assert_allclose(actual.vectors, expected.vectors, atol=1e-4)
        assert (actual.encoder, actual.space) == (expected.encoder, expected.space)
    assert not anybind.load(reports[1].binding).binding.adapters


def test_an_encoder_is_exported_by_its_name(tmp_path):
    assert export("tiny-text", tmp_path / "text").card.binding == "tiny-text"
