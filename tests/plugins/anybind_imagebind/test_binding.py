"""The binding `imagebind`: sources, the shared space, and lazily loaded encoders."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import anybind
from anybind import Binding
from anybind.binding import ConfiguredPart
from anybind_events.stream import EventStream
from anybind_media.depth import DepthMap
from anybind_media.sound import Waveform


def make_binding(weights: str, architectures: Any, *modalities: str) -> Binding:
    uses = {
        each: ConfiguredPart(f"imagebind-{each}", {"weights": weights, "architecture": architectures[each]})
        for each in modalities
    }
    return Binding(
        "small", uses | {"event": ConfiguredPart("event-encoder", {"image_encoder": "@image"})}, space="imagebind"
    )


def test_loading_warns_of_non_commercial_weights(weights: str, architectures: Any) -> None:
    binder = anybind.load(make_binding(weights, architectures, "sound"))
    with pytest.warns(anybind.AnybindWarning, match="CC-BY-NC-SA-4.0: no commercial use"):
        binder.encoder("sound")


@pytest.mark.filterwarnings("ignore:the weights of imagebind")
def test_all_modalities_share_one_space(weights: str, architectures: Any) -> None:
    binder = anybind.load(make_binding(weights, architectures, "image", "sound", "depth", "text"))
    random = np.random.default_rng(0)
    events = EventStream(
        *(random.integers(0, 20, 99).astype(np.uint16) for _ in "xy"), np.arange(99), random.random(99) < 0.5, 20, 20
    )
    embeddings = [
        binder.embed("event", [events]),
        binder.embed("image", [random.integers(0, 256, (30, 30, 3), dtype=np.uint8)]),
        binder.embed(
            "sound", [Waveform(np.random.default_rng(0).normal(0, 0.1, (1, 16_000)).astype(np.float32), 16_000)]
        ),
        binder.embed("depth", [DepthMap(np.full((30, 40), 2.0, np.float32), fx=518.0, baseline=0.075)]),
        binder.embed("text", ["a dog"]),
    ]
    assert len({each.space for each in embeddings}) == 1
    for one in embeddings:
        for other in embeddings:
            assert (one @ other).shape == (1, 1)


def test_the_binding_accepts_a_file(weights: str) -> None:
    binding = anybind.find_binding(f"imagebind:{weights}")
    assert binding.name == f"imagebind:{weights}"
    assert {each: use.options.get("weights") for each, use in binding.encoders.items()} == {
        **dict.fromkeys(("text", "image", "sound", "depth"), weights),
        "event": None,
    }


def test_the_binding_without_source_has_the_published_weights() -> None:
    binding = anybind.find_binding("imagebind")
    assert binding.name == "imagebind"
    assert not binding.encoders["sound"].options
    assert binding.encoders["event"].options["image_encoder"] == "@image"


def test_embedding_audio_loads_no_other_encoder(weights: str, architectures: Any) -> None:
    small = make_binding(weights, architectures, "text", "sound")
    complete = anybind.find_binding(f"imagebind:{weights}")
    binder = anybind.load(replace(complete, encoders=small.encoders))
    with pytest.warns(anybind.AnybindWarning) as caught:
        binder.embed(
            "sound", [Waveform(np.random.default_rng(0).normal(0, 0.1, (1, 16_000)).astype(np.float32), 16_000)]
        )
    assert [str(each.message).split()[3] for each in caught] == ["imagebind-sound"]
