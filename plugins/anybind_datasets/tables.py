"""CSV tables that come with data sets."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from anybind.plugin import BadInput


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
