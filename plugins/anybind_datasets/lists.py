"""Lists of published datasets: JSON beside the modules, CSV and MATLAB files in their folders, shares drawn by hash."""

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
    """The lists of a dataset that this package carries.

    Attributes:
        names: class names by the label of the dataset's files.
        about, about_mini: sources of the lists.
        mini: labels of a published subset of the classes.
        baselines: distances of the two lenses of a camera in metres, by camera.
    """

    names: Mapping[str, str]
    about: str = ""
    about_mini: str = ""
    mini: Sequence[str] = ()
    baselines: Mapping[str, float] = field(default_factory=dict)


def load_lists(name: str) -> DatasetLists:
    """Load the lists of a dataset from `NAME.json` in this package."""
    return tables.parse_table(DatasetLists, tables.read_json(Path(__file__).with_name(f"{name}.json")), name)


def held_out(names: Iterable[str], share: float, seed: int) -> set[str]:
    """A share of some names, drawn by hash: the same on every machine and for every release of NumPy.

    Each name is ranked by the SHA-256 of `seed/name`, and those of the lowest ranks are taken, rounded to the
    nearest number (half up).
    """
    ranked = sorted(names, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    return set(ranked[: int(len(ranked) * share + 0.5)])


def read_table(path: Path, needed: Iterable[str]) -> list[dict[str, str]]:
    """The rows of a CSV file by the names in its first line.

    Args:
        path: the file, UTF-8.
        needed: columns that must be there.

    Raises:
        BadInput: the file cannot be read or is no such table; the message names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            absent = [name for name in needed if name not in (reader.fieldnames or ())]
            if absent:
                raise BadInput(f"{path}: its first line names no column {', '.join(absent)}")
            rows = []
            for row in reader:
                if None in row or None in row.values():
                    raise BadInput(f"{path}, line {reader.line_num}: it has not as many fields as the first line")
                rows.append(row)
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path} is no CSV table in UTF-8: {error}") from error
    if not rows:
        raise BadInput(f"{path} holds no rows")
    return rows


def mat_array(path: Path, name: str) -> np.ndarray:
    """An array of a MATLAB file up to version 7. SciPy reads these as data and runs nothing of them.

    Raises:
        BadInput: the file is missing or damaged, or has no such array.
    """
    from scipy.io import loadmat  # installed with an extra, which only some datasets need

    try:
        arrays = loadmat(path, variable_names=[name])
    except Exception as error:  # SciPy's reader raises whatever comes up in a damaged file
        raise BadInput(f"{path} is no readable MATLAB file: {' '.join(str(error).split())}") from error
    if name not in arrays:
        raise BadInput(f"{path} holds no array {name!r}")
    return arrays[name]
