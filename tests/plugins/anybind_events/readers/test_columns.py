"""Event columns in every format that has them: polarity codes, times out of order, order of columns."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

import anybind
from anybind import AnybindWarning, BadInput
from anybind.errors import BadOption
from anybind_events import from_structured
from anybind_events.readers import hdf5_layout
from anybind_events.readers.hdf5 import Hdf5Reader
from anybind_events.stream import EventStream
from helpers.streams import select_silently

Columns = dict[str, np.ndarray]
EVENTS = 1000


def make_columns(**columns: object) -> Columns:
    """Return columns of a moving object on a 240x180 sensor, some of them replaced."""
    generator = np.random.default_rng(0)
    columns_by_name = {
        "x": generator.integers(0, 240, EVENTS, dtype=np.uint16),
        "y": generator.integers(0, 180, EVENTS, dtype=np.uint16),
        "t": np.arange(EVENTS) * 100,
        "p": generator.integers(0, 2, EVENTS).astype(bool),
    }
    return columns_by_name | {name: np.asarray(column) for name, column in columns.items()}


def make_records(columns: Columns) -> np.ndarray:
    records = np.empty(len(columns["t"]), [(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        records[name] = column
    return records


def make_table(columns: Columns, order: str = "txyp") -> np.ndarray:
    """Return an (n, 4) array; floats where NumPy has no common integer type, as of int64 and uint64."""
    return np.stack([columns[name] for name in order], axis=1)


def write_npz(path: Path, columns: Columns) -> None:
    np.savez(path, **columns)  # pyright: ignore[reportArgumentType]


def write_npz_records(path: Path, columns: Columns) -> None:
    np.savez_compressed(path, event_data=make_records(columns))


def write_npy_records(path: Path, columns: Columns) -> None:
    np.save(path, make_records(columns))


def write_npy_table(path: Path, columns: Columns) -> None:
    np.save(path, make_table(columns))


def write_hdf5(path: Path, columns: Columns) -> None:
    with h5py.File(path, "w") as file:
        for name, column in columns.items():
            file[f"events/{name}"] = column


def write_hdf5_records(path: Path, columns: Columns) -> None:
    with h5py.File(path, "w") as file:
        file["events"] = make_records(columns)


def write_csv(path: Path, columns: Columns) -> None:
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    lines = (",".join(str(int(value) if isinstance(value, bool) else value) for value in row) for row in rows)
    path.write_text("\n".join([",".join(columns), *lines, ""]))


def write_txt(path: Path, columns: Columns) -> None:
    rows = zip(*(columns[name].tolist() for name in "txyp"), strict=True)
    lines = (" ".join(str(int(value) if isinstance(value, bool) else value) for value in row) for row in rows)
    path.write_text("\n".join([*lines, ""]))


FORMATS: dict[str, tuple[str, Callable[[Path, Columns], None]]] = {
    "npz": ("made.npz", write_npz),
    "npz-records": ("made.npz", write_npz_records),
    "npy-records": ("made.npy", write_npy_records),
    "npy-table": ("made.npy", write_npy_table),
    "hdf5": ("made.h5", write_hdf5),
    "hdf5-records": ("made.h5", write_hdf5_records),
    "csv-header": ("made.csv", write_csv),
    "txt": ("made.txt", write_txt),
}
"""Column formats: file name, and a function that writes columns."""


@pytest.fixture(params=list(FORMATS))
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes columns, some replaced, in one of the formats."""
    name, write_columns = FORMATS[request.param]

    def write(**columns: object) -> Path:
        write_columns(tmp_path / name, make_columns(**columns))
        return tmp_path / name

    return write


