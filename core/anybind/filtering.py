"""Filters of recordings as texts: names and options, such as `background-activity:duration_us=2000,hot-pixel`.

Core knows filters by name only: the kind `filter` is declared by the plugin of the recordings that they apply to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from anybind.errors import BadOption
from anybind.registry import create_part

KIND = "filter"
Options = Mapping[str, object]
_ITEM = r'(?:\[[^\]]*\]|"(?:[^"\\]|\\.)*"|[^{separator}\["])+'
_FILTERS, _FIELDS = (re.compile(_ITEM.format(separator=separator)) for separator in ",:")
_OPTION = re.compile(r"[a-z_][a-z0-9_]*=")
_PLAIN = re.compile(r'[^,:"\[\]{}\s=]+')


def parse_filters(text: str) -> list[tuple[str, Options]]:
    """Convert `NAME:OPTION=VALUE:OPTION=VALUE,NAME` to names and options.

    A value is parsed as JSON if it is valid JSON, and is a string otherwise. A comma or colon in a value stands in
    brackets or double quotes; a colon that no option follows, as in `C:/camera.yaml`, needs none.

    Raises:
        BadOption: a text of another form.
    """
    filters: list[tuple[str, Options]] = []
    for item in _FILTERS.findall(text):
        name, *fields = _FIELDS.findall(item.strip())
        options: dict[str, object] = {}
        last = ""
        for field in fields:
            if _OPTION.match(field):
                last, _, value = field.partition("=")
                options[last] = value
            elif last:
                options[last] = f"{options[last]}:{field}"
            else:
                raise BadOption(f"--filter: expected NAME:OPTION=VALUE, got {item.strip()!r}")
        filters.append((name, {option: _parse_value(str(value)) for option, value in options.items()}))
    if text.strip() and (not filters or re.search(r",\s*(,|$)|^\s*,", text)):
        raise BadOption(f"--filter: expected names, such as background-activity,hot-pixel, got {text!r}")
    return filters


def format_filters(filters: Iterable[tuple[str, Options]]) -> str:
    """Convert names and options to a text that `parse_filters` reads."""
    return ",".join(
        ":".join([name, *(f"{option}={_format_value(value)}" for option, value in options.items())])
        for name, options in filters
    )


def resolve_filters(text: str) -> str:
    """Create the filters of a text, and return it with all their settings: what defaults and files say now.

    Raises:
        UnknownName: no such filter is installed.
        BadOption, BadInput: an option, or a file that it names, is invalid.
    """
    created = [(name, create_part(KIND, name, **options)) for name, options in parse_filters(text)]
    return format_filters((name, part.settings) for name, part in created)


def _parse_value(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _format_value(value: object) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and _parse_value(value) == value:
        return value
    return json.dumps(value)
