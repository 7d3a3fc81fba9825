"""Conversion of streams to other libraries and back."""

from __future__ import annotations

import gc
import warnings
from pathlib import Path

import numpy as np
import pytest

import anybind
from anybind import BadInput
from anybind.errors import BadOption
from anybind.modality import find_modality, infer_modality
from anybind_events.interchange import TONIC, from_structured, to_structured, to_torch
from anybind_events.stream import EventStream

STREAM = EventStream([1, 3, 0], [2, 0, 1], [5, 5, 9], [True, False, True], 4, 3)


@pytest.fixture(scope="module")
def mini() -> anybind.Binder:
    return anybind.load("mini")


def are_equal(one: EventStream, other: EventStream) -> bool:
    return all((getattr(one, name) == getattr(other, name)).all() for name in "xytp")


def test_a_structured_array_round_trip_shares_memory():
    table = to_structured(STREAM)
    assert table.dtype == TONIC
    back = from_structured(table, 4, 3)
    assert are_equal(back, STREAM)
    assert all(np.shares_memory(getattr(back, name), table) for name in "xytp")


def test_an_array_without_event_fields_is_an_error():
    with pytest.raises(BadInput, match="fields x, y, t, p"):
        from_structured(np.zeros(2, [("x", "i2"), ("y", "i2")]), 4, 3)
    with pytest.raises(BadInput, match="fields x, y, t, p"):
        from_structured(np.zeros((2, 4)), 4, 3)


def test_a_coordinate_out_of_the_fields_range_is_an_error():
    with pytest.raises(BadInput, match="does not fit"):
        to_structured(EventStream([40_000], [0], [0], [1], 50_000, 3))


@pytest.mark.parametrize(
    ("types", "last"), [({"t": "i2"}, 40_000), ({"t": "f4"}, 2**24 + 1), ({"x": "u1"}, 3), ({}, 3)]
)
def test_values_out_of_a_fields_range_are_an_error(types: dict[str, str], last: int) -> None:
    stream = EventStream([0, 256], [0, 0], [0, last], [1, 0], 300, 3)
    dtype = np.dtype([(name, types.get(name, "i8")) for name in "xytp"])
    if not types:
        assert list(to_structured(stream, dtype)["t"]) == [0, 3]
        return
    with pytest.raises(BadInput, match="does not fit"):
        to_structured(stream, dtype)


def test_a_type_without_the_fields_of_events_is_an_error() -> None:
    for dtype in (np.float32, [("x", "i2"), ("y", "i2")]):
        with pytest.raises(BadInput, match="fields x, y, t, p"):
            to_structured(STREAM, dtype)


def test_a_stream_is_a_structured_array_for_numpy() -> None:
    stream = EventStream([40_000], [0], [5], [1], 50_000, 3)
    table = np.asarray(stream)
    assert table.dtype.names == ("t", "x", "y", "p")
    assert table[0].item() == (5, 40_000, 0, True)
    assert are_equal(from_structured(table, 50_000, 3), stream)
    assert np.asarray(STREAM, TONIC).dtype == TONIC
    with pytest.raises(ValueError, match="copy"):
        np.array(stream, copy=False)


def test_one_side_of_the_sensor_alone_is_an_error() -> None:
    with pytest.raises(BadOption, match="width= and height= together"):
        from_structured(to_structured(STREAM), 4)


def test_the_largest_column_and_row_give_a_sensor_size() -> None:
    table = to_structured(STREAM)
    stream = from_structured(table, table["x"].max() + 1, table["y"].max() + 1)
    assert (type(stream.width), type(stream.height)) == (int, int)


@pytest.mark.parametrize("table", [None, [1, 2], np.zeros((2, 4))])
def test_other_objects_are_an_error_that_says_what_they_are(table: object) -> None:
    with pytest.raises(BadInput, match="fields x, y, t, p; got a"):
        from_structured(table)


def test_torch_tensors_share_the_memory_of_the_stream_and_keep_it_alive():
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


def test_columns_with_unsupported_strides_are_copied():
    torch = pytest.importorskip("torch")
    for stream in (from_structured(to_structured(STREAM), 4, 3), STREAM.flip_time()):
        assert all(
            torch.equal(to_torch(stream)[name].long(), torch.tensor(getattr(stream, name).astype(int)))
            for name in "xytp"
        )


TXYP = np.dtype([("t", np.int64), ("x", np.int16), ("y", np.int16), ("p", np.uint8)])


@pytest.mark.parametrize("dtype", [TONIC, TXYP])
def test_a_structured_array_is_an_event_sample_in_any_order_of_fields(dtype: np.dtype) -> None:
    table = to_structured(STREAM, dtype)
    assert infer_modality(table) == "event"
    assert are_equal(find_modality("event").as_sample(table), STREAM)


def test_the_sensor_size_of_a_structured_array_is_given_or_inferred():
    table = to_structured(EventStream([40], [50], [0], [1], 640, 480))
    assert (from_structured(table).width, from_structured(table).height) == (128, 128)
    assert from_structured(table, 640, 480).width == 640


def test_an_empty_structured_array_needs_a_sensor_size():
    empty = to_structured(STREAM)[:0]
    with pytest.raises(BadInput, match="width="):
        from_structured(empty)
    assert len(from_structured(empty, 4, 3)) == 0


@pytest.mark.torch
def test_structured_arrays_are_embedded_as_the_same_streams(mini: anybind.Binder) -> None:
    random = np.random.default_rng(0)
    stream = EventStream(random.integers(0, 128, 500), random.integers(0, 128, 500), range(500), [1] * 500, 128, 128)
    table = to_structured(stream, TXYP)
    both = mini.embed("event", [table, stream])
    np.testing.assert_array_equal(both.vectors[0], both.vectors[1])
    assert mini.embed("event", table).ids == ("event[0]",)


@pytest.mark.torch
def test_an_empty_structured_array_is_an_empty_recording(mini: anybind.Binder) -> None:
    with pytest.raises(BadInput, match=r"event\[0\].*no events"):
        mini.embed("event", [to_structured(STREAM)[:0]])


def test_a_structured_array_is_written_as_a_recording(tmp_path: Path) -> None:
    anybind.write(to_structured(STREAM), tmp_path / "events.npz")
    assert are_equal(anybind.read(tmp_path / "events.npz"), STREAM)


def test_an_array_of_expelliarmus_is_an_event_sample(tmp_path: Path) -> None:
    wizard = pytest.importorskip("expelliarmus").Wizard(encoding="dat")
    table = to_structured(STREAM, TXYP)
    wizard.save(str(tmp_path / "x.dat"), table)
    again = wizard.read(str(tmp_path / "x.dat"))
    assert again.dtype.names == ("t", "x", "y", "p")
    assert are_equal(from_structured(again, 4, 3), STREAM)
