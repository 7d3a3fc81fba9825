"""Results of the command `anybind` in tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class CommandResult(NamedTuple):
    """Exit code and output of a command."""

    code: object
    out: str
    err: str

    def error(self) -> str:
        """Return the error line of a failed command; fail if there are more lines or a traceback."""
        assert self.code == 2, self
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: ")
        assert self.out == ""
        return lines[0]


Command = Callable[..., CommandResult]
"""Runs the command with arguments: the type of the fixture `cli`."""
