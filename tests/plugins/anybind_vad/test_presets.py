"""Presets of event generation and of the representation."""

from __future__ import annotations

from dataclasses import astuple

import pytest

from anybind import AnybindWarning, Binding, find_binding
from anybind.binding import ConfiguredPart
from anybind.errors import BadOption, UnknownName
from anybind_vad.presets import PRESETS, apply_preset, find_preset

pytestmark = pytest.mark.torch


def make_binding(**options):
    return Binding(
        "own",
        {
            "image": ConfiguredPart("mini-image"),
            "event": ConfiguredPart("event-encoder", {"image_encoder": "@image", **options}),
        },
    )


def test_presets_are_those_of_the_paper_and_its_authors_code():
    assert {name: astuple(preset) for name, preset in PRESETS.items()} == {
        "paper": (25, None, "luma", "max+1", False),
        "author-readme": (10, 1, "color", "max", True),
        "author-later": (25, 16, "gray", "max", False),
    }


def test_unknown_preset_is_refused_with_similar_names():
    with pytest.raises(UnknownName, match=r"author-readme"):
        find_preset("author")


def test_clamp_option_overrides_the_preset():
    assert apply_preset(make_binding(), "paper", 5) == (make_binding().with_clamp("event", 5), 5)
    assert apply_preset(make_binding(), "paper") == (make_binding(), None)
    binding, clamp = apply_preset(make_binding(), "author-readme", 5)
    assert (clamp, binding.encoders["event"].options["options"]["clamp"]) == (5, 5)


@pytest.mark.parametrize(("preset", "clamp", "is_direct"), [("author-readme", 1, True), ("author-later", 16, False)])
def test_presets_of_the_authors_divide_by_the_maximum(preset, clamp, is_direct):
    binding, applied_clamp = apply_preset(make_binding(size=64), preset)
    options = binding.encoders["event"].options
    assert applied_clamp == clamp
    assert options["options"] == {"clamp": clamp, "divisor": "max"}
    assert (options.get("direct", False), options["size"]) == (is_direct, 64)


def test_preset_of_the_authors_refuses_other_frames_with_a_clamp():
    with pytest.raises(
        BadOption, match="'author-readme' needs frames of the representation 'paper', got 'author-code'"
    ):
        apply_preset(make_binding(representation="author-code"), "author-readme")


def test_unsupported_clamp_of_a_preset_is_ignored_and_of_an_option_refused():
    mini = find_binding("mini")
    with pytest.warns(
        AnybindWarning, match="of the preset 'author-later', only the threshold and the difference apply"
    ):
        assert apply_preset(mini, "author-later") == (mini, None)
    with pytest.raises(BadOption, match="takes no clamp"):
        apply_preset(mini, "author-later", 16)
