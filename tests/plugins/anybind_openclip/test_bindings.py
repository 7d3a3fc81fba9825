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
    """All tests but those that load their own read from this one and leave its weights as they are."""
    return anybind.load(f"open_clip:local-dir:{model_folder}")


@pytest.fixture(scope="module")
def embedded(binder: Binder, pictures: list[np.ndarray], texts: list[str]) -> dict[str, Embeddings]:
    recordings = [anybind.derive("event", picture, seed=0) for picture in pictures[:4]]
    return {
        "text": binder.embed("text", texts[:5]),
        "image": binder.embed("image", pictures[:3]),
        "event": binder.embed("event", recordings),
    }


def test_words_pictures_and_events_share_one_space(embedded: dict[str, Embeddings]) -> None:
    assert len({each.space for each in embedded.values()}) == 1


def test_every_pair_of_modalities_can_be_compared(embedded: dict[str, Embeddings]) -> None:
    counts = {"text": 5, "image": 3, "event": 4}
    for one, rows in counts.items():
        for other, columns in counts.items():
            similarities = embedded[one] @ embedded[other]
            assert similarities.shape == (rows, columns)
            assert np.abs(similarities).max() <= 1


def test_all_embeddings_carry_the_models_logit_scale(embedded: dict[str, Embeddings], reference: Any) -> None:
    wanted = pytest.approx(reference.model.logit_scale.exp().item(), rel=1e-6)
    assert {of: each.logit_scale for of, each in embedded.items()} == dict.fromkeys(embedded, wanted)


def test_the_binding_gives_open_clips_vectors(
    embedded: dict[str, Embeddings], reference: Any, pictures: list[np.ndarray], texts: list[str]
) -> None:
    np.testing.assert_allclose(embedded["image"].vectors, reference.images(pictures[:3]), rtol=0, atol=1e-6)
    np.testing.assert_allclose(embedded["text"].vectors, reference.texts(texts[:5]), rtol=0, atol=1e-6)


def test_the_binding_is_named_by_what_was_asked_for(binder: Binder, model_folder: Path) -> None:
    assert binder.name == f"open_clip:local-dir:{model_folder}"
    assert binder.modalities == ("text", "image", "event")


def test_training_the_event_tower_leaves_the_image_and_text_towers_as_they_were(
    model_folder: Path, pictures: list[np.ndarray], texts: list[str], reference: Any
) -> None:
    own = anybind.load(f"open_clip:local-dir:{model_folder}")
    with torch.no_grad():
        for weight in own.encoder("event").module.parameters():  # pyright: ignore[reportAttributeAccessIssue]
            weight.mul_(-0.7).add_(0.1)
    np.testing.assert_allclose(own.embed("image", pictures[:3]).vectors, reference.images(pictures[:3]), atol=1e-6)
    np.testing.assert_allclose(own.embed("text", texts[:5]).vectors, reference.texts(texts[:5]), atol=1e-6)


@pytest.mark.parametrize("name", ["open_clip", "open_clip:"])
def test_a_binding_that_names_no_model_is_refused_with_the_forms_there_are(name: str) -> None:
    with pytest.raises(BadOption) as caught:
        anybind.load(name)
    for form in ("open_clip:ARCH/TAG", "open_clip:hf-hub:", "open_clip:local-dir:"):
        assert form in str(caught.value)


@pytest.mark.parametrize("name", OPENAI)
def test_the_named_bindings_are_openais_models_with_an_event_tower_of_the_paper(name: str) -> None:
    binding = anybind.find_binding(name)
    assert binding.name == name
    assert binding.encoders["text"].options == binding.encoders["image"].options == {"model": OPENAI[name]}
    assert binding.encoders["event"].options == {"image_encoder": "@image", "representation": "paper"}
    assert OPENAI[name].split("/")[0] in binding.summary


@pytest.mark.parametrize("model", OPENAI.values())
def test_open_clips_list_has_these_models_from_openai(model: str) -> None:
    assert "openaipublic" in open_clip.get_pretrained_url(*model.split("/"))


@pytest.mark.slow
def test_classifying_by_a_named_binding_without_a_network_ends_with_one_line(
    run_python: Callable[..., Any], tmp_path: Path, pictures: list[np.ndarray]
) -> None:
    PIL.Image.fromarray(pictures[0]).save(tmp_path / "picture.png")
    command = ("classify", str(tmp_path / "picture.png"), "--labels", "a,b", "--binding", "clip-vit-b-32")
    done = run_python("-m", "anybind", *command, hub_cache=tmp_path, timeout=300)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: cannot fetch timm/vit_base_patch32_clip_224.openai")
    assert done.stderr.count("\n") == 1
    assert "local-dir:" in done.stderr


@pytest.mark.slow
def test_evaluating_zero_shot_prints_one_object_with_the_promised_keys_and_nothing_else(
    run_python: Callable[..., Any], model_folder: Path, tmp_path: Path, pictures: list[np.ndarray]
) -> None:
    for number, name in enumerate(("duck", "tea_pot")):
        (tmp_path / "data" / name).mkdir(parents=True)
        for each in range(2):
            PIL.Image.fromarray(pictures[2 * number + each]).save(tmp_path / "data" / name / f"{each}.png")
    binding = f"open_clip:local-dir:{model_folder}"
    command = ("evaluate", "zero-shot", "--binding", binding, "--modality", "event", "--data", str(tmp_path / "data"))
    done = run_python("-m", "anybind", *command, "--json", hub_cache=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert told["n"] == 4
    assert told["classes"] == ["duck", "tea pot"]
    assert (told["binding"], told["modality"], told["seed"]) == (binding, "event", 0)
    assert told["top1"] in {0, 0.25, 0.5, 0.75, 1}
    assert told["top5"] == 1
    assert set(told["encoders"]) == {"event", "text"}
    assert all(told["encoders"].values())
