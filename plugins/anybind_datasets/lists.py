"""Lists of published datasets: packaged JSON files, CSV and MATLAB files, subsets drawn by hash."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from anybind.plugin import BadInput, tables


@dataclass(frozen=True)
class DatasetLists:
    """The packaged lists of a dataset.

    Attributes:
        names: class names by published label.
        about, about_mini, about_unseen: sources of the lists.
        mini: labels of a published subset of the classes.
        unseen: labels of the classes that are not trained on.
        baselines: stereo baselines in metres, by camera.
    """

    names: Mapping[str, str]
    about: str = ""
    about_mini: str = ""
    mini: Sequence[str] = ()
    about_unseen: str = ""
    unseen: Sequence[str] = ()
    baselines: Mapping[str, float] = field(default_factory=dict)


def load_lists(name: str) -> DatasetLists:
    """Load the lists of a dataset from `NAME.json` in this package."""
    return tables.parse_table(DatasetLists, tables.read_json(Path(__file__).with_name(f"{name}.json")), name)


def draw_subset(names: Iterable[str], fraction: float, seed: int) -> set[str]:
    """Draw a fraction of names by hash, independent of machine and NumPy version.

    Names are ranked by the SHA-256 of `seed/name`; the lowest ranks are drawn, their number rounded half up.
    """
    ranked = sorted(names, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    return set(ranked[: int(len(ranked) * fraction + 0.5)])


def read_table(path: Path, required: Iterable[str]) -> list[dict[str, str]]:
    """Read the rows of a CSV file with a header line.

    Args:
        path: CSV file, UTF-8.
        required: required columns.

    Raises:
        BadInput: the file cannot be read or is not such a table; the message names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [name for name in required if name not in (reader.fieldnames or ())]
            if missing:
                raise BadInput(f"{path}: missing columns in the first line: {', '.join(missing)}")
            rows = []
            for row in reader:
                if None in row or None in row.values():
                    raise BadInput(f"{path}, line {reader.line_num}: expected as many fields as in the first line")
                rows.append(row)
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: not a CSV table in UTF-8: {error}") from error
    if not rows:
        raise BadInput(f"{path}: no rows")
    return rows


def read_mat_array(path: Path, name: str) -> np.ndarray:
    """Read an array of a MATLAB file up to version 7; SciPy reads data only and executes nothing.

    Raises:
        BadInput: the file is missing or damaged, or has no such array.
    """
    from scipy.io import loadmat  # an extra required by some datasets only

    try:
        arrays = loadmat(path, variable_names=[name])
    except Exception as error:  # SciPy raises various types for damaged files
        raise BadInput(f"{path}: not a readable MATLAB file: {' '.join(str(error).split())}") from error
    if name not in arrays:
        raise BadInput(f"{path}: no array {name!r}")
    return arrays[name]
