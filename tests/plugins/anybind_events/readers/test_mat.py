"""MATLAB 5 recordings: columns, structures, tables, spike trains; and those of MATLAB 7.3, which are HDF5."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

import anybind
from anybind.errors import BadInput, BadOption
from anybind.reader import find_reader, list_samples
from anybind_events.stream import EventStream
from helpers import fuzz_readers as fuzz
from helpers.streams import list_contents, list_events

ROWS = [(1, 2, 10, True), (3, 4, 20, False), (5, 6, 30, True)]
COLUMNS = {name: np.array([row["xytp".index(name)] for row in ROWS], "i4")[:, None] for name in "xytp"}
ASL_DVS = {"ts": COLUMNS["t"], "x": COLUMNS["x"], "y": COLUMNS["y"], "pol": COLUMNS["p"]}


@pytest.fixture
def read(tmp_path: Path):
    def read(content: dict[str, object], *, compressed: bool = False, **options: object) -> EventStream:
        savemat(tmp_path / "made.mat", content, do_compression=compressed)
        return anybind.read(tmp_path / "made.mat", **options)

    return read


def test_the_real_n_mnist_structures_have_the_arrays_of_scipy(test_data: Path):
    path = test_data / "more_events/n_datasets_example.mat"
    with pytest.raises(BadInput, match=r"events of 2 sources; choose one with source=: 'EM', 'TD'"):
        anybind.read(path)
    for source, count in (("TD", 242_040), ("EM", 442_382)):
        stream, stored = anybind.read(path, source=source), loadmat(path)[source][0, 0]
        assert (len(stream), stream.width, stream.height) == (count, 304, 240)
        assert stream.notes["assumed_origin"] == 1
        for name, field, offset in (("x", "x", 1), ("y", "y", 1), ("t", "ts", 0), ("p", "p", 0)):
            expected = stored[field].ravel().astype(np.int64) - offset
            np.testing.assert_array_equal(getattr(stream, name).astype(np.int64), expected)


def test_the_real_spike_train_has_one_event_per_spike(test_data: Path):
    path = test_data / "more_events/stmnist.mat"
    stream, matrix = anybind.read(path), loadmat(path)["spiketrain"]
    assert (len(stream), int(stream.p.sum()), stream.width, stream.height) == (2346, 1601, 10, 10)
    moments, taxels = np.nonzero(matrix[:100].T)
    np.testing.assert_array_equal(stream.y * 10 + stream.x, taxels)
    np.testing.assert_array_equal(stream.t, np.rint(matrix[100, moments] * 1e6))
    np.testing.assert_array_equal(stream.p, matrix[taxels, moments] > 0)
    chunks = list(anybind.read_chunks(path, count=1000))
    assert [len(chunk) for chunk in chunks] == [1000, 1000, 346]
    assert list_events(*chunks) == list_events(stream)


@pytest.mark.parametrize("compressed", [False, True])
def test_columns_are_found_by_their_names(read, compressed: bool):
    expected = ([1, 3, 5], [2, 4, 6], [10, 20, 30], [True, False, True], 34, 34)
    assert list_contents(read(ASL_DVS, compressed=compressed)) == expected
    assert list_contents(read({name: column.T for name, column in ASL_DVS.items()}, compressed=compressed)) == expected
    others = {"polarity": COLUMNS["p"], "xs": COLUMNS["x"], "label": "seven", "ys": COLUMNS["y"], "t_ms": COLUMNS["t"]}
    assert read(others, compressed=compressed).t.tolist() == [10_000, 20_000, 30_000]


def test_a_structure_counts_pixels_from_1_unless_one_is_0(read):
    structure = {"TD": {"x": COLUMNS["x"], "y": COLUMNS["y"], "ts": COLUMNS["t"], "p": COLUMNS["p"]}}
    stream = read(structure)
    assert (stream.x.tolist(), stream.y.tolist(), dict(stream.notes)) == ([0, 2, 4], [1, 3, 5], {"assumed_origin": 1})
    assert read(structure, origin=0).x.tolist() == [1, 3, 5]
    assert read(ASL_DVS, origin=1).x.tolist() == [0, 2, 4]
    with_zero = {"TD": {**structure["TD"], "y": COLUMNS["y"] - 2}}
    assert (read(with_zero).x.tolist(), dict(read(with_zero).notes)) == ([1, 3, 5], {})
    with pytest.raises(BadInput, match="a pixel is at 0"):
        read(with_zero, origin=1)
    with pytest.raises(BadOption, match="origin: expected 0 or 1, got 2"):
        read(structure, origin=2)


def test_polarity_codes_of_uncertain_meaning_are_an_error(read):
    structure = {"TD": {"x": COLUMNS["x"], "y": COLUMNS["y"], "ts": COLUMNS["t"], "p": COLUMNS["p"] + 1}}
    with pytest.raises(BadInput, match=r"made\.mat: polarity codes 1, 2"):
        read(structure)
    assert read(structure, polarity="2,1").p.tolist() == [True, False, True]


@pytest.mark.parametrize("order", ["xytp", "txyp"])
def test_a_table_is_read_in_the_order_of_its_values(read, order: str):
    table = np.hstack([COLUMNS[letter] * (1000 if letter == "t" else 1) for letter in order])
    assert list_events(read({"events": table})) == [(x, y, t * 1000, p) for x, y, t, p in ROWS]
    assert read({"events": table}, columns=order).t.tolist() == [10_000, 20_000, 30_000]


def test_decreasing_times_follow_the_policy(read):
    content = {**ASL_DVS, "ts": np.array([10, 5, 30])}
    assert read(content).t.tolist() == [10, 10, 30]
    assert read(content, on_disorder="sort").t.tolist() == [5, 10, 30]
    with pytest.raises(BadInput, match=r"made\.mat: time decreases"):
        read(content, on_disorder="error")


def test_a_file_without_events_is_an_error_that_lists_its_variables(read, tmp_path: Path):
    with pytest.raises(
        BadInput, match=r"made\.mat: expected a supported format, got a MATLAB 5 file that does not begin"
    ):
        read({"labels": np.arange(3), "ids": np.arange(2)})
    with pytest.raises(BadInput, match=r"expected event columns x, y, t, p.*got: labels, ids"):
        read({"labels": np.arange(3), "ids": np.arange(2)}, reader="mat-events")
    with pytest.raises(BadOption, match=r"no events of the source 'DT'; did you mean 'TD'"):
        read({"TD": ASL_DVS, "EM": ASL_DVS}, source="DT")


def test_columns_of_different_lengths_or_types_are_an_error(read):
    with pytest.raises(BadInput, match=r"columns of one length, got x 3, y 3, ts 2, pol 3"):
        read({**ASL_DVS, "ts": np.arange(2)})
    with pytest.raises(BadInput, match=r"ts: expected a vector of numbers"):
        read({**ASL_DVS, "ts": np.arange(9).reshape(3, 3)})
    with pytest.raises(BadInput, match=r"variable 'ts': expected real numbers, got complex ones"):
        read({**ASL_DVS, "ts": np.array([1j, 2, 3])})


def test_labels_in_a_folder_are_not_samples(tmp_path: Path):
    savemat(tmp_path / "a.mat", ASL_DVS)
    savemat(tmp_path / "labels.mat", {"volLabel": np.arange(9)})
    assert [path.name for path in list_samples(tmp_path, ["event"])] == ["a.mat"]


def test_recordings_of_matlab_7_3_are_read_by_the_hdf5_reader(tmp_path: Path):
    path = tmp_path / "new.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        structure = file.create_group("TD")
        for name, column in (("x", "x"), ("y", "y"), ("ts", "t"), ("p", "p")):
            structure[name] = COLUMNS[column].T
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + bytes([0, 2]) + b"IM")
    assert find_reader(path, "event").name == "hdf5-events"
    assert list_events(anybind.read(path, reader="hdf5-events")) == ROWS
    with pytest.raises(BadInput, match=r"'hdf5-events'.*claim it; say which with reader="):
        anybind.read(path)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 239), st.integers(0, 179), st.integers(0, 2**40), st.booleans()), max_size=9
    ),
    kinds=st.lists(st.sampled_from(["f8", "i8", "u8"]), min_size=3, max_size=3),
    compressed=st.booleans(),
)
def test_any_columns_are_read_back(rows: list, kinds: list[str], compressed: bool, folder: Path):
    rows = sorted(rows, key=lambda row: row[2])
    x, y, t, p = zip(*rows, strict=True) if rows else ((), (), (), ())
    columns = {
        "x": np.array(x, kinds[0]),
        "y": np.array(y, kinds[1]),
        "ts": np.array(t, kinds[2]),
        "pol": np.array(p, "u1"),
    }
    savemat(folder / "drawn.mat", columns, do_compression=compressed)
    assert list_events(anybind.read(folder / "drawn.mat", time_unit="us")) == rows


def pack_element(kind: int, data: bytes, n_bytes: int | None = None) -> bytes:
    return struct.pack("<II", kind, len(data) if n_bytes is None else n_bytes) + data + bytes(-len(data) % 8)


def pack_matrix(name: str, shape: tuple[int, ...], data: bytes, kind: int = 9) -> bytes:
    """Pack a matrix of bytes, or of another class, as MathWorks' description of the format has it."""
    parts = [pack_element(6, struct.pack("<II", kind, 0)), pack_element(5, struct.pack(f"<{len(shape)}i", *shape))]
    return b"".join([*parts, pack_element(1, name.encode()), data])