ON = make_columns()["p"]
CERTAIN = {
    "bool": ON,
    "0 and 1": ON.astype(np.int64),
    "-1 and 1": np.where(ON, 1, -1).astype(np.int8),
    "fractions": np.where(ON, 1.0, -1.0),
    "255": np.where(ON, 1, 255).astype(np.uint8),
    "65535": np.where(ON, 1, 65_535).astype(np.uint16),
    "2^32 - 1": np.where(ON, 1, 2**32 - 1).astype(np.uint32),
    "2^32 - 1 in a wider type": np.where(ON, 1, 2**32 - 1).astype(np.int64),
    "2^64 - 1": np.where(ON, 1, -1).astype(np.int64).view(np.uint64),
}
"""The same polarities in notations whose meaning is certain."""


@pytest.mark.parametrize("notation", CERTAIN)
def test_certain_polarity_codes_are_read_in_every_format(write: Callable[..., Path], notation: str) -> None:
    path = write(p=CERTAIN[notation])
    assert np.array_equal(anybind.read(path).p, ON)


@pytest.mark.parametrize("off", [-1, 255, 2**32 - 1])
def test_chunks_of_one_polarity_are_read_as_the_whole_recording(write: Callable[..., Path], off: int) -> None:
    # The first and the last chunk have only OFF events, whose code alone would be uncertain.
    on = (np.arange(EVENTS) > 400) & (np.arange(EVENTS) < 700)
    path = write(p=np.where(on, 1, off))
    chunks = list(anybind.read_chunks(path, count=100))
    assert len(chunks) >= 9
    assert np.array_equal(np.concatenate([chunk.p for chunk in chunks]), on)


UNCERTAIN = {
    "1 and 2": (np.where(ON, 2, 1), "1, 2"),
    "0 and 255": (np.where(ON, 255, 0).astype(np.uint8), "0, 255"),
    "0, 1 and -1": (np.where(ON, 1, -(np.arange(EVENTS) % 2)), "-1, 0, 1"),
    "256 codes": (np.arange(EVENTS) % 256, "0, 1, 2, 3, 4, ..."),
    "fractions": (np.where(ON, 1, 0.5), "0.5, 1"),
}
"""Polarities of uncertain meaning, and their codes in the error."""


@pytest.mark.parametrize("notation", UNCERTAIN)
@pytest.mark.parametrize("name", ["npz", "npz-records", "npy-records", "hdf5", "hdf5-records", "csv-header"])
def test_uncertain_polarity_codes_are_an_error_that_lists_them(tmp_path: Path, name: str, notation: str) -> None:
    file_name, write_columns = FORMATS[name]
    column, codes = UNCERTAIN[notation]
    write_columns(tmp_path / file_name, make_columns(p=column))
    with pytest.raises(BadInput, match=rf"made\..*polarity codes {re.escape(codes)}: expected.*polarity='2,1'"):
        anybind.read(tmp_path / file_name)


@pytest.mark.parametrize(
    ("on_code", "off_code", "polarity"), [(2, 1, "2,1"), (1, 2, [1, 2]), (255, 0, (255, 0)), (0, 1, "0, 1")]
)
def test_the_polarity_option_names_the_codes(
    write: Callable[..., Path], on_code: int, off_code: int, polarity: object
) -> None:
    path = write(p=np.where(ON, on_code, off_code))
    assert np.array_equal(anybind.read(path, polarity=polarity).p, ON)


def test_several_codes_can_mean_off(write: Callable[..., Path]) -> None:
    path = write(p=np.where(ON, 1, -(np.arange(EVENTS) % 2)))
    assert np.array_equal(anybind.read(path, polarity="1,0,-1").p, ON)


def test_a_code_that_the_polarity_option_does_not_name_is_an_error(write: Callable[..., Path]) -> None:
    path = write(p=np.where(ON, 1, 0))
    with pytest.raises(BadInput, match=r"polarity codes 0: expected 1, -1|no column has polarities \(1, -1\)"):
        anybind.read(path, polarity="1,-1")


@pytest.mark.parametrize("polarity", ["1", "on,off", "1,1", "1,0.5", 1, [], [1, None]])
def test_an_invalid_polarity_option_is_an_error(write: Callable[..., Path], polarity: object) -> None:
    with pytest.raises(BadOption, match="polarity: expected the ON code, then the OFF code"):
        anybind.read(write(), polarity=polarity)


