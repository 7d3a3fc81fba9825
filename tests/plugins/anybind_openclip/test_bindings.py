"""Bindings on open_clip's models: any model as `open_clip:MODEL`, and the paper's two by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import PIL.Image
import pytest
import torch

import anybind
from anybind import Binder, Embeddings
from anybind.errors import BadOption

OPENAI = {"clip-vit-b-32": "ViT-B-32/openai", "clip-vit-l-14": "ViT-L-14/openai"}


@pytest.fixture(scope="module")
def binder(model_folder: Path) -> Binder:
    """Load the binding; tests do not modify its weights."""
    return anybind.load(f"open_clip:local-dir:{model_folder}")


@pytest.fixture(scope="module")
def embeddings(binder: Binder, images: list[np.ndarray], texts: list[str]) -> dict[str, Embeddings]:
    recordings = [anybind.derive("event", image, seed=0) for image in images[:4]]
    return {
        "text": binder.embed("text", texts[:5]),
        "image": binder.embed("image", images[:3]),
        "event": binder.embed("event", recordings),
    }


def test_text_image_and_event_embeddings_share_one_space(embeddings: dict[str, Embeddings]) -> None:
    assert len({each.space for each in embeddings.values()}) == 1


def test_every_pair_of_modalities_can_be_compared(embeddings: dict[str, Embeddings]) -> None:
    counts = {"text": 5, "image": 3, "event": 4}
    for one, rows in counts.items():
        for other, columns in counts.items():
            similarities = embeddings[one] @ embeddings[other]
            assert similarities.shape == (rows, columns)
            assert np.abs(similarities).max() <= 1


def test_all_embeddings_carry_the_models_logit_scale(embeddings: dict[str, Embeddings], reference: Any) -> None:
    expected = pytest.approx(reference.model.logit_scale.exp().item(), rel=1e-6)
    assert {modality: each.logit_scale for modality, each in embeddings.items()} == dict.fromkeys(embeddings, expected)


def test_the_binding_returns_open_clips_embeddings(
    embeddings: dict[str, Embeddings], reference: Any, images: list[np.ndarray], texts: list[str]
) -> None:
    np.testing.assert_allclose(embeddings["image"].vectors, reference.embed_images(images[:3]), rtol=0, atol=1e-6)
    np.testing.assert_allclose(embeddings["text"].vectors, reference.embed_texts(texts[:5]), rtol=0, atol=1e-6)


def test_the_binding_is_named_after_the_model(binder: Binder, model_folder: Path) -> None:
    assert binder.name == f"open_clip:local-dir:{model_folder}"
    assert binder.modalities == ("text", "image", "event")


def test_modifying_the_event_encoder_changes_no_image_or_text_embedding(
    model_folder: Path, images: list[np.ndarray], texts: list[str], reference: Any
) -> None:
    modified = anybind.load(f"open_clip:local-dir:{model_folder}")
    with torch.no_grad():
        for weight in modified.encoder("event").module.parameters():  # pyright: ignore[reportAttributeAccessIssue]
            weight.mul_(-0.7).add_(0.1)
    np.testing.assert_allclose(
        modified.embed("image", images[:3]).vectors, reference.embed_images(images[:3]), atol=1e-6
    )
    np.testing.assert_allclose(modified.embed("text", texts[:5]).vectors, reference.embed_texts(texts[:5]), atol=1e-6)


@pytest.mark.parametrize("name", ["open_clip", "open_clip:"])
def test_a_binding_without_a_model_is_an_error_with_the_accepted_forms(name: str) -> None:
    with pytest.raises(BadOption) as caught:
        anybind.load(name)
    for form in ("open_clip:ARCH/TAG", "open_clip:hf-hub:", "open_clip:local-dir:"):
        assert form in str(caught.value)


@pytest.mark.parametrize("name", OPENAI)
def test_the_named_bindings_are_openais_models_with_the_papers_event_encoder(name: str) -> None:
    binding = anybind.find_binding(name)
    assert binding.name == name
    assert binding.encoders["text"].options == binding.encoders["image"].options == {"model": OPENAI[name]}
    assert binding.encoders["event"].options == {"image_encoder": "@image", "representation": "paper"}
    assert OPENAI[name].split("/")[0] in binding.summary


@pytest.mark.parametrize("model", OPENAI.values())
def test_open_clip_lists_openais_weights_of_the_named_bindings(model: str) -> None:
    assert "openaipublic" in open_clip.get_pretrained_url(*model.split("/"))


@pytest.mark.slow
def test_classify_without_network_access_is_a_one_line_error(
    run_python: Callable[..., Any], tmp_path: Path, images: list[np.ndarray]
) -> None:
    PIL.Image.fromarray(images[0]).save(tmp_path / "image.png")
    command = ("classify", str(tmp_path / "image.png"), "--labels", "a,b", "--binding", "clip-vit-b-32")
    process = run_python("-m", "anybind", *command, hub_cache=tmp_path, timeout=300)
    assert process.returncode == 2
    assert process.stdout == ""
    assert process.stderr.startswith("error: cannot fetch timm/vit_base_patch32_clip_224.openai")
    assert process.stderr.count("\n") == 1
    assert "local-dir:" in process.stderr


@pytest.mark.long
@pytest.mark.slow
def test_evaluate_zero_shot_prints_one_json_object(
    run_python: Callable[..., Any], model_folder: Path, tmp_path: Path, images: list[np.ndarray]
) -> None:
    for number, name in enumerate(("duck", "tea_pot")):
        (tmp_path / "data" / name).mkdir(parents=True)
        for each in range(2):
            PIL.Image.fromarray(images[2 * number + each]).save(tmp_path / "data" / name / f"{each}.png")
    binding = f"open_clip:local-dir:{model_folder}"
    command = ("evaluate", "zero-shot", "--binding", binding, "--modality", "event", "--data", str(tmp_path / "data"))
    process = run_python("-m", "anybind", *command, "--json", hub_cache=tmp_path)
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    result = json.loads(process.stdout)
    assert result["n"] == 4
    assert result["classes"] == ["duck", "tea pot"]
    assert (result["binding"], result["modality"], result["seed"]) == (binding, "event", 0)
    assert result["top1"] in {0, 0.25, 0.5, 0.75, 1}
    assert result["top5"] == 1
    assert set(result["encoders"]) == {"event", "text"}
    assert all(result["encoders"].values())
