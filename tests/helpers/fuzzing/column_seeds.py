"""Seeds of event columns: NumPy archives and arrays, HDF5 layouts, text."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from helpers.fuzzing.event_seeds import HEIGHT, WIDTH, make_columns
from helpers.fuzzing.seeds import Seed, write_content

RECORDS = np.dtype([("x", "<u2"), ("y", "<u2"), ("ts", "<i8"), ("p", "?")])


def make_records() -> np.ndarray:
    """Make the events as a structured array."""
    records = np.empty(len(make_columns()[0]), RECORDS)
    for name, column in zip(records.dtype.names or (), make_columns(), strict=True):
        records[name] = column
    return records


def make_table() -> np.ndarray:
    """Make the events as a table of the columns t, x, y, p, (n, 4) float64."""
    x, y, t, p = make_columns()
    return np.stack([t, x, y, p], 1).astype(np.float64)


def make_column_seeds() -> list[Seed]:
    """Make files in the layouts of NPZ, NPY and HDF5."""
    seeds = [*_make_npz_seeds(), *_make_npy_seeds()]
    return seeds + [
        Seed(f"hdf5-{name}", ".h5", write_content(".h5", lambda path, fill=fill: _write_hdf5(path, fill)), "hdf5")
        for name, fill in HDF5_LAYOUTS.items()
    ]


def _make_npz_seeds() -> list[Seed]:
    x, y, t, p = make_columns()
    plain = {"x": x.astype(np.uint16), "y": y.astype(np.uint16), "t": t, "p": p.astype(bool)}
    layouts: dict[str, dict[str, Any]] = {
        "ours": {**plain, "size": np.array([WIDTH, HEIGHT])},
        "seconds": {"xs": x, "ys": y, "timestamps": t / 1e6, "polarities": p * 2 - 1},
        "n-imagenet": {"event_data": make_records()},
        "table": {"events": make_table()},
        "evimo": {
            "dataset_events_xy": np.stack([x, y], 1).astype(np.uint16),
            "dataset_events_t": t / 1e6,
            "dataset_events_p": p.astype(np.uint8),
        },
    }
    seeds = []
    for number, (name, arrays) in enumerate(layouts.items()):
        file = io.BytesIO()
        (np.savez_compressed if number % 2 else np.savez)(file, **arrays)
        seeds.append(Seed(f"npz-{name}", ".npz", file.getvalue(), "zip"))
    return seeds


def _make_npy_seeds() -> list[Seed]:
    arrays = {
        "records": make_records(),
        "table": make_table(),
        "fortran": np.asfortranarray(make_table().astype(np.int32)),
    }
    seeds = []
    for name, array in arrays.items():
        file = io.BytesIO()
        np.save(file, array, allow_pickle=False)
        seeds.append(Seed(f"npy-{name}", ".npy", file.getvalue(), "npy"))
    return seeds


def _write_hdf5(path: Path, fill: Callable[[Any], None]) -> None:
    import h5py

    with h5py.File(path, "w", libver=("earliest", "v110")) as file:
        fill(file)


def _fill_ours(file: Any) -> None:
    x, y, t, p = make_columns()
    file.attrs.update({"format": "anybind-events", "version": 1, "width": WIDTH, "height": HEIGHT})
    events = file.create_group("events")
    for name, column, dtype in (("x", x, "u2"), ("y", y, "u2"), ("t", t, "u8"), ("p", p, "u1")):
        events.create_dataset(name, data=column.astype(dtype), chunks=(32,), compression="gzip", shuffle=True)
    file.create_dataset("ms_to_idx", data=np.array([0, 30], "u8"))
    file.create_dataset("t_offset", data=np.int64(5))


def _fill_metavision(file: Any) -> None:
    x, y, t, p = make_columns()
    events = np.empty(len(x), [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
    for name, column in (("x", x), ("y", y), ("p", p), ("t", t)):
        events[name] = column
    file.attrs["geometry"] = f"{WIDTH}x{HEIGHT}"
    file.create_dataset("CD/events", data=events)
    file.create_dataset("CD/indexes", data=np.array([(0, 0), (30, t[30])], [("id", "<u8"), ("ts", "<i8")]))


def _fill_table(file: Any) -> None:
    file.create_dataset("events", data=make_table().astype(np.uint32), chunks=(16, 4), fletcher32=True)


def _fill_plain(file: Any) -> None:
    x, y, t, p = make_columns()
    file.attrs["sensor_resolution"] = [HEIGHT, WIDTH]
    for name, column in (("xs", x), ("ys", y), ("ts", t / 1e6), ("ps", p)):
        file.create_dataset(name, data=column)


HDF5_LAYOUTS = {"ours": _fill_ours, "metavision": _fill_metavision, "table": _fill_table, "plain": _fill_plain}


def make_text_seeds() -> list[Seed]:
    """Make text with and without a header, of several delimiters and units."""
    x, y, t, p = (column.tolist() for column in make_columns(30))
    rows = list(zip(x, y, t, p, strict=True))
    seconds = [f"{time / 1e6:.6f} {col} {row} {on}" for col, row, time, on in rows]
    lines = {
        ("csv", ".csv"): ["x,y,t,p", *(",".join(map(str, row)) for row in rows)],
        ("tsv", ".tsv"): ["t_us\tx\ty\tpolarity", *(f"{time}\t{col}\t{row}\t{on}" for col, row, time, on in rows)],
        ("seconds", ".txt"): [f"{WIDTH} {HEIGHT}", *seconds],
        ("comments", ".txt"): ["# events", "%geometry:30,20", "# t x y p", *seconds],
        ("semicolons", ".csv"): [f"{col};{row};{2 * on - 1};{time}" for col, row, time, on in rows],
    }
    return [Seed(name, suffix, "\n".join([*each, ""]).encode(), "text") for (name, suffix), each in lines.items()]
