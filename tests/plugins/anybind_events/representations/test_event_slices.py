"""`EventSlices`: the events of each view, and the layout of views in the array."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind.errors import BadOption, UnknownName
from anybind.representation import Representation
from anybind.spec import RepresentationSpec
from anybind_events.representations.event_slices import EventSlices
from anybind_events.representations.white_background import RedBlueFrame
from anybind_events.stream import EventStream


def make_row(events: int) -> EventStream:
    return EventStream(range(events), [0] * events, range(events), [True] * events, max(events, 1), 1)


@pytest.mark.parametrize(
    ("events", "views", "count", "begins"),
    [
        (100, 2, 20, [0, 80]),
        (100, 3, 20, [0, 40, 80]),
        (100, 1, 20, [40]),
        (50, 4, 20, [0, 10, 20, 30]),
        (20, 3, 20, [0, 0, 0]),
        (5, 2, 20, [0, 0]),
        (0, 2, 20, [0, 0]),
    ],
)
def test_slices_are_evenly_spread_from_the_first_event_to_the_last(
    events: int, views: int, count: int, begins: list[int]
) -> None:
    slices = list(EventSlices(views=views, count=count).split_views(make_row(events)))
    assert [part.t.tolist() for part in slices] == [list(range(b, min(b + count, events))) for b in begins]


@settings(deadline=None, max_examples=50)
@given(stream=..., views=st.integers(1, 4), count=st.integers(1, 70))
def test_each_view_is_the_frame_of_its_slice(stream: EventStream, views: int, count: int) -> None:
    slices = EventSlices(views=views, count=count, representation="red-blue", options={"hot": 3})
    views_array = slices(stream).reshape(views, 3, stream.height, stream.width)
    expected = [RedBlueFrame(hot=3)(part) for part in slices.split_views(stream)]
    assert np.array_equal(views_array, expected)


def test_settings_include_defaults_of_the_inner_representation() -> None:
    slices = EventSlices(representation="time-surface")
    assert slices.settings["of"] == {"representation": "time-surface", "tau": 50_000.0}


def test_nested_views_are_stacked() -> None:
    slices = EventSlices(
        views=2, count=10, representation="event-slices", options={"views": 3, "count": 4, "representation": "red-blue"}
    )
    assert slices.compute_shape(7, 5) == (18, 5, 7)


def test_an_unknown_inner_representation_suggests_the_nearest_name() -> None:
    with pytest.raises(UnknownName, match="did you mean 'red-blue'"):
        EventSlices(representation="red-blu")


def test_an_inner_representation_of_another_plugin_is_an_error(
    registry, add_plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Strange(Representation):
        settings: ClassVar[dict] = {}

        def __call__(self, sample: object) -> np.ndarray:
            return np.zeros((1, 1, 1), np.float32)

    monkeypatch.setattr(anybind, "strange_for_test", Strange, raising=False)
    target = "anybind:strange_for_test"
    add_plugin(registry, RepresentationSpec(name="strange", summary="a stranger's", target=target, modality="event"))
    with pytest.raises(BadOption, match="expected one of this plugin, got 'strange'"):
        EventSlices(representation="strange")
