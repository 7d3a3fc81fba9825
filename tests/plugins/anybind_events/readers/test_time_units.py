"""The unit of times in every format with event columns: stated, given or assumed, and implausible event rates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

import anybind
from anybind import AnybindWarning
from anybind.errors import BadOption
from anybind_events import from_structured, inspect
from anybind_events.time_unit import TimeUnit, parse_unit, split_unit

EVENTS = 5000
START_US, STEP_US = 7_000_000, 60
MICROSECONDS = START_US + STEP_US * np.arange(EVENTS)
"""Times of 0.3 s at 16,667 events/s, as those of N-MNIST or N-CARS."""
IN_UNIT = {
    "ns": MICROSECONDS * 1000,
    "float us": MICROSECONDS + 0.25,
    "ms": MICROSECONDS // 1000,
    "float ms": MICROSECONDS / 1000,
    "s": MICROSECONDS // 1_000_000,
}
"""The same times in units that their values alone do not give."""
Columns = dict[str, np.ndarray]


def make_columns(times: np.ndarray, name: str = "t") -> Columns:
    generator = np.random.default_rng(0)
    x, y = (generator.integers(0, side, len(times)).astype(np.uint16) for side in (240, 180))
    return {"x": x, "y": y, name: times, "p": generator.integers(0, 2, len(times)).astype(np.uint8)}


def make_records(columns: Columns) -> np.ndarray:
    records = np.empty(EVENTS, [(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        records[name] = column
    return records


def write_npz(path: Path, columns: Columns) -> None:
    np.savez(path, **columns)  # pyright: ignore[reportArgumentType]


def write_npy(path: Path, columns: Columns) -> None:
    np.save(path, make_records(columns))


def write_hdf5(path: Path, columns: Columns) -> None:
    with h5py.File(path, "w") as file:
        for name, column in columns.items():
            file[f"events/{name}"] = column


def write_hdf5_records(path: Path, columns: Columns) -> None:
    with h5py.File(path, "w") as file:
        file["events"] = make_records(columns)


def write_csv(path: Path, columns: Columns) -> None:
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows), ""]))


FORMATS: dict[str, tuple[str, Callable[[Path, Columns], None]]] = {
    "npz": ("made.npz", write_npz),
    "npz-records": ("made.npz", lambda path, columns: np.savez_compressed(path, event_data=make_records(columns))),
    "npy": ("made.npy", write_npy),
    "hdf5": ("made.h5", write_hdf5),
    "hdf5-records": ("made.h5", write_hdf5_records),
    "csv": ("made.csv", write_csv),
}


@pytest.fixture(params=list(FORMATS))
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes times, in a column of this name, in one of the formats."""
    name, write_columns = FORMATS[request.param]

    def write(times: np.ndarray, column: str = "t") -> Path:
        write_columns(tmp_path / name, make_columns(times, column))
        return tmp_path / name

    return write


@pytest.mark.parametrize("notation", IN_UNIT)
def test_a_wrong_guess_of_the_unit_is_a_warning_that_names_the_right_one(
    write: Callable[..., Path], notation: str
) -> None:
    path, unit = write(IN_UNIT[notation]), notation.split()[-1]
    fits = "" if notation == "s" else unit  # the whole seconds of 0.3 s are all equal
    with pytest.warns(AnybindWarning, match=rf"made\..*unit of time is not stated.*implausible.*time_unit=.*{fits}"):
        stream = anybind.read(path)
    assert stream.notes == {"assumed_time_unit": 1}
    assert stream.time_unit is not None
    assert stream.time_unit.origin == "assumed"
    with pytest.warns(AnybindWarning, match="implausible"):
        assert sum(chunk.notes["assumed_time_unit"] for chunk in anybind.read_chunks(path) if chunk.notes) == 1


@pytest.mark.parametrize("notation", IN_UNIT)
def test_the_option_gives_the_unit_in_every_format(write: Callable[..., Path], notation: str) -> None:
    unit = notation.split()[-1]
    stream = anybind.read(write(IN_UNIT[notation]), time_unit=unit)
    resolution = {"ms": 1000 if notation == "ms" else 1, "s": 1_000_000}.get(unit, 1)
    assert np.abs(stream.t - MICROSECONDS).max() < resolution
    assert stream.time_unit == TimeUnit(unit, "option")
    assert stream.notes == {}


