"""The command line: core's commands are in `anybind.commands`, all others come from plugins."""

from __future__ import annotations

import contextlib
import io
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from anybind import __version__
from anybind.commandline import print_text
from anybind.errors import AnybindError, AnybindWarning, UnknownName, suggest_names
from anybind.escaping import escape_text
from anybind.files import check_input, check_output
from anybind.hooks import CORE_COMMANDS
from anybind.locks import lock_output
from anybind.part import Part
from anybind.registry import find_part, list_parts, registry
from anybind.spec import CommandSpec

USAGE_ERROR: Any = typer.BadParameter.__mro__[2]
"""`ClickException`, of the click that typer uses: its own copy in newer versions."""
INTERRUPTED = 130
"""Exit code after Ctrl-C, as in shells."""


class LazyCommand(TyperCommand):
    """A command whose module is imported when it runs; `--help` of the group shows its spec's summary."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: object) -> Any:
        name = self.name or ""
        # A name that two plugins claim is still listed; running it reports the clash.
        target = _find_command(name).load()
        app = target
        if not isinstance(target, typer.Typer):
            app = typer.Typer(add_completion=False, rich_markup_mode=None)
            app.command(name)(target)
        context = typer.main.get_command(app).make_context(info_name, args, parent, **extra)
        _check_inputs(context)
        _claim_output(context)
        return context


def _check_inputs(context: Any) -> None:
    """Raise `BadInput` if an input does not exist, before the command imports or loads anything, unless it skips it.

    Every positional argument of type `Path`, except one named `output`, is the path of an input.
    """
    parameters = context.command.params
    if any("--skip-invalid" in each.opts and context.params[each.name] for each in parameters):
        return
    for argument in parameters:
        if isinstance(argument, TyperArgument) and argument.name != "output":
            values = context.params[argument.name]
            for value in values if isinstance(values, list | tuple) else [values]:
                if (path := _get_path(argument, value)) is not None:
                    check_input(path)


def _claim_output(context: Any) -> None:
    """Lock the output file of a command, its parameter `output` of type `Path`, until the command ends.

    Raises:
        BadInput: another process is writing the file, or it cannot be written.
    """
    for parameter in context.command.params:
        path = _get_path(parameter, context.params[parameter.name]) if parameter.name == "output" else None
        if path is not None and path.suffix and not path.is_dir():
            check_output(path)
            context.with_resource(lock_output(path))


def _get_path(parameter: object, value: object) -> Path | None:
    """Return the value of a parameter of type `Path`; None for others. Older versions of typer keep paths as texts."""
    if isinstance(value, str) and getattr(getattr(parameter, "type", None), "name", "") == "path":
        return Path(value)
    return value if isinstance(value, Path) else None


@contextlib.contextmanager
def _escape_usage_errors() -> Iterator[None]:
    """Escape the messages of click, which repeat arguments as they were given."""
    try:
        yield
    except USAGE_ERROR as error:
        error.message = escape_text(error.message, keep="\n")
        raise


@contextlib.contextmanager
def _explain_missing_extra(ctx: Any) -> Iterator[None]:
    """Raise `MissingExtra` for a package that a command imports while it runs and that its extra has."""
    try:
        yield
    except ModuleNotFoundError:
        with _find_command(ctx.invoked_subcommand).explain_missing_extra():
            raise


def _find_command(name: str) -> Part[CommandSpec]:
    return CORE_COMMANDS.get(name) or find_part(CommandSpec, name)


class CommandList(TyperGroup):
    """Core's commands and those of plugins, by their specs."""

    def list_commands(self, ctx: object) -> list[str]:
        return sorted({*CORE_COMMANDS, *(part.name for part in list_parts(CommandSpec))})

    def get_command(self, ctx: object, cmd_name: str) -> LazyCommand | None:
        for part in (*CORE_COMMANDS.values(), *list_parts(CommandSpec)):
            if part.name == cmd_name:
                summary = escape_text(part.spec.summary)
                return LazyCommand(cmd_name, help=summary, short_help=summary)
        return None

    def invoke(self, ctx: Any) -> object:
        with _escape_usage_errors(), _explain_missing_extra(ctx):
            return super().invoke(ctx)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: object) -> Any:
        with _escape_usage_errors():
            return super().make_context(info_name, args, parent, **extra)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        names = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in names:
            hint = suggest_names(args[0], names) + registry().describe_not_loaded()
            raise UnknownName(f"there is no command {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)


# Plain help: rich would cut long option names and drop `[default: ...]` from help texts as markup.
app = typer.Typer(
    cls=CommandList,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(enabled: bool) -> None:
    if enabled:
        print_text(f"anybind {__version__}")
        raise typer.Exit


@app.callback()
def anybind(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Embed images, text, event streams, audio, depth maps and video into one embedding space."""


def main() -> None:
    """Run the `anybind` command; an error is printed as one line.

    The exit code is 2 for an error in the arguments or the input, 1 for an error in anybind or a plugin, and 130 after
    Ctrl-C.
    """
    arguments = sys.argv[1:]
    debug = "--debug" in arguments  # allowed anywhere, also among the options of a command
    warnings.showwarning = _show_warning
    for stream in (sys.stdout, sys.stderr):  # file names may hold characters that the terminal cannot show
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        for clash in registry().list_clashes():
            print_text(f"warning: {clash}", err=True)
        app([argument for argument in arguments if argument != "--debug"], prog_name="anybind")
    except Exception as error:
        if debug:
            sys.excepthook = _show_traceback  # here, since typer sets its own when the app starts
            raise
        if _was_interrupted(error):
            raise SystemExit(INTERRUPTED) from None
        expected = isinstance(error, AnybindError | AnybindWarning | OSError)
        message = str(error) if expected else f"internal: {type(error).__name__}: {error}; --debug shows where"
        print_text(f"error: {' '.join(message.split())}", err=True)
        raise SystemExit(2 if expected else 1) from None


def _was_interrupted(error: BaseException | None) -> bool:
    """Return whether Ctrl-C caused an error: compiled code that it interrupts raises a `SystemError` from it."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:  # an error raised anew from a later one closes a circle
        chain.append(error)
        error = error.__cause__ or error.__context__
    return any(isinstance(each, KeyboardInterrupt) for each in chain)


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object, **options: object
) -> None:
    if issubclass(category, AnybindWarning):
        print_text(f"warning: {' '.join(str(message).split())}", err=True)
    else:
        text = warnings.formatwarning(str(message), category, filename, lineno)
        sys.stderr.write(escape_text(text, keep="\n"))


def _show_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(escape_text("".join(traceback.format_exception(kind, error, trace)), keep="\n"))


if __name__ == "__main__":
    main()
