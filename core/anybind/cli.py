"""The command line. Core's own commands are in `anybind.commands`; all others come from plugins."""

from __future__ import annotations

import io
import sys
import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from anybind import __version__
from anybind.errors import AnybindError, AnybindWarning, UnknownName, suggest_names
from anybind.hooks import CORE_COMMANDS
from anybind.registry import find_part, list_parts, registry
from anybind.spec import CommandSpec


class LazyCommand(TyperCommand):
    """A command whose summary `--help` shows, and whose module is imported only when it runs."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        name = self.name or ""
        # A name that two plugins claim is still listed; running it tells of the clash.
        target = (CORE_COMMANDS.get(name) or find_part(CommandSpec, name)).load()
        app = target
        if not isinstance(target, typer.Typer):
            app = typer.Typer(add_completion=False)
            app.command(name)(target)
        return typer.main.get_command(app).make_context(info_name, args, parent, **extra)


class Commands(TyperGroup):
    """Core's commands and the plugins', by their specs."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted({*CORE_COMMANDS, *(part.name for part in list_parts(CommandSpec))})

    def get_command(self, ctx: Any, cmd_name: str) -> LazyCommand | None:
        for part in (*CORE_COMMANDS.values(), *list_parts(CommandSpec)):
            if part.name == cmd_name:
                return LazyCommand(cmd_name, help=part.spec.summary)
        return None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        known = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in known:
            raise UnknownName(
                f"there is no command {args[0]!r}{suggest_names(args[0], known)}{registry().not_loaded()}"
            )
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"anybind {__version__}")
        raise typer.Exit


@app.callback()
def anybind(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Recordings of any modality - events, pictures, words, ... - in one embedding space."""


def main() -> None:
    """Entry point of the `anybind` command: what goes wrong is one line, and the exit code 2.

    A fault of ours or of a plugin's, unlike one in what was given, ends with 1.
    """
    arguments = sys.argv[1:]
    debug = "--debug" in arguments  # taken at any place, also behind the command's own options
    warnings.showwarning = _show_warning
    for stream in (sys.stdout, sys.stderr):  # names of files may hold what the terminal cannot show
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        for clash in registry().clashes():
            typer.echo(f"warning: {clash}", err=True)
        app([argument for argument in arguments if argument != "--debug"], prog_name="anybind")
    except Exception as error:
        if debug:
            raise
        expected = isinstance(error, AnybindError | AnybindWarning | OSError)
        told = str(error) if expected else f"internal: {type(error).__name__}: {error}; --debug shows where"
        typer.echo("error: " + " ".join(told.split()), err=True)
        raise SystemExit(2 if expected else 1) from None


def _show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    if issubclass(category, AnybindWarning):
        typer.echo(f"warning: {message}", err=True)
    else:
        sys.stderr.write(warnings.formatwarning(str(message), category, where[0], where[1]))


if __name__ == "__main__":
    main()