def test_polarity_codes_of_arrays_are_read_as_those_of_files() -> None:
    for column in CERTAIN.values():
        columns = make_columns(p=column)
        assert np.array_equal(EventStream(*(columns[name] for name in "xytp"), width=240, height=180).p, ON)
        assert np.array_equal(from_structured(make_records(columns)).p, ON)
    for column, codes in UNCERTAIN.values():
        columns = make_columns(p=column)
        with pytest.raises(BadInput, match=f"polarity codes {re.escape(codes)}: expected"):
            EventStream(*(columns[name] for name in "xytp"), width=240, height=180)
        with pytest.raises(BadInput, match=f"polarity codes {re.escape(codes)}: expected"):
            from_structured(make_records(columns))
    records = make_records(make_columns(p=np.where(ON, 2, 1)))
    assert np.array_equal(from_structured(records, polarity="2,1").p, ON)


@pytest.mark.parametrize("notation", ["1 and 2", "0, 1 and -1"])
def test_uncertain_polarity_codes_without_column_names_are_an_error(tmp_path: Path, notation: str) -> None:
    write_npy_table(tmp_path / "made.npy", make_columns(p=UNCERTAIN[notation][0]))
    with pytest.raises(BadInput, match=r"made\.npy.*polarit.*polarity="):
        anybind.read(tmp_path / "made.npy")


TIMES = np.arange(EVENTS) * 100 + np.random.default_rng(1).integers(0, 300, EVENTS) * (np.arange(EVENTS) % 7 == 0)
"""Times in microseconds, some of which are below the previous one."""
RAISED = np.maximum.accumulate(TIMES)
DISORDER = int(np.count_nonzero(TIMES < RAISED))


def test_decreasing_times_are_raised_and_noted_in_every_format(write: Callable[..., Path]) -> None:
    stream = anybind.read(write(t=TIMES))
    assert np.array_equal(stream.t, RAISED)
    assert np.array_equal(stream.x, make_columns()["x"])
    assert stream.notes == {"backwards": DISORDER}


@pytest.mark.parametrize("count", [1, 7, 100, 5000])
def test_decreasing_times_are_raised_across_chunks(write: Callable[..., Path], count: int) -> None:
    chunks = list(anybind.read_chunks(write(t=TIMES), count=count))
    assert np.array_equal(np.concatenate([chunk.t for chunk in chunks]), RAISED)
    assert sum(chunk.notes.get("backwards", 0) for chunk in chunks) == DISORDER


def test_events_are_sorted_by_the_option_in_every_format(write: Callable[..., Path]) -> None:
    path, order = write(t=TIMES, p=CERTAIN["255"]), np.argsort(TIMES, kind="stable")
    stream = anybind.read(path, on_disorder="sort")
    chunks = list(anybind.read_chunks(path, count=300, on_disorder="sort"))
    assert [len(chunk) for chunk in chunks] == [300, 300, 300, 100]
    assert stream.notes == chunks[0].notes == {"sorted": DISORDER}
    for name, column in make_columns(t=TIMES).items():
        assert np.array_equal(getattr(stream, name), column[order])
        assert np.array_equal(np.concatenate([getattr(chunk, name) for chunk in chunks]), column[order])


def test_a_warning_says_that_most_times_were_raised(write: Callable[..., Path]) -> None:
    path = write(t=np.random.default_rng(2).permutation(EVENTS) * 100)
    is_table = path.suffix == ".txt" or (path.suffix == ".npy" and np.load(path).ndim == 2)
    options = {"columns": "txyp"} if is_table else {}
    with pytest.warns(AnybindWarning, match=r"made\..*: \d+ of 1000 times decrease .*; give on_disorder='sort'"):
        assert anybind.read(path, **options).notes["backwards"] > 900


