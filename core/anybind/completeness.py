"""`PartHeld`: how much of a published data set a folder holds, and what it lacks."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class PartHeld:
    """One part of a data set, as a folder holds it.

    Attributes:
        name: of the part, such as `train`; `all` where there is one part only.
        found: how many samples are there.
        published: how many there should be; None where that is not known.
        classes: how many samples are there, by class.
        missing: what was found to be missing, a line each.
        empty: ids of samples whose file, or a partner's, holds no byte.
    """

    name: str
    found: int
    published: int | None
    classes: Mapping[str, int]
    missing: tuple[str, ...]
    empty: tuple[str, ...]

    @property
    def absent(self) -> int:
        """How many samples fewer there are than were published."""
        return max(0, (self.published or 0) - self.found)

    @property
    def bare(self) -> tuple[str, ...]:
        """The classes of which nothing is there."""
        return tuple(label for label, count in self.classes.items() if not count)

    @property
    def complete(self) -> bool:
        """Whether nothing is missing; more than was published is no fault."""
        return bool(self.found) and not (self.missing or self.empty or self.absent or self.bare)


def empty_files(items: Iterable[Any]) -> tuple[str, ...]:
    """Ids of the items whose source is a file without a byte; items are `Item`s."""
    empty = (item.id for item in items if isinstance(item.source, Path) and _is_empty(item.source))
    return tuple(dict.fromkeys(empty))


def _is_empty(path: Path) -> bool:
    try:
        about = path.stat()
    except OSError:  # it went away, or may not be looked at: the reader will tell
        return False
    return stat.S_ISREG(about.st_mode) and about.st_size == 0
