"""Fitting a head on a folder, and `anybind classify --head` with it."""

from __future__ import annotations

import json

import numpy as np
import PIL.Image
import pytest

import anybind
from anybind import BadInput
from anybind.errors import BadOption
from anybind.head import Head
from anybind_classification import fit_head


@pytest.fixture
def colours(tmp_path):
    """Two classes of three images each: reddish and bluish."""
    random = np.random.default_rng(0)
    root = tmp_path / "colours"
    for place, name in ((0, "red"), (2, "blue")):
        (root / name).mkdir(parents=True)
        for number in range(3):
            image = random.integers(0, 100, (48, 64, 3), dtype=np.uint8)
            image[:, :, place] += 150
            PIL.Image.fromarray(image).save(root / name / f"{number}.png")
    return root


@pytest.mark.parametrize("name", ["prototypes", "linear-probe"])
def test_a_head_fitted_on_a_folder_classifies_its_files(cli, colours, tmp_path, name):
    path = tmp_path / "head.safetensors"
    fitted = json.loads(cli("fit-head", colours, "-o", path, "--head", name, "--json").out)
    assert fitted["classes"] == ["blue", "red"]
    answer = json.loads(cli("classify", colours, "--head", path, "--json").out)
    assert [row["best"] for row in answer["files"]] == ["blue"] * 3 + ["red"] * 3
    assert answer["head"] == {"name": name, "identity": fitted["identity"]}
    for row in answer["files"]:
        assert sum(score["share"] for score in row["scores"]) == pytest.approx(1)
        assert row["scores"][0]["score"] >= row["scores"][1]["score"]


def test_the_command_and_the_function_fit_the_same_head(cli, colours, tmp_path):
    fitted = fit_head(colours, head="prototypes", scale=5)
    ended = cli("fit-head", colours, "-o", tmp_path / "a.safetensors", "--head", "prototypes", "--option", "scale=5")
    assert "prototypes of 2 classes (blue, red)" in ended.out
    assert Head.find(tmp_path / "a.safetensors").identity == fitted.identity


def test_images_are_embedded_as_events_on_request(colours):
    assert fit_head(colours, modality="event", head="prototypes").needs == ("event",)


def test_a_file_that_cannot_be_used_is_named_or_left_out(cli, colours, tmp_path):
    (colours / "red" / "bad.png").write_text("no image")
    command = ("fit-head", colours, "-o", tmp_path / "head.safetensors", "--json")
    assert "bad.png" in cli(*command).err
    ended = cli(*command, "--skip-bad")
    assert ended.code == 0
    assert len(json.loads(ended.out)["skipped"]) == 1


def test_a_class_without_a_usable_file_is_named(colours):
    for path in (colours / "red").iterdir():
        path.write_text("no image")
    with pytest.raises(BadInput, match="no labelled samples of red"):
        fit_head(colours, on_bad=lambda id, error: None)


def test_a_folder_of_several_modalities_needs_one_to_be_named(colours):
    anybind.write(anybind.derive("event", np.full((4, 4, 3), 9, dtype=np.uint8)), colours / "red" / "a.npz")
    with pytest.raises(BadOption, match=r"image, event|event, image"):
        fit_head(colours)


def test_a_head_that_does_not_classify_is_refused(cli, colours, tmp_path):
    with pytest.raises(BadOption, match="expected a head for classification"):
        fit_head(colours, head="query-expansion")
    Head.find("event-rate").save(tmp_path / "rate.safetensors")
    ended = cli("classify", colours, "--head", tmp_path / "rate.safetensors")
    assert ended.code != 0
    assert "'event-rate', which is for anomaly" in ended.err


@pytest.mark.parametrize(
    "more", [(), ("--head", "x.safetensors", "--labels", "a,b"), ("--head", "x", "--template", "{}")]
)
def test_classify_takes_labels_or_a_head(cli, colours, more):
    assert "either --labels" in cli("classify", colours, *more).err


def test_classify_refuses_a_damaged_head(cli, colours, tmp_path):
    (tmp_path / "head.safetensors").write_bytes(b"no head")
    assert "head.safetensors" in cli("classify", colours, "--head", tmp_path / "head.safetensors").err