def test_events_in_order_stay_as_they_are_with_every_policy(write: Callable[..., Path]) -> None:
    path = write()
    for policy in ("clamp", "sort", "error"):
        stream = anybind.read(path, on_disorder=policy)
        assert np.array_equal(stream.t, make_columns()["t"])
        assert stream.notes == {}


def test_decreasing_times_are_an_error_by_the_option(write: Callable[..., Path]) -> None:
    path = write(t=TIMES)
    first = int(np.flatnonzero(np.diff(TIMES) < 0)[0]) + 1
    message = rf"made\..*time decreases at event {first}: .*give on_disorder="
    with pytest.raises(BadInput, match=message):
        anybind.read(path, on_disorder="error")
    with pytest.raises(BadInput, match=r"made\..*time decreases at "):
        list(anybind.read_chunks(path, count=7, on_disorder="error"))


def test_times_in_seconds_are_sorted_too(write: Callable[..., Path]) -> None:
    stream = anybind.read(write(t=TIMES * 1e-6 + 0.0000001), on_disorder="sort")
    assert np.array_equal(stream.t, np.sort(TIMES))


def test_an_unknown_policy_is_an_error(write: Callable[..., Path]) -> None:
    with pytest.raises(BadOption, match="on_disorder: expected clamp, sort, error, got 'sorted'; did you mean"):
        anybind.read(write(), on_disorder="sorted")
    with pytest.raises(BadOption, match="on_disorder"):
        from_structured(make_records(make_columns()), on_disorder="drop")


def test_decreasing_times_of_arrays_are_repaired_as_those_of_files() -> None:
    records = make_records(make_columns(t=TIMES))
    raised, ordered = from_structured(records), from_structured(records, on_disorder="sort")
    assert (raised.t.tolist(), raised.notes) == (RAISED.tolist(), {"backwards": DISORDER})
    assert (ordered.t.tolist(), ordered.notes) == (np.sort(TIMES).tolist(), {"sorted": DISORDER})
    with pytest.raises(BadInput, match="time decreases"):
        from_structured(records, on_disorder="error")


def test_a_time_range_of_hdf5_is_complete_after_sorting(tmp_path: Path) -> None:
    times = np.random.default_rng(2).permutation(EVENTS)
    write_hdf5(tmp_path / "made.h5", make_columns(t=times))
    stream = Hdf5Reader().read(tmp_path / "made.h5", on_disorder="sort", start=100, end=200, absolute=True)
    assert stream.t.tolist() == list(range(100, 200))
    assert stream.notes["sorted"] > 900


