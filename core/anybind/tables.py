"""Reading TOML files of ours and lists of names, with errors that name the file and the nearest key."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Collection, Mapping, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from anybind.errors import BadInput, BadOption, nearest

LISTS = (".json", ".txt", ".csv", ".lst", ".names")
"""Endings of files of names; a text that ends so is one, even where the file is missing."""


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


def read_names(text: str) -> list[str]:
    """Names separated by commas, or from a file: one a line, a JSON list, or `FILE.json:KEY` for a list inside.

    Raises:
        BadInput: the file cannot be read, or holds no such list.
        BadOption: no names are given.
    """
    file, _, key = text.rpartition(":") if ".json:" in text else (text, "", "")
    path = Path(file)
    looks_like_a_file = path.suffix.lower() in LISTS or "/" in text or (len(text) < 256 and path.is_file())
    if path.suffix.lower() in (".json", ".txt") or ("," not in text and looks_like_a_file):
        names = _names_in_file(path, key)
    else:
        names = text.split(",")
    names = [name.strip() for name in names if name.strip()]
    if not names:
        raise BadOption(f"{text!r} holds no names; separate them by commas, or give a file with one a line")
    return names


def _names_in_file(path: Path, key: str) -> Sequence[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows put a mark in front
        if path.suffix.lower() != ".json":
            return text.splitlines()
        held = json.loads(text)
        names = held[key] if key else held
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is no UTF-8 text: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} holds no list {key!r} of names: {error}") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        lists = [name for name, value in held.items() if isinstance(value, list)] if isinstance(held, dict) else []
        hint = f"; say which list, as {path}:{lists[0]}" if lists else ""
        raise BadInput(f"{path} holds no list of names{hint}")
    return names


def settings_hash(settings: Any) -> str:
    """Hash of JSON-like settings, 12 hexadecimal digits, independent of the order of keys."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
