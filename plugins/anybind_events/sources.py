"""The choice among several sources of events in one file, such as two cameras: they are never merged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from anybind.plugin import BadInput, BadOption, errors

MAX_LISTED_SOURCES = 20


def choose_source(
    path: Path, sources: Iterable[str] | Mapping[str, str], source: str | int | None, events: str = "events"
) -> str:
    """Return the name of the only source of a file, or of the one that the option `source` names.

    Args:
        path: the file.
        sources: names of the sources; as a mapping, with a description of each, which may be empty.
        source: value of the option, as a name or number; None if it is not given.
        events: what the sources hold, for the messages.

    Raises:
        BadInput: there are several sources and none is chosen, or there is none; the message lists them.
        BadOption: no source has that name.
    """
    details = dict(sources) if isinstance(sources, Mapping) else dict.fromkeys(sources, "")
    listed = [f"{name or '/'!r}{f' ({details[name]})' if details[name] else ''}" for name in details]
    more = ", ..." if len(listed) > MAX_LISTED_SOURCES else ""
    text = ", ".join(listed[:MAX_LISTED_SOURCES]) + more
    if not details:
        raise BadInput(f"{path}: no {events} in the file")
    if source is not None:
        name = str(source).strip("/")
        if name in details:
            return name
        raise BadOption(f"{path}: no {events} of the source {source!r}{errors.suggest_names(name, details)}")
    if len(details) > 1:
        raise BadInput(f"{path}: {events} of {len(details)} sources; choose one with source=: {text}")
    return next(iter(details))
