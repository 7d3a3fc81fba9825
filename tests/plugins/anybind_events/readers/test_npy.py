"""`.npy` recordings: structured arrays, tables of four columns, and other arrays."""

from __future__ import annotations

import ast
import pickle
import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind import AnybindWarning, BadInput
from anybind.errors import BadOption
from anybind.reader import find_reader
from anybind_events.readers.npy import NpyReader
from anybind_events.stream import EventStream
from helpers.streams import list_contents, read_or_error

ROWS = [(1, 2, 10, 1), (3, 4, 20, 0), (5, 6, 30, 1)]
EXPECTED = ([1, 3, 5], [2, 4, 6], [10, 20, 30], [True, False, True], 34, 34)


def structured(rows: list = ROWS, names: str = "x y t p", types: str = "u2 u2 i8 ?") -> np.ndarray:
    return np.array(rows, dtype=list(zip(names.split(), types.split(), strict=True)))


@pytest.fixture
def read(tmp_path: Path):
    def read(array: np.ndarray, **options: object) -> EventStream:
        np.save(tmp_path / "made.npy", array)
        return NpyReader().read(tmp_path / "made.npy", **options)

    return read


def test_the_real_reference_has_the_expected_events(test_data: Path) -> None:
    path = test_data / "events/evt3_small.reference.npy"
    stream, table = anybind.read(path), np.load(path)
    assert (len(stream), stream.width, stream.height) == (219_596, 1280, 720)
    for name in "xytp":
        np.testing.assert_array_equal(getattr(stream, name), table[name])


@pytest.mark.parametrize("names", ["x y t p", "X y ts pol", "xs ys timestamp polarity", "x y t_us on"])
def test_fields_are_found_by_common_names(read, names: str) -> None:
    assert list_contents(read(structured(names=names))) == EXPECTED


def test_fields_can_have_any_position_and_byte_order(read) -> None:
    rows = [(t, 9.5, p, y, x) for x, y, t, p in ROWS]
    assert list_contents(read(structured(rows, "t weight p y x", ">i8 f4 i1 >u2 >i4"))) == EXPECTED


def test_a_field_name_can_state_the_unit_of_time(read) -> None:
    assert read(structured(names="x y t_ms p")).t.tolist() == [10_000, 20_000, 30_000]
    assert read(structured(names="x y t_ms p"), time_unit="us").t.tolist() == [10, 20, 30]


def test_times_with_fractions_are_seconds(read) -> None:
    rows = [(1, 2, 0.5, 1), (3, 4, 0.500001, -1)]
    assert read(structured(rows, types="u2 u2 f8 i1")).t.tolist() == [500_000, 500_001]


def test_float32_seconds_are_exact_to_their_precision(read) -> None:
    seconds = np.array([0.123456, 3.654321], np.float32)
    rows = [(1, 2, second, 1) for second in seconds]
    assert read(structured(rows, types="u2 u2 f4 i1")).t.tolist() == [round(float(each) * 1e6) for each in seconds]


def test_a_time_beyond_64_bit_microseconds_is_an_error(read) -> None:
    for time in (1e300, -1e308, np.inf):
        with pytest.raises(BadInput, match=r"made\.npy: event 0: expected a time, got t ="):
            read(structured([(1, 2, time, 1)], types="u2 u2 f8 i1"), time_unit="s")


def test_times_from_1e17_on_are_nanoseconds(read) -> None:
    rows = [(1, 2, 1_700_000_000_123_456_789, 1)]
    assert read(structured(rows)).t.tolist() == [1_700_000_000_123_456]


def test_the_unit_option_overrides_inference(read) -> None:
    assert read(structured(), time_unit="ns").t.tolist() == [0, 0, 0]
    assert read(structured(), time_unit="s").t.tolist() == [10_000_000, 20_000_000, 30_000_000]
    with pytest.raises(BadOption, match=r"time_unit: expected s, ms, us, ns, got 'sec'"):
        read(structured(), time_unit="sec")


@pytest.mark.parametrize("order", ["xytp", "txyp", "xypt", "tpxy", "ptxy"])
@pytest.mark.parametrize("fortran", [False, True])
@pytest.mark.parametrize("kind", ["i8", "f8", "f4"])
def test_four_columns_are_identified_by_their_values(read, order: str, fortran: bool, kind: str) -> None:
    rows = [(5, 2, 10, 1), (3, 6, 20, 0), (5, 4, 30, 1)]
    table = np.array([[row["xytp".index(letter)] for letter in order] for row in rows], kind)
    stream = read(np.asfortranarray(table) if fortran else table)
    assert list_contents(stream) == ([5, 3, 5], [2, 6, 4], [10, 20, 30], [True, False, True], 34, 34)


def test_the_columns_option_sets_the_order(read) -> None:
    table = np.array([[1, 20, 3, 1], [2, 10, 4, 0]])
    assert list_contents(read(table, columns="tyxp")) == ([3, 4], [20, 10], [1, 2], [True, False], 34, 34)
    with pytest.raises(BadOption, match=r"got 'xyzt'"):
        read(table, columns="xyzt")


