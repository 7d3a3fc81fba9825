"""TOML and JSON files: reading them, and parsing their tables into dataclasses.

The validator is our own: pydantic and msgspec would be compiled dependencies, and neither suggests the nearest key.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import reprlib
import tomllib
import types
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from anybind.errors import AnybindError, BadInput, BadOption, suggest_names
from anybind.files import check_input, check_pointer
from anybind.number_checks import check_count as check_count
from anybind.number_checks import check_number as check_number
from anybind.number_checks import check_seed as check_seed

T = TypeVar("T")
LISTS = (".json", ".txt", ".csv", ".lst", ".names")
"""Suffixes of files of names; a text with one of them is a path, even if the file is missing."""
MAX_LEVELS = 64
"""Maximum number of nested levels of a TOML file."""
INTEGERS = "integers of 64 bits"
DEEP_KEY = re.compile(r"""^[ \t]*\[{0,2}[\w"'\- \t]+(?:\.[\w"'\- \t]+){256}""", re.MULTILINE)
"""The beginning of a line with a key of hundreds of levels."""
_NOUNS = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    tuple: "a list",
    Mapping: "a table",
}


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 200


def read_toml(path: Path | Traversable) -> dict[str, Any]:
    """Read a TOML file, with or without a byte order mark.

    Raises:
        BadInput: the file cannot be read, or is not a regular file.
        BadOption: it is not valid TOML; the message has the line where possible.
    """
    try:
        text = _read_text(path)
        if DEEP_KEY.search(text):  # the parser would take minutes for thousands of levels
            raise BadOption(f"{path}: expected at most {MAX_LEVELS} nested levels, got more")
        content = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise BadOption(f"{path}: expected TOML in UTF-8, got {_describe_encoding(error)}; save it as UTF-8") from error
    except RecursionError as error:
        raise BadOption(f"{path}: expected TOML, got values that are nested too deeply") from error
    except tomllib.TOMLDecodeError as error:
        raise BadOption(f"{path} is not valid TOML: {error}") from error
    except ValueError as error:  # Python converts no text of thousands of digits
        raise BadOption(f"{path}: expected {INTEGERS}, got one of more digits") from error
    _check_values(path, content)
    return content


def _read_text(path: Path | Traversable) -> str:
    """Read the text of a file in UTF-8, without its byte order mark; raise `BadInput` for a pipe or a device."""
    if isinstance(path, Path):
        check_input(path, folders=False)
        check_pointer(path)
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror or error}; check the path") from error


def _describe_encoding(error: UnicodeDecodeError) -> str:
    """Return the encoding that the byte order mark of a text names; else the byte that is not UTF-8."""
    head = error.object[:2]
    return (
        "UTF-16"
        if head in (b"\xff\xfe", b"\xfe\xff")
        else f"the byte 0x{error.object[error.start]:02x} at {error.start}"
    )


def _check_values(path: Path | Traversable, content: object) -> None:
    """Raise `BadOption` for what TOML allows and no setting needs: integers beyond 64 bits, hundreds of levels."""
    level = [content]
    for _ in range(MAX_LEVELS):
        level = [each for value in level for each in _list_children(value)]
        if any(isinstance(value, int) and abs(value) >> 63 for value in level):
            raise BadOption(f"{path}: expected {INTEGERS}, got one of more digits")
        if not level:
            return
    raise BadOption(f"{path}: expected at most {MAX_LEVELS} nested levels, got more")


def _list_children(value: object) -> Collection[object]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def read_json(path: Path | Traversable, invalid: type[AnybindError] = BadInput) -> Any:
    """Read a JSON file, with or without a byte order mark.

    Args:
        path: the file.
        invalid: class of the error for invalid JSON; `BadOption` for a configuration file.

    Raises:
        BadInput: the file cannot be read.
    """
    try:
        return json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise invalid(f"{path}: not valid JSON ({error})") from error


def parse_table(cls: type[T], table: object, where: str, error: type[AnybindError] = BadOption, path: str = "") -> T:
    """Parse a table of a TOML or JSON file into a dataclass, and nested tables likewise.

    Args:
        cls: the dataclass. Its fields' types may be `str`, `int`, `float`, `bool`, `None`, `Literal`, dataclasses,
            `tuple[X, ...]` or `Sequence[X]` (a list in the file, a tuple in the dataclass), `Mapping[str, X]`, unions
            of these, and `Any`. An integer is accepted for a `float`.
        table: the table.
        where: name of the table in errors, such as `recipe train.toml`.
        error: class of the errors.
        path: path from the outermost table to this one, such as `data.0`.

    Raises:
        BadOption: a key is unknown (the message suggests the nearest) or missing, or a value is of another type. An
            error of this class that the dataclass itself raises gets the prefix `where`.
    """
    hints = get_type_hints(cls)
    fields = {each.name: each for each in dataclasses.fields(cls) if each.init}  # pyright: ignore[reportArgumentType]
    required = [name for name, each in fields.items() if each.default is each.default_factory is dataclasses.MISSING]
    here = f"{where}: {path}" if path else where
    table = check_keys(here, table, fields, required, error)
    dotted = f"{path}." if path else ""
    values = {name: _convert(hints[name], value, where, f"{dotted}{name}", error) for name, value in table.items()}
    try:
        return cls(**values)
    except error as wrong:
        raise error(f"{here}: {wrong}") from wrong


