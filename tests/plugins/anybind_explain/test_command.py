"""`anybind explain`: output, files, and one-line errors."""

from __future__ import annotations

import json
import re
import warnings

import numpy as np
import PIL.Image
import pytest

import anybind
from anybind_explain import relevance


@pytest.mark.slow
def test_a_recording_and_its_image_are_drawn_side_by_side(cli, files, tmp_path):
    def draw(*options):
        ended = cli("explain", files["two.npz"], "--text", "a cat", "-o", tmp_path / "map.png", *options, "--json")
        assert ended.code == 0, ended
        image = np.asarray(PIL.Image.open(tmp_path / "map.png"))
        return json.loads(ended.out), image

    output, single = draw()
    output_with_image, both = draw("--image", files["two.png"])
    assert output == output_with_image
    assert both.shape[1] == 2 * single.shape[1] + 12
    assert np.array_equal(both[:, : single.shape[1]], single)
    assert (output["rows"], output["columns"]) == np.shape(output["grid"]) == (6, 6)
    assert output["frame"] == {"width": 240, "height": 120}
    assert output["region"] == {"left": 24, "top": 0, "right": 227, "bottom": 120}  # where something moves
    assert [each["word"] for each in output["words"]] == ["a", "cat"]
    assert output["settings"]["encoders"].keys() == {"event", "text"}
    assert output["settings"]["methods"]["map"].startswith("Grad-CAM")


@pytest.mark.slow
def test_an_image_is_explained_as_image_or_as_simulated_recording(cli, files):
    for options, modality in (((), "image"), (("--modality", "event"), "event")):
        ended = cli("explain", files["two.png"], "--text", "a cat", *options, "--json")
        output = json.loads(ended.out)
        assert output["settings"]["modality"] == modality
        assert output["output"] is None


@pytest.mark.slow
def test_the_function_returns_what_the_command_prints(cli, files):
    explanation = relevance(files["two.png"], "a cat", modality="event", seed=1)
    command = ("explain", files["two.png"], "--text", "a cat", "--modality", "event", "--seed", 1, "--json")
    printed = json.loads(cli(*command).out)
    np.testing.assert_allclose(explanation.grid, printed["grid"], atol=1e-6)
    assert explanation.score == pytest.approx(printed["score"], abs=1e-6)
    assert explanation.settings == printed["settings"]
    assert [each.word for each in explanation.words] == [each["word"] for each in printed["words"]]


def test_a_sample_in_memory_is_explained_as_its_file(files, mini):
    recording = anybind.read(files["two.npz"])
    one = relevance(recording, "a cat", binding=mini)
    other = relevance(files["two.npz"], "a cat", binding=mini)
    np.testing.assert_allclose(one.grid, other.grid, atol=1e-6)
    assert one.id == "event"


def test_the_page_is_self_contained_and_escapes_the_text(cli, files, tmp_path, model_folder):
    page = tmp_path / "page.html"
    binding = f"open_clip:local-dir:{model_folder}"
    text = "a <b>cat</b>"
    ended = cli("explain", files["two.png"], "--modality", "event", "--text", text, "--binding", binding, "-o", page)
    assert ended.code == 0, ended
    assert "&lt;b&gt;cat&lt;/b&gt;" in ended.out or "<b>cat</b>" in ended.out
    html = page.read_text()
    assert "<b>" not in html
    assert html.count("<img ") == 4
    assert not re.findall(r'(?:src|href)="(?!data:)', html)
    assert "<script" not in html
    shades = [float(each) for each in re.findall(r"rgba\(var\(--heat\), ([0-9.]+)\)", html)]
    assert max(shades) == pytest.approx(0.7)
    assert len(shades) == 2


def test_an_image_of_another_aspect_ratio_is_drawn_with_a_warning(cli, files, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("always", anybind.AnybindWarning)
        ended = cli(
            "explain", files["two.npz"], "--text", "a cat", "--image", files["other.png"], "-o", tmp_path / "m.png"
        )
    assert ended.code == 0
    assert "the map over the image is stretched" in ended.err
    assert "map: " in ended.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("two.png", "--text", "  "), "expected a text"),
        (("two.png", "--text", "a", "-o", "map.jpg"), "ends in .png or .html, got map.jpg"),
        (("two.png", "--text", "a", "-o", "nowhere/map.png"), "there is no folder"),
        (("gray.npz", "--text", "a"), "gray.npz.*no events"),
        (("two.png", "--text", "a", "--modality", "sound"), "expected event or image, got sound"),
        (("two.png", "--text", "a", "--modality", "evnt"), "evnt"),
        (("two.png", "--text", "a", "--image", "other.png"), "--image is for event recordings only"),
        (("two.npz", "--text", "a", "--modality", "image"), "no image can be made from event"),
        (("two.npz", "--text", "a", "--image", "text.png"), "text.png"),
        (("text.png", "--text", "a"), "text.png"),
        (("missing.npz", "--text", "a"), "missing.npz"),
    ],
)
def test_invalid_input_is_a_one_line_error(cli, files, arguments, message):
    paths_and_options = [files.get(each, each) for each in arguments]
    assert re.search(message, cli("explain", *paths_and_options).error())


def test_a_binding_without_the_modality_is_an_error(cli, files, tmp_path, model_folder):
    binding = tmp_path / "words.toml"
    model = f"local-dir:{model_folder}"
    binding.write_text(
        f'name = "w"\nsummary = "w"\n[encoders.text]\nuse = "open_clip-text"\nmodel = "{model}"\n'
        f'[encoders.image]\nuse = "open_clip-image"\nmodel = "{model}"\n'
    )
    error = cli("explain", files["two.npz"], "--text", "a", "--binding", binding).error()
    assert "no encoder for 'event'" in error


@pytest.mark.slow
def test_a_file_is_read_with_the_options_of_its_reader(cli, files, tmp_path):
    recording = anybind.read(files["two.npz"])
    anybind.write(recording, text := tmp_path / "two.csv")
    size = f"size={recording.width}x{recording.height}"
    first, second = (
        json.loads(cli("explain", path, "--text", "a cat", *options, "--json").out)
        for path, options in ((files["two.npz"], ()), (text, ("--reader-option", size)))
    )
    assert second["grid"] == first["grid"]