def test_columns_without_time_or_polarity_are_an_error(read) -> None:
    with pytest.raises(BadInput, match=r"made\.npy.*no column can be time"):
        read(np.array([[5, 6, 7, 1], [4, 5, 6, 0]]))
    with pytest.raises(BadInput, match=r"made\.npy.*no column has polarities"):
        read(np.array([[5, 6, 7, 3], [4, 5, 9, 2]]))


@pytest.mark.parametrize(
    ("largest", "sensor"),
    [((33, 33), (34, 34)), ((34, 0), (128, 128)), ((200, 179), (240, 180)), ((345, 0), (346, 260)),
     ((0, 719), (1280, 720)), ((1280, 719), (1281, 720)), ((2000, 3000), (2001, 3001))],
)  # fmt: skip
def test_the_sensor_is_the_smallest_common_one_that_fits(
    read, largest: tuple[int, int], sensor: tuple[int, int]
) -> None:
    stream = read(structured([(*largest, 1, 1)]))
    assert (stream.width, stream.height) == sensor


def test_the_size_option_sets_the_sensor_size_and_is_checked(read) -> None:
    stream = read(structured(), size=(6, 7))
    assert (stream.width, stream.height) == (6, 7)
    with pytest.raises(BadInput, match=r"made\.npy: event 2 is outside"):
        read(structured(), size=(5, 7))


def test_an_event_beyond_all_sensors_needs_the_size_option(read) -> None:
    with pytest.raises(BadInput, match=r"row 4096, beyond all sensors; give size="):
        read(structured([(0, 4096, 1, 1)]))
    assert read(structured([(0, 4096, 1, 1)]), size=(1, 5000)).height == 5000


def test_decreasing_time_is_an_error_that_names_the_event_also_in_chunks(tmp_path: Path, read) -> None:
    array = structured([(0, 0, time, 1) for time in (1, 2, 3, 2, 5)])
    with pytest.raises(BadInput, match=r"made\.npy: time decreases at event 3.*; give on_disorder=, clamp or sort"):
        read(array, on_disorder="error")
    with pytest.raises(BadInput, match=r"made\.npy: from event 3 on: time decreases at the first.*: 3 us, then 2 us"):
        list(NpyReader().chunks(tmp_path / "made.npy", count=3, on_disorder="error"))
    with pytest.raises(BadInput, match=r"made\.npy: from event 2 on: time decreases at event 1"):
        list(NpyReader().chunks(tmp_path / "made.npy", count=2, on_disorder="error"))


