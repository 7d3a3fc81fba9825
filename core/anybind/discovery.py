"""Find plugins in the metadata of installed distributions, and contain what their import does.

Nothing that a distribution contains is trusted: metadata that cannot be read, output, an exit or an interrupt of one
plugin is reported beside that plugin, and stops no other.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions
from typing import TextIO, cast

from anybind.errors import PluginError

_IMPORTS = threading.RLock()
"""Held while output and `os._exit` are replaced: two threads would restore each other's."""
GROUP = "anybind"
"""The entry point group of plugins."""


@dataclass(frozen=True)
class UnreadableDistribution:
    """A distribution whose metadata cannot be read: its path, and why."""

    path: str
    problem: str


def find_entry_points() -> tuple[list[EntryPoint], list[UnreadableDistribution]]:
    """Find the entry points of plugins, and the distributions that cannot be searched for them.

    Of several distributions of one name that have plugins, the first on `sys.path` counts. Unlike in
    `importlib.metadata.entry_points`, one with invalid metadata does not end the search.
    """
    points: dict[str, list[EntryPoint]] = {}
    unreadable: list[UnreadableDistribution] = []
    for distribution in distributions():
        try:
            text = distribution.read_text("entry_points.txt") or ""
            if f"[{GROUP}]" not in text:
                _check_lines(text)
                continue
            name = distribution.metadata["Name"]
            if not name:
                raise PluginError("its METADATA has no name")
            points.setdefault(name, list(distribution.entry_points.select(group=GROUP)))
        except Exception as error:  # whatever is wrong with it
            unreadable.append(UnreadableDistribution(_find_path(distribution), describe_exception(error)))
    return [point for group in points.values() for point in group], unreadable


def _check_lines(text: str) -> None:
    """Raise `PluginError` for a line that is not an entry point, a section, a comment or blank."""
    for line in text.splitlines():
        line = line.strip()
        if line and "=" not in line and not line.startswith(("#", "[", ";")):
            raise PluginError(f"entry_points.txt: expected NAME = MODULE:ATTRIBUTE, got {line!r}")


def _find_path(distribution: Distribution) -> str:
    """Return the path of the metadata; for distributions of other finders, that of the folder around it."""
    try:
        return str(getattr(distribution, "_path", None) or distribution.locate_file(""))
    except Exception:  # it is only for a message, and a finder may raise anything
        return "unknown path"


def describe_exception(error: BaseException) -> str:
    """Return an exception's type and message as one line, even if its message cannot be made."""
    try:
        message = " ".join(str(error).split())
    except BaseException as failure:
        message = f"its message cannot be shown ({type(failure).__name__})"
    return f"{type(error).__name__}: {message}"


@contextlib.contextmanager
def contain_import() -> Iterator[None]:
    """Run a plugin's code: what it prints goes to stderr, and it can neither end nor interrupt the program.

    Raises:
        PluginError: the code called `os._exit`, or raised an error that is not an `Exception`, such as `SystemExit`.
        KeyboardInterrupt: the user pressed Ctrl-C.
    """
    with _IMPORTS:
        yield from _contain()


class _ThreadOutput:
    """A stream that is stderr for one thread, and another stream for all others."""

    def __init__(self, thread: int, others: TextIO) -> None:
        self._thread, self._others = thread, others

    def __getattr__(self, name: str) -> object:
        return getattr(sys.stderr if threading.get_ident() == self._thread else self._others, name)


def _contain() -> Iterator[None]:
    interrupted = threading.Event()

    def interrupt(*_: object) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    process, thread, leave = os.getpid(), threading.get_ident(), os._exit

    def refuse_exit(status: int) -> None:
        # A child that the code forked ends as it should, and another thread may have to end the process meanwhile.
        if (os.getpid(), threading.get_ident()) != (process, thread):
            leave(status)
        raise PluginError(f"it called os._exit({status})")

    # Only the main thread can set handlers, and a handler of the program's own stays.
    on_interrupt = threading.current_thread() is threading.main_thread() and (
        signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if on_interrupt:
        signal.signal(signal.SIGINT, interrupt)
    os._exit = refuse_exit
    try:
        with contextlib.redirect_stdout(cast("TextIO", _ThreadOutput(thread, sys.stdout))):
            yield
    except (Exception, GeneratorExit):
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and (interrupted.is_set() or not on_interrupt):
            raise
        raise PluginError(f"it raised {describe_exception(error)}") from error
    finally:
        os._exit = leave
        if on_interrupt:
            signal.signal(signal.SIGINT, signal.default_int_handler)
