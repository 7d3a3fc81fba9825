"""`anybind explain` as a user meets it: what it prints and writes, and one line for every bad input."""

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
def test_a_recording_and_its_picture_are_drawn_side_by_side(cli, files, tmp_path):
    def draw(*more):
        ended = cli("explain", files["two.npz"], "--text", "a cat", "-o", tmp_path / "map.png", *more, "--json")
        assert ended.code == 0, ended
        picture = np.asarray(PIL.Image.open(tmp_path / "map.png"))
        return json.loads(ended.out), picture

    answer, alone = draw()
    again, both = draw("--picture", files["two.png"])
    assert answer == again
    assert both.shape[1] == 2 * alone.shape[1] + 12
    assert np.array_equal(both[:, : alone.shape[1]], alone)
    assert (answer["rows"], answer["columns"]) == np.shape(answer["grid"]) == (5, 5)
    assert answer["frame"] == {"width": 240, "height": 120}
    assert answer["seen"]["left"] > 60
    assert [each["word"] for each in answer["words"]] == ["a", "cat"]
    assert answer["settings"]["encoders"].keys() == {"event", "text"}
    assert answer["settings"]["methods"]["map"].startswith("Grad-CAM")


@pytest.mark.slow
def test_a_picture_is_explained_as_itself_or_as_a_recording_of_it(cli, files):
    for more, of in (((), "image"), (("--modality", "event"), "event")):
        ended = cli("explain", files["two.png"], "--text", "a cat", *more, "--json")
        answer = json.loads(ended.out)
        assert answer["settings"]["modality"] == of
        assert answer["output"] is None


@pytest.mark.slow
def test_the_function_gives_what_the_command_prints(cli, files):
    found = relevance(files["two.png"], "a cat", modality="event", seed=1)
    command = ("explain", files["two.png"], "--text", "a cat", "--modality", "event", "--seed", 1, "--json")
    printed = json.loads(cli(*command).out)
    np.testing.assert_allclose(found.grid, printed["grid"], atol=1e-6)
    assert found.score == pytest.approx(printed["score"], abs=1e-6)
    assert found.settings == printed["settings"]
    assert [each.word for each in found.words] == [each["word"] for each in printed["words"]]


def test_a_sample_in_memory_is_explained_as_its_file(files, mini):
    recording = anybind.read(files["two.npz"])
    one = relevance(recording, "a cat", binding=mini)
    other = relevance(files["two.npz"], "a cat", binding=mini)
    np.testing.assert_allclose(one.grid, other.grid, atol=1e-6)
    assert one.id == "event"


def test_the_page_holds_words_and_pictures_and_asks_for_nothing(cli, files, tmp_path, model_folder):
    page = tmp_path / "page.html"
    binding = f"open_clip:local-dir:{model_folder}"
    text = "a <b>cat</b>"
    ended = cli("explain", files["two.png"], "--modality", "event", "--text", text, "--binding", binding, "-o", page)
    assert ended.code == 0, ended
    assert "&lt;b&gt;cat&lt;/b&gt;" in ended.out or "<b>cat</b>" in ended.out
    held = page.read_text()
    assert "<b>" not in held
    assert held.count("<img ") == 4
    assert not re.findall(r'(?:src|href)="(?!data:)', held)
    assert "<script" not in held
    shades = [float(each) for each in re.findall(r"rgba\(var\(--heat\), ([0-9.]+)\)", held)]
    assert max(shades) == pytest.approx(0.7)
    assert len(shades) == 2


def test_a_picture_of_another_shape_is_drawn_with_a_warning(cli, files, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("always", anybind.AnybindWarning)
        ended = cli(
            "explain", files["two.npz"], "--text", "a cat", "--picture", files["other.png"], "-o", tmp_path / "m.png"
        )
    assert ended.code == 0
    assert "the map over the picture is stretched" in ended.err
    assert "map: " in ended.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("two.png", "--text", "  "), "--text is empty"),
        (("two.png", "--text", "a", "-o", "map.jpg"), "ends in .png or .html, got map.jpg"),
        (("two.png", "--text", "a", "-o", "nowhere/map.png"), "there is no folder"),
        (("gray.npz", "--text", "a"), "gray.npz.*no events"),
        (("two.png", "--text", "a", "--modality", "sound"), "maps lie over frames of event or image"),
        (("two.png", "--text", "a", "--modality", "evnt"), "evnt"),
        (("two.png", "--text", "a", "--picture", "other.png"), "--picture goes with a recording"),
        (("two.npz", "--text", "a", "--modality", "image"), "no image can be made from event"),
        (("two.npz", "--text", "a", "--picture", "text.png"), "text.png"),
        (("text.png", "--text", "a"), "text.png"),
        (("missing.npz", "--text", "a"), "missing.npz"),
    ],
)
def test_bad_input_is_told_in_one_line(cli, files, arguments, told):
    named = [files.get(each, each) for each in arguments]
    assert re.search(told, cli("explain", *named).error())


def test_a_binding_without_the_modality_is_told(cli, files, tmp_path, model_folder):
    binding = tmp_path / "words.toml"
    model = f"local-dir:{model_folder}"
    binding.write_text(
        f'name = "w"\nsummary = "w"\n[encoders.text]\nuse = "open_clip-text"\nmodel = "{model}"\n'
        f'[encoders.image]\nuse = "open_clip-image"\nmodel = "{model}"\n'
    )
    error = cli("explain", files["two.npz"], "--text", "a", "--binding", binding).error()
    assert "no encoder for 'event'" in error
