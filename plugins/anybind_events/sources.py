"""The choice among several sources of events in one file, such as two cameras: they are never merged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from anybind.plugin import BadInput, BadOption, errors

MAX_LISTED_SOURCES, MAX_SOURCES = 20, 1000
SCANNED_EVENTS = 1 << 18
"""Events per batch in the pass that finds the sources."""
SOURCE_NAMES = frozenset(
    (
        *("camera", "camera_id", "cam", "cam_id", "source", "source_id", "sensor", "sensor_id"),
        *("device", "device_id", "topic"),
    )
)
"""Names of columns that tell the source of each event, in lower case."""


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


def find_source_column(names: Iterable[str]) -> str | None:
    """Return the name of the column that tells the source of each event; None if there is none."""
    return next((name for name in names if name.lower() in SOURCE_NAMES), None)


def select_rows(
    batches: Callable[[int], Iterator[Sequence[np.ndarray]]],
    path: Path,
    source: str | int | None,
    *,
    has_sources: bool,
    is_chosen: bool = False,
) -> Callable[[int], Iterator[Sequence[np.ndarray]]]:
    """Return batches of four columns, the rows of one source; the fifth column of the given ones has the sources.

    Args:
        batches: function of the number of events per batch.
        path, source: see `choose_source`.
        has_sources: the batches have the fifth column; without it, they are returned unchanged.
        is_chosen: without the fifth column, `source` has chosen something else of the file.

    Raises:
        BadInput: as `choose_source`.
        BadOption: as `choose_source`, or there is no column of sources to choose from.
    """
    if not has_sources:
        if source is not None and not is_chosen:
            raise BadOption(f"{path}: no column of sources, such as camera, to choose source={source!r} from")
        return batches
    names: set[str] = set()
    for *_, values in batches(SCANNED_EVENTS):
        names.update(map(_to_name, np.unique(values)))
        if len(names) > MAX_SOURCES:
            raise BadInput(f"{path}: more than {MAX_SOURCES} sources of events; rename the column of the sources")
    chosen = choose_source(path, sorted(names), source) if names else ""

    def select(count: int) -> Iterator[list[np.ndarray]]:
        for *columns, values in batches(count):
            rows = _match(values, chosen)
            yield [column[rows] for column in columns]

    return select


def select_source(values: np.ndarray, path: Path | str, source: str | int | None) -> np.ndarray:
    """Return which events are of one source, (n,) bool; see `choose_source`.

    Args:
        values: (n,) the source of each event.
        path: the file, or what to call it in errors.
        source: see `choose_source`.
    """
    names = sorted(map(_to_name, np.unique(values)))
    return _match(values, choose_source(Path(path), names, source) if names else "")


def _match(values: np.ndarray, chosen: str) -> np.ndarray:
    unique, places = np.unique(values, return_inverse=True)
    return np.array([_to_name(value) == chosen for value in unique], bool)[places]


def _to_name(value: object) -> str:
    """Return the name of a source in a table: a text, or a number."""
    if isinstance(value, bytes):
        return value.decode(errors="replace").strip("/")
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip("/")
