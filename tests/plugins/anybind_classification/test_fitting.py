"""`fit_head` on a folder of class folders, and `anybind classify --head`."""

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

pytestmark = pytest.mark.torch


@pytest.fixture
def colour_folder(tmp_path):
    """Write two classes of three images each: reddish and bluish."""
    random = np.random.default_rng(0)
    root = tmp_path / "colours"
    for channel, name in ((0, "red"), (2, "blue")):
        (root / name).mkdir(parents=True)
        for number in range(3):
            image = random.integers(0, 100, (48, 64, 3), dtype=np.uint8)
            image[:, :, channel] += 150
            PIL.Image.fromarray(image).save(root / name / f"{number}.png")
    return root


@pytest.mark.parametrize("name", ["prototypes", "linear-probe"])
def test_a_head_fitted_on_a_folder_classifies_its_files(cli, colour_folder, tmp_path, name):
    path = tmp_path / "head.safetensors"
    summary = json.loads(cli("fit-head", colour_folder, "-o", path, "--head", name, "--json").out)
    assert summary["classes"] == ["blue", "red"]
    output = json.loads(cli("classify", colour_folder, "--head", path, "--json").out)
    assert [row["label"] for row in output["files"]] == ["blue"] * 3 + ["red"] * 3
    assert output["head"] == {"name": name, "identity": summary["identity"]}
    for row in output["files"]:
        assert sum(score["probability"] for score in row["scores"]) == pytest.approx(1)
        assert row["scores"][0]["score"] >= row["scores"][1]["score"]


def test_the_command_and_the_function_fit_the_same_head(cli, colour_folder, tmp_path):
    fitted = fit_head(colour_folder, head="prototypes", scale=5)
    ended = cli(
        "fit-head", colour_folder, "-o", tmp_path / "a.safetensors", "--head", "prototypes", "--head-option", "scale=5"
    )
    assert "prototypes of 2 classes (blue, red)" in ended.out
    assert Head.find(tmp_path / "a.safetensors").identity == fitted.identity


def test_images_are_embedded_as_events_on_request(colour_folder):
    assert fit_head(colour_folder, modality="event", head="prototypes").needs == ("event",)


def test_an_invalid_file_is_an_error_or_skipped(cli, colour_folder, tmp_path):
    (colour_folder / "red" / "bad.png").write_text("not an image")
    command = ("fit-head", colour_folder, "-o", tmp_path / "head.safetensors", "--json")
    assert "bad.png" in cli(*command).err
    ended = cli(*command, "--skip-invalid")
    assert ended.code == 0
    assert len(json.loads(ended.out)["skipped"]) == 1


def test_a_class_without_valid_files_is_an_error(colour_folder):
    for path in (colour_folder / "red").iterdir():
        path.write_text("not an image")
    with pytest.raises(BadInput, match="no labelled samples of red"):
        fit_head(colour_folder, on_bad=lambda id, error: None)


def test_a_folder_of_several_modalities_needs_the_modality_option(colour_folder):
    anybind.write(anybind.derive("event", np.full((4, 4, 3), 9, dtype=np.uint8)), colour_folder / "red" / "a.npz")
    with pytest.raises(BadOption, match=r"image, event|event, image"):
        fit_head(colour_folder)


def test_a_head_of_another_target_is_an_error(cli, colour_folder, tmp_path):
    with pytest.raises(BadOption, match="expected a head for classification"):
        fit_head(colour_folder, head="query-expansion")
    Head.find("event-rate").save(tmp_path / "rate.safetensors")
    ended = cli("classify", colour_folder, "--head", tmp_path / "rate.safetensors")
    assert ended.code != 0
    assert "'event-rate', which is for anomaly" in ended.err


@pytest.mark.parametrize(
    "more", [(), ("--head", "x.safetensors", "--labels", "a,b"), ("--head", "x", "--prompt", "{}")]
)
def test_classify_accepts_labels_or_a_head(cli, colour_folder, more):
    assert "expected either --labels" in cli("classify", colour_folder, *more).err


def test_a_corrupt_head_is_an_error(cli, colour_folder, tmp_path):
    (tmp_path / "head.safetensors").write_bytes(b"not a head")
    assert "head.safetensors" in cli("classify", colour_folder, "--head", tmp_path / "head.safetensors").err
