"""Presets of event generation and of the representation."""

from __future__ import annotations

from dataclasses import astuple
from types import SimpleNamespace

import pytest

from anybind import AnybindWarning, Binding, find_binding
from anybind.binding import ConfiguredPart
from anybind.errors import BadOption, UnknownName
from anybind_vad import presets
from anybind_vad.presets import PRESETS, apply_preset, find_preset, set_clamp

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


def test_set_clamp_changes_only_the_representation():
    before = make_binding(options={"invert": True, "clamp_percentile": 90}, size=64)
    after = set_clamp(before, 10)
    assert after.encoders["event"].options == {
        "image_encoder": "@image",
        "options": {"invert": True, "clamp": 10},
        "size": 64,
    }
    assert after.encoders["image"] is before.encoders["image"]
    assert before.encoders["event"].options["options"] == {"invert": True, "clamp_percentile": 90}


def test_set_clamp_changes_the_default_representation():
    assert set_clamp(make_binding(), 16).encoders["event"].options["options"] == {"clamp": 16}


def test_clamp_option_overrides_the_preset():
    assert apply_preset(make_binding(), "paper", 5) == (set_clamp(make_binding(), 5), 5)
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


def test_representation_without_a_clamp_is_refused():
    with pytest.raises(BadOption, match="the binding 'mini': the representation 'mini-picture' takes no clamp"):
        set_clamp(find_binding("mini"), 10)


def test_binding_without_events_or_with_another_encoder_is_refused(monkeypatch):
    with pytest.raises(BadOption, match="has no event encoder"):
        set_clamp(Binding("texts", {"text": ConfiguredPart("mini-text")}), 10)
    monkeypatch.setattr(presets, "find_part", lambda kind, name: SimpleNamespace(load=lambda: lambda size=3: size))
    with pytest.raises(BadOption, match="'spikes' of the binding 'odd' takes no clamp"):
        set_clamp(Binding("odd", {"event": ConfiguredPart("spikes")}), 10)
