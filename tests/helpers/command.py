"""The command `anybind`, as tests run it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class CommandResult(NamedTuple):
    """How a command ended, and what it said."""

    code: object
    out: str
    err: str

    def error(self) -> str:
        """The one line that a failed command says; fails when there is more, or a traceback."""
        assert self.code == 2, self
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: ")
        assert self.out == ""
        return lines[0]


Command = Callable[..., CommandResult]
"""Runs the command with arguments, as the fixture `cli` gives it."""