@pytest.mark.parametrize(
    ("column", "unit"), [("t_ns", "ns"), ("time [ns]", "ns"), ("timestamp_usec", "us"), ("t_microseconds", "us")]
)
def test_the_name_of_the_column_states_the_unit(write: Callable[..., Path], column: str, unit: str) -> None:
    stream = anybind.read(write(IN_UNIT["ns"] if unit == "ns" else MICROSECONDS, column))
    assert np.array_equal(stream.t, MICROSECONDS)
    assert stream.time_unit == TimeUnit(unit, "column name")


def test_plausible_times_are_assumed_without_a_warning(write: Callable[..., Path]) -> None:
    for times, unit in ((MICROSECONDS, "us"), (MICROSECONDS / 1e6, "s"), (MICROSECONDS * 1000 + 10**18, "ns")):
        stream = anybind.read(write(times))
        assert np.array_equal(stream.t - stream.t[0], MICROSECONDS - START_US)
        assert stream.time_unit == TimeUnit(unit, "assumed")
        assert stream.notes == {}


@pytest.mark.parametrize("unit", ["ns", "us", "ms"])
@pytest.mark.parametrize("kind", ["datetime64", "timedelta64"])
def test_types_of_dates_and_durations_state_the_unit(tmp_path: Path, unit: str, kind: str) -> None:
    times = (MICROSECONDS * 1000).astype("timedelta64[ns]").astype(f"timedelta64[{unit}]")
    times = times if kind == "timedelta64" else np.datetime64(0, unit) + times
    columns = make_columns(times)
    expected = MICROSECONDS // 1000 * 1000 if unit == "ms" else MICROSECONDS
    for name in ("npz", "npz-records", "npy"):
        file_name, write_columns = FORMATS[name]
        write_columns(tmp_path / file_name, columns)
        stream = anybind.read(tmp_path / file_name)
        assert np.array_equal(stream.t, expected)
        assert stream.time_unit == TimeUnit(unit, "type")
        chunks = anybind.read_chunks(tmp_path / file_name, count=900)
        assert np.array_equal(np.concatenate([chunk.t for chunk in chunks]), expected)
    assert np.array_equal(from_structured(make_records(columns)).t, expected)