@settings(deadline=None)
@given(
    times=st.lists(st.integers(-(2**40), 2**40), max_size=20).map(sorted),
    count=st.integers(1, 25),
    fields=st.booleans(),
)
def test_chunks_add_up_to_the_recording_with_one_sensor_size(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], count: int, fields: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "parts.npy"
    rows = [(7 * i % 300, 5 * i % 100, time, i % 2) for i, time in enumerate(times)]
    np.save(path, structured(rows) if fields else np.array(rows, np.int64).reshape(-1, 4))
    options = {} if fields else {"columns": "xytp"}
    parts, whole = list(NpyReader().chunks(path, count=count, **options)), NpyReader().read(path, **options)
    assert len(parts) == max(1, -(-len(times) // count))
    assert {(part.width, part.height) for part in parts} == {(whole.width, whole.height)}
    assert [(x, y, t, p) for part in parts for x, y, t, p in zip(part.x, part.y, part.t, part.p, strict=True)] == rows


def test_an_array_without_events_is_an_empty_recording(read) -> None:
    assert len(read(structured([]))) == len(read(np.empty((0, 4)))) == 0


@pytest.mark.parametrize("array", [structured(), np.array(ROWS)], ids=["fields", "columns"])
def test_an_array_truncated_at_any_byte_gives_its_complete_events(tmp_path: Path, array: np.ndarray) -> None:
    path = tmp_path / "cut.npy"
    np.save(path, array)
    raw, event = path.read_bytes(), array.nbytes // 3
    start = len(raw) - array.nbytes
    for length in range(start, len(raw)):
        path.write_bytes(raw[:length])
        with pytest.raises(BadInput, match=rf"cut\.npy: truncated.*byte {length}"):
            NpyReader().read(path, strict=True)
        with pytest.warns(AnybindWarning, match=rf"cut\.npy: truncated.*byte {length}"):
            stream = NpyReader().read(path, **({} if array.dtype.names else {"columns": "xytp"}))
        assert stream.t.tolist() == [10, 20, 30][: (length - start) // event]
        assert stream.notes == {"truncated_bytes": (length - start) % event}
    for length in range(1, start):
        path.write_bytes(raw[:length])
        with pytest.raises(BadInput, match=r"cut\.npy: damaged header"):
            NpyReader().read(path)


def test_truncated_fortran_order_columns_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "cut.npy"
    np.save(path, np.asfortranarray(np.array(ROWS)))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(BadInput, match=r"cut\.npy: truncated"):
        NpyReader().read(path)


@pytest.mark.parametrize("dtype", [structured().dtype, np.dtype("i8")], ids=["fields", "columns"])
def test_a_header_with_a_huge_stated_size_allocates_little_memory(tmp_path: Path, dtype: np.dtype) -> None:
    shape = (10**12,) if dtype.names else (10**12, 4)
    with (tmp_path / "lie.npy").open("wb") as file:
        described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, described)
    tracemalloc.start()
    with pytest.raises(BadInput, match=r"lie\.npy: truncated"):
        NpyReader().read(tmp_path / "lie.npy", strict=True)
    with pytest.warns(AnybindWarning, match="the 0 complete events are kept"):
        assert len(NpyReader().read(tmp_path / "lie.npy")) == 0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**22


@pytest.mark.parametrize(
    "array",
    [np.zeros((5, 3)), np.zeros(5), np.zeros((2, 4, 4)), np.zeros((5, 4), "U3"), structured()[["x", "y", "t"]],
     np.zeros((3, 3), structured().dtype)],
    ids=str,
)  # fmt: skip
def test_an_array_without_events_is_rejected(tmp_path: Path, read, array: np.ndarray) -> None:
    with pytest.raises(BadInput, match=r"made\.npy: expected an array of events"):
        read(array)
    assert NpyReader().sniff((tmp_path / "made.npy").read_bytes()[:4096]) is False


def test_fields_that_are_not_numbers_are_an_error(read) -> None:
    for types in ("u2 u2 U3 i1", "(2,)u2 u2 i8 i1", "u2 U2 i8 i1"):
        with pytest.raises(BadInput, match=r"made\.npy: expected 1-dimensional event columns of numbers"):
            read(np.zeros(3, [(name, kind) for name, kind in zip("xytp", types.split(), strict=True)]))
    with pytest.raises(BadInput, match=r"made\.npy: event 1: expected a time, got t = nan s"):
        read(structured([(0, 0, 0.5, 1), (0, 0, np.nan, 1)], types="u2 u2 f8 i1"))


def test_python_objects_are_an_error_and_never_created(tmp_path: Path, trap) -> None:
    for array in (
        np.array([trap], object),
        np.array([(trap, 1, 2, 1)], [("x", "O"), ("y", "u2"), ("t", "i8"), ("p", "?")]),
    ):
        np.save(tmp_path / "trap.npy", array)
        with pytest.raises(BadInput, match=r"trap\.npy: contains Python objects"):
            NpyReader().read(tmp_path / "trap.npy")
    (tmp_path / "trap.npy").write_bytes(pickle.dumps(trap))
    with pytest.raises(BadInput, match=r"trap\.npy: damaged header"):
        NpyReader().read(tmp_path / "trap.npy")
    assert not trap.sprung.exists()


@pytest.mark.filterwarnings("ignore::UserWarning")  # of NumPy, on headers that look like those of Python 2
def test_a_mutated_array_is_read_or_rejected(tmp_path: Path) -> None:
    path, rng = tmp_path / "bent.npy", random.Random(0)
    for array in (structured(), np.array(ROWS), np.asfortranarray(np.array(ROWS, float))):
        np.save(path, array)
        raw = path.read_bytes()
        for _ in range(400):
            bent = bytearray(raw)
            for _ in range(rng.choice((1, 2))):
                bent[rng.randrange(len(bent))] = rng.randrange(256)
            path.write_bytes(bent[: rng.choice((len(bent), rng.randrange(1, len(bent))))])
            got = read_or_error(NpyReader().read, path)
            assert isinstance(got, EventStream) or "bent.npy" in str(got)


def test_structured_arrays_are_detected_by_content_and_four_columns_by_suffix(tmp_path: Path) -> None:
    for array, verdict in ((structured(), True), (np.array(ROWS), None)):
        np.save(tmp_path / "found.npy", array)
        assert NpyReader().sniff((tmp_path / "found.npy").read_bytes()[:4096]) is verdict
        assert find_reader(tmp_path / "found.npy").name == "npy-events"
    assert NpyReader().sniff(b"PK\x03\x04") is False
    assert NpyReader().sniff(b"\x93NUMPY\x01\x00") is None


def test_a_header_is_read_while_another_thread_parses(read, monkeypatch: pytest.MonkeyPatch) -> None:
    def evaluate(text: str) -> object:
        attempts.append(text)
        if len(attempts) < 3:
            raise SystemError("AST constructor recursion depth mismatch (before=213, after=69)")
        return literal_eval(text)

    attempts: list[str] = []
    literal_eval = ast.literal_eval
    monkeypatch.setattr(ast, "literal_eval", evaluate)
    assert list_contents(read(structured())) == EXPECTED
    assert len(attempts) == 3
