"""Reading TOML files of ours, with errors that name the file and the nearest key."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from anybind.errors import BadInput, BadOption, nearest


def read_toml(path: Path | Traversable) -> dict[str, Any]:
    """The contents of a TOML file; raises `BadInput` or `BadOption`, naming file and line."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadOption(f"{path} is no valid TOML: {error}") from error


def check_keys(where: str, table: Any, allowed: Collection[str], required: Collection[str] = ()) -> None:
    """Raise `BadOption` for a key that is not allowed (offering the nearest) or one that is missing."""
    if not isinstance(table, Mapping):
        raise BadOption(f"{where} must be a table, not {type(table).__name__}")
    for key in table:
        if key not in allowed:
            raise BadOption(f"{where} has an unknown key {key!r}{nearest(key, allowed)}")
    for key in required:
        if key not in table:
            raise BadOption(f"{where} lacks the key {key!r}")