def test_missing_dates_and_other_units_of_dates_are_an_error(tmp_path: Path) -> None:
    for times, message in (
        (np.array([5, "NaT"], "datetime64[us]").repeat(EVENTS // 2), f"event {EVENTS // 2}: expected a time, got NaT"),
        (MICROSECONDS.astype("datetime64[D]"), "expected times in s, ms, us, ns, got datetime64"),
    ):
        write_npy(tmp_path / "made.npy", make_columns(times))
        with pytest.raises(anybind.BadInput, match=message.replace("[", r"\[")):
            anybind.read(tmp_path / "made.npy")


@pytest.mark.parametrize("owner", ["events/t", "events"])
@pytest.mark.parametrize("value", ["ns", b"nanoseconds", np.bytes_("NSEC")])
def test_an_hdf5_attribute_states_the_unit(tmp_path: Path, owner: str, value: object) -> None:
    write_hdf5(tmp_path / "made.h5", make_columns(IN_UNIT["ns"]))
    with h5py.File(tmp_path / "made.h5", "r+") as file:
        file[owner].attrs["unit" if owner == "events/t" else "time_unit"] = value
    stream = anybind.read(tmp_path / "made.h5")
    assert np.array_equal(stream.t, MICROSECONDS)
    assert stream.time_unit == TimeUnit("ns", "attribute")
    part = anybind.read(tmp_path / "made.h5", start=6000, end=12_000)
    assert np.array_equal(part.t, MICROSECONDS[100:200])


def test_an_array_states_the_unit_of_an_npz_archive(tmp_path: Path) -> None:
    write_npz(tmp_path / "made.npz", make_columns(IN_UNIT["ns"]) | {"time_unit": np.array("ns")})
    stream = anybind.read(tmp_path / "made.npz")
    assert np.array_equal(stream.t, MICROSECONDS)
    assert stream.time_unit == TimeUnit("ns", "attribute")


@pytest.mark.parametrize("comment", ["# time_unit: ns", "% timestamps in nanoseconds", "// unit = ns"])
def test_a_comment_states_the_unit_of_text(tmp_path: Path, comment: str) -> None:
    columns = make_columns(IN_UNIT["ns"])
    write_csv(tmp_path / "made.csv", columns)
    (tmp_path / "made.csv").write_text(f"{comment}\n" + (tmp_path / "made.csv").read_text())
    stream = anybind.read(tmp_path / "made.csv")
    assert np.array_equal(stream.t, MICROSECONDS)
    assert stream.time_unit == TimeUnit("ns", "comment")


def test_arrays_are_treated_as_files() -> None:
    with pytest.warns(AnybindWarning, match="event array: the unit of time is not stated.*time_unit=ns"):
        stream = from_structured(make_records(make_columns(IN_UNIT["ns"])))
    assert stream.notes == {"assumed_time_unit": 1}
    with pytest.warns(AnybindWarning, match="event array: .*time_unit=ms or time_unit=us|time_unit=us"):
        from_structured(make_records(make_columns(IN_UNIT["float us"])))
    for notation, times in IN_UNIT.items():
        unit = notation.split()[-1]
        stream = from_structured(make_records(make_columns(times)), time_unit=unit)
        assert stream.time_unit == TimeUnit(unit, "option")
        assert np.abs(stream.t - MICROSECONDS).max() < {"s": 1_000_000, "ms": 1000}.get(unit, 1)
    assert np.array_equal(from_structured(make_records(make_columns(MICROSECONDS / 1e6))).t, MICROSECONDS)


def test_an_unknown_unit_is_an_error(write: Callable[..., Path]) -> None:
    with pytest.raises(BadOption, match="time_unit: expected s, ms, us, ns, got 'nanoseconds'"):
        anybind.read(write(MICROSECONDS), time_unit="nanoseconds")
    with pytest.raises(BadOption, match="time_unit: expected s, ms, us, ns"):
        from_structured(make_records(make_columns(MICROSECONDS)), time_unit="m")


@pytest.mark.parametrize(
    ("options", "expected"), [((), "us (assumed)"), (("--reader-option", "time_unit=us"), "us (option)")]
)
def test_info_prints_the_unit_and_how_it_is_known(
    cli, write: Callable[..., Path], options: tuple[str, ...], expected: str
) -> None:
    path = write(MICROSECONDS)
    assert expected in cli("info", path, *options).out
    record = json.loads(cli("info", path, *options, "--json").out)
    assert f"{record['time_unit']} ({record['time_unit_origin']})" == expected


def test_info_of_formats_that_define_the_unit(tmp_path: Path) -> None:
    stream = from_structured(make_records(make_columns(MICROSECONDS)), 240, 180)
    for suffix in (".dat", ".h5", ".npz"):
        anybind.write(stream, tmp_path / f"ours{suffix}")
        recording = inspect(tmp_path / f"ours{suffix}").recording
        assert recording is not None
        assert (recording.time_unit, recording.time_unit_origin) == ("us", "format")


@pytest.mark.parametrize(
    ("name", "bare", "unit"),
    [
        ("t", "t", None),
        ("ts", "ts", None),
        ("T_US", "t", "us"),
        ("timestamp (ms)", "timestamp", "ms"),
        ("time-seconds", "time", "s"),
        ("t_\N{MICRO SIGN}s", "t", "us"),
        ("t [\N{GREEK SMALL LETTER MU}s]", "t", "us"),
        ("times", "times", None),
    ],
)
def test_units_are_parsed_from_names(name: str, bare: str, unit: str | None) -> None:
    assert split_unit(name) == (bare, TimeUnit(unit, "column name") if unit else None)


def test_units_are_parsed_from_attributes() -> None:
    assert parse_unit(" Microseconds ", "attribute") == TimeUnit("us", "attribute")
    for other in ("", "metres", 7, None, np.array([1, 2])):
        assert parse_unit(other, "attribute") is None
