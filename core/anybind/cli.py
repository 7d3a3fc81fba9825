"""The command line. Core's own commands are in `core_commands`; all others come from plugins."""

from __future__ import annotations

import sys
import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from anybind import core_commands
from anybind.errors import AnybindError, AnybindWarning, nearest
from anybind.registry import Part, registry


class LazyCommand(TyperCommand):
    """A plugin's command: `--help` shows its summary, and its module is imported only when it runs."""

    def __init__(self, part: Part) -> None:
        super().__init__(part.name, help=part.spec.summary)
        self.part = part

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        app = typer.Typer(add_completion=False)
        target = self.part.load()
        if isinstance(target, typer.Typer):
            app = target
        else:
            app.command(self.part.name)(target)
        return typer.main.get_command(app).make_context(info_name, args, parent, **extra)


class Commands(TyperGroup):
    """Core's commands and, by their specs, the plugins'."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted({*super().list_commands(ctx), *(part.name for part in registry().parts("command"))})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        own = super().get_command(ctx, cmd_name)
        if own is not None or cmd_name not in self.list_commands(ctx):
            return own
        return LazyCommand(registry().part("command", cmd_name))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            near = nearest(args[0], self.list_commands(ctx))
            raise AnybindError(f"there is no command {args[0]!r}{near}")
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
core_commands.add_to(app)


@app.callback()
def anybind(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Recordings of any modality - events, pictures, words, ... - in one embedding space."""


def main() -> None:
    """Entry point of the `anybind` command: errors of ours are one line and exit code 2."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments  # taken at any place, also behind the command's own options
    warnings.showwarning = _show_warning
    try:
        for clash in registry().clashes():
            typer.echo(f"warning: {clash}", err=True)
        app([argument for argument in arguments if argument != "--debug"], prog_name="anybind")
    except AnybindError as error:
        if debug:
            raise
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(2) from None


def _show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    if issubclass(category, AnybindWarning):
        typer.echo(f"warning: {message}", err=True)
    else:
        sys.stderr.write(warnings.formatwarning(str(message), category, where[0], where[1]))


if __name__ == "__main__":
    main()
