"""One progress bar for every long loop: drawn on a terminal, silent in a pipe."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from anybind.escaping import escape_text

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def progress_bar(total: int, description: str) -> Iterator[Callable[..., None]]:
    """Show a progress bar on stderr with rate and remaining time, if stderr is a terminal.

    Yields:
        a function to call with the number of steps since its last call and, optionally, with a note that the bar
        shows from then on: `advance(1, "loss 0.7")`.
    """
    if total <= 1 or not sys.stderr.isatty():
        yield lambda steps, note=None: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=_console(), transient=True) as bar:
        task = bar.add_task(escape_text(description), total=total, note="")

        def advance(steps: int, note: str | None = None) -> None:
            if note is not None:
                bar.update(task, note=escape_text(note))
            bar.update(task, advance=steps)

        yield advance


@functools.cache
def _console() -> Console:
    """Return the console of all bars: nested bars are then drawn below each other."""
    from rich.console import Console

    return Console(stderr=True)
