"""Seeds of formats with events among other data: MATLAB files and robotics logs, as far as their readers exist."""

from __future__ import annotations

import importlib

import numpy as np

from anybind.reader import list_suffixes
from helpers.fuzzing.event_seeds import make_binary_seeds, make_columns
from helpers.fuzzing.seeds import Seed, write_content

MAT_TEXT_BYTES = 116
"""Bytes at the beginning of a MATLAB file for a text, into which SciPy writes the time."""


def make_archive_seeds() -> list[Seed]:
    """Make the seeds whose suffix a reader of events has; none if there are no such readers."""
    suffixes = list_suffixes(["event"])
    return [
        *(_make_mat_seeds() if ".mat" in suffixes else []),
        *(_make_bag_seeds() if ".bag" in suffixes else []),
    ]


def _make_bag_seeds() -> list[Seed]:
    examples = importlib.import_module("anybind_events.ros_examples")
    events = next(seed.content for seed in make_binary_seeds() if seed.name == "evt3").partition(b"% end\n")[2]
    return [
        Seed(suffix[1:], suffix, write_content(suffix, lambda path: examples.write_example(path, events)), structure)
        for suffix, structure in ((".bag", "rosbag"), (".db3", "binary"), (".mcap", "mcap"))
    ]


def _write_mat(arrays: dict[str, object], packed: bool) -> bytes:
    from scipy.io import savemat

    content = write_content(".mat", lambda path: savemat(path, arrays, do_compression=packed))
    return b"MATLAB 5.0 MAT-file".ljust(MAT_TEXT_BYTES, b"\0") + content[MAT_TEXT_BYTES:]


def _make_mat_seeds() -> list[Seed]:
    x, y, t, p = make_columns()
    table = np.stack([x, y, t, p], 1)
    columns = {"x": x[:, None] + 1, "y": y[:, None] + 1, "ts": t[:, None], "pol": p[:, None]}
    layouts = {"columns": columns, "struct": {"TD": {**columns, "p": p[:, None]}}, "table": {"events": table}}
    return [
        Seed(f"mat-{name}-{'packed' if packed else 'plain'}", ".mat", _write_mat(arrays, packed), "mat5")
        for name, arrays in layouts.items()
        for packed in (False, True)
    ]
