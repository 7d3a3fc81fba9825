"""Checks of commands."""

from __future__ import annotations

from collections.abc import Callable

import typer
from typer.testing import CliRunner

from anybind.testing.checks import Case, Checks

CHECKS = Checks()


@CHECKS.add("set the target to a function for typer or a `typer.Typer`, whose `--help` works")
def check_help(case: Case[Callable[..., object] | typer.Typer]) -> None:
    app = case.part if isinstance(case.part, typer.Typer) else typer.Typer(add_completion=False)
    if app is not case.part:
        app.command()(case.part)
    ended = CliRunner().invoke(app, ["--help"])
    assert ended.exit_code == 0, f"--help exits with {ended.exit_code}: {ended.exception!r}"
    assert ended.output.strip(), "--help prints nothing"