HEADER = b"MATLAB 5.0 MAT-file, made by hand".ljust(124) + b"\0\1IM"
BYTES = pack_element(2, b"\1\0\1")
HOSTILE = {
    "a length beyond the file": pack_element(14, pack_matrix("spiketrain", (101, 1), BYTES), 1 << 31),
    "a nested length beyond its variable": pack_element(
        14, pack_matrix("spiketrain", (101, 1), pack_element(2, b"", 1 << 31))
    ),
    "a shape beyond its data": pack_element(14, pack_matrix("events", (1 << 30, 4), BYTES)),
    "a shape of cells": pack_element(14, pack_matrix("events", (1 << 30, 4), b"", 1)),
    "an object": pack_element(14, pack_matrix("events", (1, 4), BYTES, 3)),
    "a function": pack_element(14, pack_matrix("events", (1, 4), BYTES, 16)),
    "a negative shape": pack_element(14, pack_matrix("events", (-1, 4), BYTES)),
    "a variable of another type": pack_element(9, b"12345678"),
    "a compressed length that is a lie": pack_element(15, zlib.compress(struct.pack("<II", 14, 1 << 31) + bytes(99))),
    "compressed zeros": pack_element(15, zlib.compress(bytes(1 << 20))),
    "no zlib": pack_element(15, b"abcdefgh"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_one_error_in_little_memory(what: str, tmp_path: Path):
    (tmp_path / "made.mat").write_bytes(HEADER + HOSTILE[what])
    tracemalloc.start()
    try:
        with pytest.raises(BadInput, match=r"^[^\n]*made\.mat[^\n]*$"):
            anybind.read(tmp_path / "made.mat", reader="mat-events")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_a_compressed_variable_is_inflated_to_the_limit_only(tmp_path: Path):
    path, columns = tmp_path / "made.mat", dict.fromkeys(("ts", "x", "y", "pol"), np.zeros(1 << 22, "u8"))
    savemat(path, columns, do_compression=True)
    assert path.stat().st_size < 1 << 18
    with pytest.raises(BadInput, match=r"variable 'x' has 335\d+ bytes, more than max_bytes=1000000"):
        anybind.read(path, max_bytes=1_000_000)
    assert len(anybind.read(path, time_unit="us")) == 1 << 22


@pytest.mark.parametrize("length", [1, 100, 130, 135, 140, 200])
def test_a_truncated_file_is_an_error(length: int, tmp_path: Path):
    path = tmp_path / "made.mat"
    savemat(path, ASL_DVS)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(BadInput, match=r"made\.mat"):
        anybind.read(path, reader="mat-events")


@pytest.mark.slow
@pytest.mark.parametrize("compressed", [False, True])
def test_a_damaged_file_is_read_or_rejected(compressed: bool, tmp_path: Path):
    path = tmp_path / "whole.mat"
    for content in (ASL_DVS, {"TD": ASL_DVS}):
        savemat(path, content, do_compression=compressed)
        for seed in range(150):
            damaged = fuzz.damage_content(path.read_bytes(), seed)
            fault = fuzz.find_broken_rule(damaged, ".mat", tmp_path, chunks=seed % 3 == 2, reader="mat-events")
            assert fault is None, f"seed {seed}: {fault}"
