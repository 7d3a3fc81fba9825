"""Streams go to other libraries and come back."""

from __future__ import annotations

import gc
import warnings

import numpy as np
import pytest

from anybind import BadInput
from anybind_events.interchange import TONIC, from_structured, to_structured, to_torch
from anybind_events.stream import EventStream

STREAM = EventStream([1, 3, 0], [2, 0, 1], [5, 5, 9], [True, False, True], 4, 3)


def equal(one: EventStream, other: EventStream) -> bool:
    return all((getattr(one, name) == getattr(other, name)).all() for name in "xytp")


def test_a_structured_array_of_tonics_layout_comes_back_as_the_same_stream_on_its_own_memory():
    table = to_structured(STREAM)
    assert table.dtype == TONIC
    back = from_structured(table, 4, 3)
    assert equal(back, STREAM)
    assert all(np.shares_memory(getattr(back, name), table) for name in "xytp")


def test_an_array_without_event_fields_is_refused():
    with pytest.raises(BadInput, match="fields x, y, t, p"):
        from_structured(np.zeros(2, [("x", "i2"), ("y", "i2")]), 4, 3)
    with pytest.raises(BadInput, match="fields x, y, t, p"):
        from_structured(np.zeros((2, 4)), 4, 3)


def test_a_coordinate_that_does_not_fit_the_field_is_refused_and_not_wrapped():
    with pytest.raises(BadInput, match="does not fit"):
        to_structured(EventStream([40_000], [0], [0], [1], 50_000, 3))


def test_torch_tensors_share_the_streams_memory_and_keep_it_alive():
    torch = pytest.importorskip("torch")
    stream = EventStream(
        np.array([1, 2], np.uint16), np.array([0, 0], np.uint16), np.array([3, 4]), np.array([True, False]), 4, 3
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tensors = to_torch(stream)
    assert tensors["t"].data_ptr() == stream.t.__array_interface__["data"][0]
    assert {name: tensor.dtype for name, tensor in tensors.items()} == {
        "x": torch.uint16,
        "y": torch.uint16,
        "t": torch.int64,
        "p": torch.bool,
    }
    del stream
    gc.collect()
    assert tensors["t"].tolist() == [3, 4]


def test_columns_that_torch_cannot_step_through_are_copied():
    torch = pytest.importorskip("torch")
    for stream in (from_structured(to_structured(STREAM), 4, 3), STREAM.flip_time()):
        assert all(
            torch.equal(to_torch(stream)[name].long(), torch.tensor(getattr(stream, name).astype(int)))
            for name in "xytp"
        )
