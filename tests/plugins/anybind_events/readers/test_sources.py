"""Several sources of events in one file, in every format that can hold them: never merged, and chosen by an option."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

import anybind
from anybind import BadInput
from anybind.errors import BadOption
from anybind_events.interchange import from_structured
from anybind_events.sources import choose_source

EVENTS = 300
Columns = dict[str, np.ndarray]


def make_columns(seed: int) -> Columns:
    generator = np.random.default_rng(seed)
    return {
        "x": generator.integers(0, 240, EVENTS),
        "y": generator.integers(0, 180, EVENTS),
        "t": np.sort(generator.integers(0, 100_000, EVENTS)),
        "p": generator.integers(0, 2, EVENTS),
    }


LEFT, RIGHT = make_columns(1), make_columns(2)


def make_records(columns: Columns) -> np.ndarray:
    return np.rec.fromarrays(list(columns.values()), names=",".join(columns))


def make_table(columns: Columns) -> np.ndarray:
    return np.stack([columns[name] for name in "txyp"], axis=1)


def write_npz_columns(pattern: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        arrays = {
            pattern.format(source=source, name=name): column
            for source, columns in (("left", LEFT), ("right", RIGHT))
            for name, column in columns.items()
        }
        np.savez(path, **arrays)

    return write


def write_hdf5(pattern: str, convert: Callable[[Columns], np.ndarray] | None = None) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            for source, columns in (("left", LEFT), ("right", RIGHT)):
                if convert:
                    file[pattern.format(source=source)] = convert(columns)
                else:
                    for name, column in columns.items():
                        file[pattern.format(source=source, name=name)] = column

    return write


FILES: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "npz left_x": ("two.npz", write_npz_columns("{source}_{name}"), "left|right"),
    "npz x_left": ("two.npz", write_npz_columns("{name}_{source}"), "left|right"),
    "npz left/x": ("two.npz", write_npz_columns("{source}/{name}"), "left|right"),
    "npz EVIMO2": ("two.npz", write_npz_columns("{source}_events_{name}"), "left_events|right_events"),
    "npz records": (
        "two.npz",
        lambda path: np.savez(path, left=make_records(LEFT), right=make_records(RIGHT)),
        "left|right",
    ),
    "npz tables": (
        "two.npz",
        lambda path: np.savez_compressed(path, left=make_table(LEFT), right=make_table(RIGHT), labels=[1, 2]),
        "left|right",
    ),
    "hdf5 groups": ("two.h5", write_hdf5("davis/{source}/{name}"), "davis/left|davis/right"),
    "hdf5 MVSEC": ("two.h5", write_hdf5("davis/{source}/events", make_table), "davis/left|davis/right"),
    "hdf5 records": ("two.h5", write_hdf5("cameras/{source}", make_records), "cameras/left|cameras/right"),
    "hdf5 left_x": ("two.h5", write_hdf5("events/{source}_{name}"), "events/left|events/right"),
    "hdf5 records in the root": ("two.h5", write_hdf5("{source}", make_records), "left|right"),
}
"""Files of two sources: name, a function that writes it, and the names of its sources."""


@pytest.mark.parametrize("kind", FILES)
def test_a_file_of_two_sources_needs_a_choice(tmp_path: Path, kind: str) -> None:
    name, write, sources = FILES[kind]
    left, right = sources.split("|")
    write(path := tmp_path / name)
    with pytest.raises(BadInput, match=rf"two\..*events of 2 sources; choose one with source=: '{left}', '{right}'"):
        anybind.read(path)
    with pytest.raises(BadInput, match="events of 2 sources"):
        list(anybind.read_chunks(path, count=50))
    for source, columns in ((left, LEFT), (right, RIGHT)):
        stream = anybind.read(path, source=source)
        chunks = list(anybind.read_chunks(path, count=70, source=source))
        for letter, column in columns.items():
            assert np.array_equal(getattr(stream, letter), column)
            assert np.array_equal(np.concatenate([getattr(chunk, letter) for chunk in chunks]), column)
    with pytest.raises(BadOption, match=rf"two\..*no events of the source 'top'; there are: {left}, {right}"):
        anybind.read(path, source="top")


def test_two_known_tables_of_an_archive_are_two_sources(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", events=make_records(LEFT), arr_0=make_table(RIGHT))
    with pytest.raises(BadInput, match="2 sources; choose one with source=: 'events', 'arr_0'"):
        anybind.read(tmp_path / "two.npz")
    assert np.array_equal(anybind.read(tmp_path / "two.npz", source="arr_0").t, RIGHT["t"])


def test_columns_and_a_table_of_an_archive_are_two_sources(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", **LEFT, event_data=make_records(RIGHT))
    with pytest.raises(BadInput, match="2 sources; choose one with source=: '/', 'event_data'"):
        anybind.read(tmp_path / "two.npz")
    assert np.array_equal(anybind.read(tmp_path / "two.npz", source="/").t, LEFT["t"])
    assert np.array_equal(anybind.read(tmp_path / "two.npz", source="event_data").t, RIGHT["t"])


def test_other_arrays_are_no_sources(tmp_path: Path) -> None:
    arrays = {"boxes": np.zeros((5, 4)), "meta": np.array([{"a": 1}], object), "left_x": LEFT["x"]}
    np.savez(tmp_path / "one.npz", **LEFT, **arrays)
    assert np.array_equal(anybind.read(tmp_path / "one.npz").t, LEFT["t"])
    np.savez(tmp_path / "table.npz", events=make_records(LEFT), **arrays)
    assert np.array_equal(anybind.read(tmp_path / "table.npz").t, LEFT["t"])
    np.savez(tmp_path / "none.npz", boxes=np.zeros((5, 4)))
    with pytest.raises(BadInput, match=r"none\.npz: expected event columns x, y, t, p, got: boxes"):
        anybind.read(tmp_path / "none.npz", reader="npz-events")


def test_the_only_source_can_be_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", **{f"events_{name}": column for name, column in LEFT.items()})
    assert len(anybind.read(tmp_path / "one.npz", source="events")) == len(anybind.read(tmp_path / "one.npz")) == EVENTS


def test_a_real_stereo_file_needs_a_choice(test_data: Path) -> None:
    path = test_data / "more_events/dv_empty_stereo.aedat4"
    with pytest.raises(BadInput, match=r"choose one with source=: '0' \(test_1, 100x100\), '1' \(test_2, 100x100\)"):
        anybind.read(path)
    for source in (0, "1", "test_1", "test_2"):
        stream = anybind.read(path, source=source)
        assert (len(stream), stream.width) == (0, 100)
    with pytest.raises(BadOption, match="no events of the source 'test_3'; there are: 0, 1"):
        anybind.read(path, source="test_3")


def test_the_commands_take_the_source(cli, tmp_path: Path) -> None:
    write_hdf5("{source}/{name}")(tmp_path / "two.h5")
    assert "choose one with source=: 'left', 'right'" in cli("info", tmp_path / "two.h5").error()
    option = ("--reader-option", "source=right")
    assert "assumed" in cli("info", tmp_path / "two.h5", *option).out
    cli("convert", tmp_path / "two.h5", tmp_path / "right.npz", *option)
    assert np.array_equal(anybind.read(tmp_path / "right.npz").t, RIGHT["t"])


def test_a_long_list_of_sources_is_cut_off() -> None:
    with pytest.raises(BadInput, match=r"events of 100 sources; .*'source 19', \.\.\.$"):
        choose_source(Path("many.h5"), [f"source {i}" for i in range(100)], None)
    with pytest.raises(BadInput, match=r"many\.h5: no events in the file"):
        choose_source(Path("many.h5"), [], None)


CAMERAS = np.array([1, 2, 1, 2, 2, 1])
ROWS = {
    "x": np.array([0, 10, 1, 11, 12, 2], "u2"),
    "y": np.array([0, 20, 1, 21, 22, 2], "u2"),
    "t": np.arange(6) * 100_000,
    "p": np.array([0, 1, 0, 1, 0, 1], "u1"),
}


def write_rows(path: Path, name: str, cameras: np.ndarray) -> None:
    """Write events of several cameras as rows of one table, with a column of that name."""
    columns = {**ROWS, name: cameras}
    records = np.empty(6, [(key, values.dtype) for key, values in columns.items()])
    for key, values in columns.items():
        records[key] = values
    match path.name:
        case "columns.npz":
            np.savez(path, **columns)
        case "records.npz":
            np.savez(path, events=records)
        case "records.npy":
            np.save(path, records)
        case "columns.h5" | "records.h5":
            with h5py.File(path, "w") as file:
                for key, values in columns.items() if path.stem == "columns" else [("events", records)]:
                    file[key] = values
        case _:
            lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
            path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("name", ["columns.npz", "records.npz", "records.npy", "columns.h5", "records.h5", "rows.csv"])
@pytest.mark.parametrize("column", ["camera", "sensor_id", "Device"])
def test_cameras_in_rows_of_one_table_are_never_merged(tmp_path, name, column):
    path = tmp_path / name
    write_rows(path, column, CAMERAS)
    with pytest.raises(BadInput, match="events of 2 sources; choose one with source=: '1', '2'"):
        anybind.read(path, time_unit="us")
    for source, xs in ((1, [0, 1, 2]), ("2", [10, 11, 12])):
        assert anybind.read(path, source=source, time_unit="us").x.tolist() == xs
        chunks = list(anybind.read_chunks(path, count=2, source=source, time_unit="us"))
        assert [x for chunk in chunks for x in chunk.x.tolist()] == xs
    with pytest.raises(BadOption, match="no events of the source 3"):
        anybind.read(path, source=3, time_unit="us")


@pytest.mark.parametrize("name", ["columns.npz", "records.npy", "columns.h5", "rows.csv"])
def test_a_column_with_one_camera_needs_no_choice(tmp_path, name):
    write_rows(tmp_path / name, "camera", np.full(6, 7))
    assert len(anybind.read(tmp_path / name, time_unit="us")) == 6


def test_cameras_in_a_structured_array_are_never_merged():
    table = np.empty(6, [("x", "u2"), ("y", "u2"), ("t", "i8"), ("p", "u1"), ("camera", "U5")])
    for key, values in ROWS.items():
        table[key] = values
    table["camera"] = np.where(CAMERAS == 1, "left", "right")
    with pytest.raises(BadInput, match="events of 2 sources; choose one with source=: 'left', 'right'"):
        from_structured(table, 34, 34, time_unit="us")
    assert from_structured(table, 34, 34, time_unit="us", source="right").x.tolist() == [10, 11, 12]