def make_hdf5(path: Path, layout: str, columns: Columns) -> None:
    """Write columns without an index, or with one as in DSEC."""
    write_hdf5(path, columns)
    if layout == "indexed":
        with h5py.File(path, "r+") as file:
            raised = np.maximum.accumulate(columns["t"])
            file["ms_to_idx"] = np.searchsorted(raised, np.arange(raised[-1] // 1000 + 1) * 1000)
            file["t_offset"] = 0


@pytest.mark.filterwarnings("ignore:.*times decrease")
@pytest.mark.parametrize("layout", ["plain", "indexed"])
@pytest.mark.parametrize("count", [30, 10**6])
def test_a_time_range_of_hdf5_is_that_of_the_raised_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, count: int
) -> None:
    monkeypatch.setattr(hdf5_layout, "SEARCH_EVENTS", 64)
    generator = np.random.default_rng(3)
    for jump in (50, 3_000, 12_000):
        # Some times lie far ahead, so that bisection of the raw times goes astray.
        times = np.arange(EVENTS) * 100 + jump * (generator.random(EVENTS) < 0.02)
        make_hdf5(tmp_path / "made.h5", layout, make_columns(t=times))
        whole = Hdf5Reader().read(tmp_path / "made.h5")
        for start, end in ((0, 20_000), (15_000, 40_050), (99_000, None), (None, 5), (70_100, 70_200)):
            expected = select_silently(whole.between, start, end)
            chunks = list(Hdf5Reader().chunks(tmp_path / "made.h5", count=count, start=start, end=end))
            for name in "xytp":
                column = np.concatenate([getattr(chunk, name) for chunk in chunks])
                assert np.array_equal(column, getattr(expected, name))


def test_an_empty_time_range_of_a_file_is_a_warning(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "made.h5", make_columns())
    for options in ({"start": 10**6}, {"end": -5}, {"start": 7, "end": 8, "absolute": True}):
        with pytest.warns(AnybindWarning, match=r"made\.h5: no events from "):
            assert len(anybind.read(tmp_path / "made.h5", **options)) == 0


NAMED = ("npz", "npz-records", "npy-records", "hdf5", "hdf5-records")


@pytest.mark.parametrize("name", NAMED)
def test_an_order_of_columns_that_the_file_names_is_an_error(tmp_path: Path, name: str) -> None:
    file_name, write_columns = FORMATS[name]
    write_columns(tmp_path / file_name, make_columns())
    with pytest.raises(BadOption, match=r"columns: the file names its columns \(.*\); columns= orders tables without"):
        anybind.read(tmp_path / file_name, columns="yxtp")


def test_an_order_of_columns_replaces_the_header_of_a_text_file(tmp_path: Path) -> None:
    write_csv(tmp_path / "made.csv", make_columns())
    stream = anybind.read(tmp_path / "made.csv", columns="yxtp")
    assert np.array_equal(stream.x, make_columns()["y"])


@pytest.mark.parametrize("codes", [(2, 1), (255, 0), (0, 3), (-1, 2)])
@pytest.mark.parametrize("order", ["txyp", "xytp", "pxyt"])
@pytest.mark.parametrize("kind", ["txt", "npy", "npz-events", "v2e"])
def test_uncertain_codes_in_tables_without_names_are_found_and_listed(
    tmp_path: Path, codes: tuple[int, int], order: str, kind: str
) -> None:
    file_name, write = TABLES[kind]
    write(tmp_path / file_name, make_table(make_columns(p=np.where(ON, *codes)), order).astype(np.int64))
    listed = ", ".join(map(str, sorted(codes)))
    with pytest.raises(BadInput, match=rf"made\..*polarity codes {listed}: expected 0 and 1.*polarity='2,1'"):
        anybind.read(tmp_path / file_name)
    stream = anybind.read(tmp_path / file_name, polarity=codes)
    assert np.array_equal(stream.p, ON)
    assert np.array_equal(stream.x, make_columns()["x"])


def test_a_table_of_a_few_rows_is_not_taken_for_events_of_uncertain_codes(tmp_path: Path) -> None:
    (tmp_path / "boxes.txt").write_text("10 20 30 40\n12 21 30 41\n")
    with pytest.raises(BadInput, match=r"boxes\.txt") as error:
        anybind.read(tmp_path / "boxes.txt")
    assert "polarity codes" not in str(error.value)


SUB_PIXEL = {"x": make_columns()["x"] + 0.75, "y": make_columns()["y"] + 0.25}


@pytest.mark.parametrize("name", [*NAMED, "csv-header"])
def test_sub_pixel_coordinates_need_the_scale_option(tmp_path: Path, name: str) -> None:
    file_name, write_columns = FORMATS[name]
    write_columns(tmp_path / file_name, make_columns(**SUB_PIXEL))
    with pytest.raises(BadInput, match=r"made\..*expected a whole number.*; give scale=, such as 1 to round sub-pixel"):
        anybind.read(tmp_path / file_name)
    whole, finer = (anybind.read(tmp_path / file_name, scale=scale) for scale in (1, 4))
    sizes = (640, 480, 2560, 1920) if name == "npz-records" else (240, 180, 1280, 720)  # N-ImageNet's format has a size
    assert (whole.width, whole.height, finer.width, finer.height) == sizes
    for letter, fraction in (("x", 3), ("y", 1)):
        assert np.array_equal(getattr(whole, letter), make_columns()[letter])
        assert np.array_equal(getattr(finer, letter), 4 * make_columns()[letter].astype(int) + fraction)


def test_coordinates_beyond_16_bits_need_the_scale_option(write: Callable[..., Path]) -> None:
    columns = make_columns()
    fixed_point = {letter: columns[letter].astype(np.int64) * 1024 + 1000 for letter in "xy"}
    path = write(**fixed_point)
    order = {"columns": "txyp"} if path.suffix == ".txt" or (path.suffix == ".npy" and np.load(path).ndim == 2) else {}
    with pytest.raises(BadInput, match=r"made\..*(beyond all sensors|outside the sensor).*; give .*scale="):
        anybind.read(path, **order)
    stream = anybind.read(path, scale=1 / 1024, **order)
    assert np.array_equal(stream.x, columns["x"])
    assert (stream.width, stream.height) in {(240, 180), (640, 480)}


def test_coordinates_of_arrays_are_scaled_as_those_of_files() -> None:
    records = make_records(make_columns(**SUB_PIXEL))
    with pytest.raises(BadInput, match="expected a whole number"):
        from_structured(records)
    assert np.array_equal(from_structured(records, scale=1).x, make_columns()["x"])
    assert from_structured(records, scale=2).width == 640
    tenths = make_columns(x=make_columns()["x"] * 10)
    assert np.array_equal(from_structured(make_records(tenths), 240, 2000, scale=0.1).x, make_columns()["x"])


@pytest.mark.parametrize("scale", [0, -1, np.inf, np.nan, "2", True])
def test_an_invalid_scale_is_an_error(write: Callable[..., Path], scale: object) -> None:
    with pytest.raises(BadOption, match="scale: expected a number above 0"):
        anybind.read(write(), scale=scale)


def write_npz_table(name: str) -> Callable[[Path, np.ndarray], None]:
    return lambda path, table: np.savez(path, **{name: table})  # pyright: ignore[reportArgumentType]


def write_hdf5_table(name: str) -> Callable[[Path, np.ndarray], None]:
    def write(path: Path, table: np.ndarray) -> None:
        with h5py.File(path, "w") as file:
            file.create_dataset(name, data=table, chunks=True if len(table) else None)

    return write


TABLES: dict[str, tuple[str, Callable[[Path, np.ndarray], None]]] = {
    "v2e": ("made.h5", write_hdf5_table("events")),
    "hdf5-group": ("made.h5", write_hdf5_table("camera/event_data")),
    "npz-events": ("made.npz", write_npz_table("events")),
    "npz-arr_0": ("made.npz", write_npz_table("arr_0")),
    "npz-event_data": ("made.npz", write_npz_table("event_data")),
    "npz-compressed": ("made.npz", lambda path, table: np.savez_compressed(path, events=table)),
    "npz-columns-first": ("made.npz", lambda path, table: np.savez(path, events=np.asfortranarray(table))),
    "npy": ("made.npy", np.save),
    "txt": ("made.txt", lambda path, table: np.savetxt(path, table, fmt="%d")),
}
"""Formats with a table of four columns without names: file name, and a function that writes one."""
ORDERS = ("txyp", "xytp", "xypt", "ptxy")


@pytest.fixture(params=list(TABLES))
def write_table(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[np.ndarray], Path]:
    """Return a function that writes a table in one of the formats."""
    name, write = TABLES[request.param]

    def write_file(table: np.ndarray) -> Path:
        write(tmp_path / name, table)
        return tmp_path / name

    return write_file


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("step", [1, 100])
def test_the_order_of_the_columns_of_a_table_is_inferred(
    write_table: Callable[[np.ndarray], Path], order: str, step: int
) -> None:
    # Small times are pixels of the sensor too, which must not transpose the recording.
    columns = make_columns(t=np.arange(EVENTS) // 5 * step)
    path = write_table(make_table(columns, order).astype(np.uint32))
    stream = anybind.read(path)
    chunks = list(anybind.read_chunks(path, count=300))
    assert stream.notes == {}
    for name, column in columns.items():
        assert np.array_equal(getattr(stream, name), column)
        assert np.array_equal(np.concatenate([getattr(chunk, name) for chunk in chunks]), column)


def test_the_columns_option_replaces_the_inferred_order(write_table: Callable[[np.ndarray], Path]) -> None:
    table = make_table(make_columns(), "yxtp").astype(np.int64)
    stream = anybind.read(write_table(table), columns="yxtp")
    assert np.array_equal(stream.x, make_columns()["x"])
    assert np.array_equal(stream.y, make_columns()["y"])
    with pytest.raises(BadOption, match="columns: expected the order of x, y, t and p"):
        anybind.read(write_table(table), columns="xyzp")


@pytest.mark.parametrize("order", ["txyp", "xytp"])
def test_an_ambiguous_order_is_noted(write_table: Callable[[np.ndarray], Path], order: str) -> None:
    # A bar that moves to the right: neither time nor column decreases.
    columns = make_columns(x=np.arange(EVENTS) // 10, t=np.arange(EVENTS) * 2)
    path = write_table(make_table(columns, order).astype(np.int64))
    stream = anybind.read(path)
    assert np.array_equal(stream.t, columns["t"])
    assert stream.notes == {"assumed_columns": 1}
    assert anybind.read(path, columns=order).notes == {}


def test_a_table_with_polarities_stored_unsigned_is_read(write_table: Callable[[np.ndarray], Path]) -> None:
    table = make_table(make_columns(p=CERTAIN["2^32 - 1"].astype(np.int64))).astype(np.int64).astype(np.uint32)
    assert np.array_equal(anybind.read(write_table(table)).p, ON)


def test_a_table_without_events_is_read(tmp_path: Path) -> None:
    for name in ("v2e", "npz-events", "npz-columns-first"):
        file_name, write = TABLES[name]
        write(tmp_path / file_name, np.zeros((0, 4), np.uint32))
        assert len(anybind.read(tmp_path / file_name, size=(10, 10))) == 0


@pytest.mark.parametrize("prefix", ["", "events_", "dataset_events_"])
def test_evimo2_names_are_read(tmp_path: Path, prefix: str) -> None:
    columns = make_columns()
    pixels = np.stack([columns["x"], columns["y"]], axis=1)
    seconds = columns["t"] * 1e-6
    arrays = {"t": seconds, "xy": pixels, "p": ON.astype(np.uint8)}
    np.savez(tmp_path / "made.npz", **{prefix + name: array for name, array in arrays.items()})
    stream = anybind.read(tmp_path / "made.npz")
    chunks = list(anybind.read_chunks(tmp_path / "made.npz", count=400))
    for name, column in columns.items():
        assert np.array_equal(getattr(stream, name), column)
        assert np.array_equal(np.concatenate([getattr(chunk, name) for chunk in chunks]), column)


def test_the_order_of_a_long_hdf5_table_is_inferred_from_a_part(tmp_path: Path) -> None:
    n_events = 300_000
    generator = np.random.default_rng(0)
    columns = [np.arange(n_events), *generator.integers(0, 100, (2, n_events)), generator.integers(0, 2, n_events)]
    TABLES["v2e"][1](tmp_path / "made.h5", np.stack(columns, axis=1).astype(np.uint32))
    stream = anybind.read(tmp_path / "made.h5", start=1000, end=2000)
    assert np.array_equal(stream.t, np.arange(1000, 2000))
    assert np.array_equal(stream.x, columns[1][1000:2000])


def test_a_real_v2e_file_is_read_in_its_order(test_data: Path) -> None:
    path = test_data / "odd_files" / "v2e_txyp.h5"
    if not path.exists():
        pytest.skip("needs odd_files/v2e_txyp.h5")
    stream = anybind.read(path)
    with h5py.File(path) as file:
        table = np.asarray(file["events"])
    for name, column in zip("txyp", table.T, strict=True):
        assert np.array_equal(getattr(stream, name), column)
    assert (stream.width, stream.height) == (240, 180)
