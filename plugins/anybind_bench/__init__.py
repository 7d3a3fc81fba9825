"""Bundled plugin: suites of questions - the paper's tables among them - and the command that runs and reports them."""

from __future__ import annotations

from anybind import Register, Spec, hookimpl


@hookimpl
def register_commands(register: Register) -> None:
    """What a user types."""
    register(
        Spec(
            name="bench",
            summary="Run suites of questions, go on where a run stopped, and report the answers beside published ones.",
            target="anybind_bench.command:app",
        )
    )