def _convert(hint: object, value: Any, where: str, path: str, error: type[AnybindError]) -> object:
    for option in _list_options(hint):
        if not _matches(option, value):
            continue
        origin, inner = get_origin(option) or option, get_args(option)
        if dataclasses.is_dataclass(option):
            return parse_table(option, value, where, error, path)  # pyright: ignore[reportArgumentType]
        if origin in (tuple, Sequence):
            return tuple(_convert(inner[0], each, where, f"{path}.{at}", error) for at, each in enumerate(value))
        if origin is Mapping and inner:
            return {key: _convert(inner[1], each, where, f"{path}.{key}", error) for key, each in value.items()}
        return _to_float(value, where, path, error) if origin is float else value
    choices = [
        str(each) for option in _list_options(hint) if get_origin(option) is Literal for each in get_args(option)
    ]
    hint_text = suggest_names(value, choices) if isinstance(value, str) and choices else ""
    raise error(f"{where}: {path}: expected {_describe(hint)}, got {_format_value(value)}{hint_text}")


def _to_float(value: float, where: str, path: str, error: type[AnybindError]) -> float:
    try:
        return float(value)
    except OverflowError:
        raise error(f"{where}: {path}: expected a number below 1e308, got an integer of more digits") from None


def _format_value(value: object) -> str:
    """Return a value as text of limited length, also one that Python cannot convert to text."""
    try:
        return _SHORT.repr(value)
    except (ValueError, RecursionError):
        return f"a value of type {type(value).__name__}"


def _list_options(hint: object) -> Sequence[object]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _matches(option: object, value: object) -> bool:
    """Return whether a value is of the right type, whatever it contains."""
    if option is Any or option is object:
        return True
    if get_origin(option) is Literal:
        return any(type(value) is type(each) and value == each for each in get_args(option))
    kind = _get_type(option)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, {tuple: (list, tuple), float: (int, float)}.get(kind, kind))


def _get_type(option: object) -> Any:
    origin = get_origin(option) or option
    if dataclasses.is_dataclass(option) or origin is dict:
        return Mapping
    return tuple if origin in (list, Sequence) else origin


def _describe(hint: object) -> str:
    nouns: list[str] = []
    for option in _list_options(hint):
        if get_origin(option) is Literal:
            nouns += [repr(each) for each in get_args(option)]
        elif option is not types.NoneType:
            nouns.append(_NOUNS[_get_type(option)])
    return " or ".join(dict.fromkeys(nouns))


def check_keys(
    where: str,
    table: object,
    allowed: Collection[str],
    required: Collection[str] = (),
    error: type[AnybindError] = BadOption,
) -> Mapping[str, object]:
    """Return the table; raise an error for an unknown key (suggesting the nearest) or a missing one."""
    if not isinstance(table, Mapping):
        raise error(f"{where}: expected a table, got {_format_value(table)}")
    for key in table:
        if key not in allowed:
            raise error(f"{where} has an unknown key {key!r}{suggest_names(str(key), allowed)}")
    for key in required:
        if key not in table:
            raise error(f"{where} lacks the key {key!r}")
    return table


SHELL_PIPES = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")
"""Names of pipes that a shell opens and writes, as `<(command)` does; others would be waited for."""


def parse_names(text: str) -> list[str]:
    """Parse names separated by commas, or read them from a file: one per line, a JSON list, or `FILE.json:KEY`.

    Raises:
        BadInput: the file cannot be read, or has no such list.
        BadOption: there are no names.
    """
    file, _, key = text.rpartition(":") if ".json:" in text else (text, "", "")
    path = Path(file)
    looks_like_a_file = path.suffix.lower() in LISTS or "/" in text or (len(text) < 256 and path.is_file())
    if path.suffix.lower() in (".json", ".txt") or ("," not in text and looks_like_a_file):
        names = _read_names(path, key)
    else:
        names = text.split(",")
    names = [name.strip() for name in names if name.strip()]
    if not names:
        raise BadOption(f"{text!r} holds no names; separate them by commas, or give a file with one per line")
    return names


def _read_names(path: Path, key: str) -> Sequence[str]:
    if not os.fspath(path).startswith(SHELL_PIPES):
        check_input(path, folders=False)
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows write a byte order mark
        if path.suffix.lower() != ".json":
            return text.splitlines()
        content = json.loads(text)
        names = content[key] if key else content
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 text: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} holds no list {key!r} of names: {error}") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        lists = (
            [name for name, value in content.items() if isinstance(value, list)] if isinstance(content, dict) else []
        )
        hint = f"; say which list, as {path}:{lists[0]}" if lists else ""
        raise BadInput(f"{path} holds no list of names{hint}")
    return names


def hash_settings(settings: object) -> str:
    """Hash JSON-like settings, 12 hexadecimal digits, independent of the order of keys."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def list_names(names: str | Iterable[str]) -> tuple[str, ...]:
    """Return names as a tuple; a single text is one name."""
    return (names,) if isinstance(names, str) else tuple(names)
