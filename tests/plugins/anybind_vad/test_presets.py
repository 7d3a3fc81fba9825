"""How presets reach the simulation and the representation."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from anybind import AnybindWarning, Binding, find_binding
from anybind.binding import ConfiguredPart
from anybind.errors import BadOption, UnknownName
from anybind_vad import presets
from anybind_vad.presets import PRESETS, bind_events, find_preset, with_clamp


def binding(**options):
    return Binding(
        "own",
        {
            "image": ConfiguredPart("mini-image"),
            "event": ConfiguredPart("event-encoder", {"image_encoder": "@image", **options}),
        },
    )


def test_the_presets_are_those_of_the_paper_and_its_authors_code():
    assert {name: (preset.threshold, preset.clamp) for name, preset in PRESETS.items()} == {
        "paper": (25, None),
        "author-readme": (10, 10),
        "author-later": (25, 16),
    }


def test_an_unknown_preset_is_refused_with_those_there_are():
    with pytest.raises(UnknownName, match=r"author-readme"):
        find_preset("author")


def test_a_clamp_reaches_the_representation_and_nothing_else_changes():
    before = binding(options={"invert": True, "clamp_percentile": 90}, size=64)
    after = with_clamp(before, 10)
    assert after.encoders["event"].options == {
        "image_encoder": "@image",
        "options": {"invert": True, "clamp": 10},
        "size": 64,
    }
    assert after.encoders["image"] is before.encoders["image"]
    assert before.encoders["event"].options["options"] == {"invert": True, "clamp_percentile": 90}


def test_a_clamp_reaches_the_representation_that_the_tower_has_by_default():
    assert with_clamp(binding(), 16).encoders["event"].options["options"] == {"clamp": 16}


def test_a_given_clamp_comes_before_that_of_the_preset():
    assert bind_events(binding(), "author-readme", 5) == (with_clamp(binding(), 5), 5)
    assert bind_events(binding(), "author-readme") == (with_clamp(binding(), 10), 10)
    assert bind_events(binding(), "paper") == (binding(), None)


def test_a_clamp_that_a_binding_does_not_take_is_left_out_of_a_preset_and_refused_where_given():
    mini = find_binding("mini")
    with pytest.warns(AnybindWarning, match="of the preset 'author-later', only its threshold applies"):
        assert bind_events(mini, "author-later") == (mini, None)
    with pytest.raises(BadOption, match="takes no clamp"):
        bind_events(mini, "author-later", 16)


def test_a_representation_without_a_clamp_is_told():
    with pytest.raises(BadOption, match="the binding 'mini': the representation 'mini-picture' takes no clamp"):
        with_clamp(find_binding("mini"), 10)


def test_a_binding_without_events_or_with_an_encoder_of_another_kind_is_told(monkeypatch):
    with pytest.raises(BadOption, match="embeds no events"):
        with_clamp(Binding("words", {"text": ConfiguredPart("mini-text")}), 10)
    monkeypatch.setattr(presets, "find_part", lambda kind, name: SimpleNamespace(load=lambda: lambda size=3: size))
    with pytest.raises(BadOption, match="'spikes' of the binding 'odd' takes no clamp"):
        with_clamp(Binding("odd", {"event": ConfiguredPart("spikes")}), 10)
