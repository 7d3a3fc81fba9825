"""Helpers of commands: common options, JSON and table output, the list of skipped files.

Public: a plugin's command module may import these names.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from anybind.errors import AnybindError, BadOption, UnknownName, suggest_names
from anybind.escaping import escape_json, escape_text
from anybind.part import refuse_arguments

if TYPE_CHECKING:
    from rich.table import Table

    from anybind.store import EmbeddingStore
    from anybind.windowing import WindowOptions

BindingName = Annotated[str, typer.Option("--binding", help="Binding: a name of `anybind bindings`, or a TOML file.")]
Device = Annotated[
    str, typer.Option(help="Torch device: cpu, cuda, cuda:1, mps; or several that take a batch each: cuda:0,cuda:1.")
]
Precision = Annotated[
    str, typer.Option(help="Precision of encoders on torch: fp32, bf16 or fp16; lower ones change embeddings.")
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Number of files decoded at a time. [default: one a processor, at most 4]")
]
Processes = Annotated[
    bool, typer.Option("--processes", help="Decode in processes, not threads: each loads the encoder, for many files.")
]
Backend = Annotated[
    str,
    typer.Option(
        help="How encoders run: onnx, openvino, torch or auto (onnx on the CPU if an encoder has a graph, else torch)."
    ),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Number of samples encoded at once.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
SkipInvalid = Annotated[bool, typer.Option("--skip-invalid", help="Skip files that cannot be read, and list them.")]
StoreFlag = Annotated[bool, typer.Option("--store/--no-store", help="Reuse and store embeddings: see `anybind store`.")]
Seed = Annotated[int, typer.Option(min=0, help="Random seed, recorded in the result.")]
Prompts = Annotated[
    list[str] | None,
    typer.Option(
        "--prompt",
        help="Prompt template with {} in the place of the class name and, optionally, {definition} in that of"
        " WordNet's definitions of it; repeatable.",
    ),
]
Classes = Annotated[str | None, typer.Option(help="Keep only these classes: a,b or a file with one name a line.")]

ReaderOptions = Annotated[
    list[str] | None, typer.Option("--reader-option", help="NAME=VALUE for the reader; repeatable.")
]
DatasetOptions = Annotated[
    list[str] | None, typer.Option("--dataset-option", help="NAME=VALUE for the dataset; repeatable.")
]

Start = Annotated[
    str,
    typer.Option(
        help="Use only what is from this time after the first event on: 1.5s, 200ms. [default: the beginning]"
    ),
]
End = Annotated[str, typer.Option(help="Use only what is before this time; see --start. [default: the end]")]
Window = Annotated[
    str,
    typer.Option(
        help="Divide recordings into windows: 100ms, 5000ev (events), auto (length by content) or whole (one window)."
        " [default: auto for events of more than 0.6 s and sounds of more than 10 s, whole for others]"
    ),
]
Stride = Annotated[str, typer.Option(help="From the start of a window to the next: 50ms, 2500ev. [default: --window]")]
Region = Annotated[
    str, typer.Option("--roi", help="Use only events of this region: x,y,width,height in pixels. [default: all]")
]
Filters = Annotated[
    str,
    typer.Option(
        "--filter",
        help="Filter events, from the first one on: NAME:OPTION=VALUE,NAME, such as background-activity,hot-pixel;"
        " `anybind plugins` lists the filters. [default: none]",
    ),
]


def open_store(flag: bool) -> EmbeddingStore | None:
    """Open the user's embedding store, in `$ANYBIND_STORE` if set; return None without `--store`."""
    if not flag:
        return None
    from anybind.store import EmbeddingStore  # heavy, and not needed to list commands

    return EmbeddingStore()


def check_unit(name: str, value: str) -> None:
    """Raise `BadOption` for a duration other than 0 without a unit, which could mean microseconds or milliseconds."""
    try:
        number = float(value)
    except ValueError:
        return
    if number:
        raise BadOption(f"--{name}: expected a unit, such as {value}ms or {value}us, got {value!r}")


def parse_windows(
    start: str, end: str, window: str = "", stride: str = "", roi: str = "", filters: str = ""
) -> WindowOptions:
    """Make window options of the values of `--start`, `--end`, `--window`, `--stride`, `--roi` and `--filter`.

    Raises:
        BadOption: a value that is not of the form in the help texts, or a duration without a unit.
        UnknownName, BadInput: no such filter is installed, or a file that it needs is invalid.
    """
    from anybind.windowing import SECONDS, WindowOptions, parse_duration, parse_roi

    for name, value in (("start", start), ("end", end), ("window", window), ("stride", stride)):
        check_unit(name, value)
    options = WindowOptions(start or None, end or None, window, stride, parse_roi(roi), filters)
    for name, value in (("start", options.start), ("end", options.end)):
        if value is not None:
            parse_duration(value, SECONDS, name)
    options.resolve_lengths(SECONDS)
    return options.resolve_filters()


class CommandGroup(TyperGroup):
    """A group of commands that suggests names for an unknown one; `sub_app` makes one.

    Where the callback has an option `--filter`, its pattern may stand in the place of a command.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        filters = any("--filter" in param.opts for param in self.params)
        words = [number for number, arg in enumerate(args) if not arg.startswith("-")]
        if filters and words and words[0] == 0 and args[0] not in self.list_commands(ctx):
            args = ["--filter", *args]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command whose summary `--help` of the group shows whole."""
        if (command := super().get_command(ctx, cmd_name)) and command.help:
            command.short_help = command.short_help or command.help.partition("\n")[0]
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command of that name; raise `UnknownName` with the nearest names if there is none."""
        names = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in names:
            raise UnknownName(f"`{ctx.command_path}` has no command {args[0]!r}{suggest_names(args[0], names)}")
        return super().resolve_command(ctx, args)


def require_matches(matches: Sequence[object], pattern: str, names: Iterable[str], what: str) -> None:
    """Raise `UnknownName` with the nearest names if nothing matches a pattern; `what` is the noun in the message."""
    if not matches and pattern != "*":
        raise UnknownName(f"no {what} matches {pattern!r}{suggest_names(pattern, names)}")


def sub_app() -> typer.Typer:
    """Create an app for a command that has subcommands and also runs without one.

    Its callback takes `ctx: typer.Context` and returns at once if `ctx.invoked_subcommand` is set.
    """
    return typer.Typer(cls=CommandGroup, invoke_without_command=True, add_completion=False, rich_markup_mode=None)


def print_text(text: str, err: bool = False) -> None:
    r"""Print one line; control and bidirectional characters, line breaks among them, become escapes such as `\x1b`.

    Args:
        text: the line, which may contain file names, labels and other data.
        err: print to stderr.
    """
    typer.echo(escape_text(text), err=err)


def print_json(fields: Mapping[str, object]) -> None:
    r"""Print one JSON object on a line of its own; control and bidirectional characters are written as `\uXXXX`."""
    separator = "{"
    for name, value in fields.items():  # one at a time: the scores of a long video are large as text
        text = json.dumps(value, ensure_ascii=False, default=_to_json)
        typer.echo(escape_json(f"{separator}{json.dumps(str(name), ensure_ascii=False)}: {text}"), nl=False)
        separator = ", "
    typer.echo("}" if fields else "{}")


def _to_json(value: Any) -> object:
    """Convert a dataclass to its fields, bytes to hexadecimal digits, and NumPy numbers and arrays to plain ones."""
    if isinstance(value, bytes):
        return value.hex()
    return vars(value) if is_dataclass(value) else value.tolist()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> None:
    """Print a table that fits the terminal; cells are plain text, escaped like `print_text`. Numbers align right.

    Cells wrap between words; words are split only where the longest ones of all columns do not fit side by side. In a
    pipe or a file each row is one line, unless the variable `COLUMNS` gives a width.
    """
    from rich.console import Console

    console = Console(width=get_table_width())
    console.print(_build_table(columns, rows, title, console.width))


def get_table_width() -> int:
    """Return the width of a table in characters: of the terminal or the variable `COLUMNS`, else 10,000."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() or os.environ.get("COLUMNS") else _PIPE_WIDTH


class LiveTable:
    """A table on the terminal that is drawn again and again in the same place, inside a `with` block."""

    def __enter__(self) -> LiveTable:
        from rich.live import Live

        self._live = Live(auto_refresh=False)
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def draw(self, columns: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> None:
        """Draw the table, as `print_table` does, in the place of the one before."""
        self._live.update(_build_table(columns, rows, title, self._live.console.width), refresh=True)


def _build_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str, total_width: int) -> Table:
    """Build a table of `rich` that fits a width in characters."""
    from rich.table import Table
    from rich.text import Text

    columns = [escape_text(column) for column in columns]
    rows = [tuple(map(escape_text, row)) for row in rows]
    table = Table(title=Text(escape_text(title), style="table.title") if title else None, title_justify="left")
    widths = _fit_widths(list(zip(columns, *rows, strict=True)), total_width - 3 * len(columns) - 1)
    for position, (column, width) in enumerate(zip(columns, widths, strict=True)):
        numeric = bool(rows) and all(row[position].strip("+-% ").replace(".", "", 1).isdigit() for row in rows)
        table.add_column(Text(column), justify="right" if numeric else "left", overflow="fold", width=width)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


SHORT_CELL, MIN_TEXT_WIDTH = 20, 12
"""Widths in characters: cells up to the first are not wrapped, if possible; the last column shrinks to the second."""
_PIPE_WIDTH = 10_000
"""Width of tables in a pipe or a file, in characters."""


def _fit_widths(columns: Sequence[Sequence[str]], available: int) -> list[int]:
    """Distribute a table's width in characters over its columns: whole words first, then rows of few lines."""
    from rich.cells import cell_len

    lines = [max(cell_len(line) for cell in column for line in cell.splitlines() or [""]) for column in columns]
    words = [max(cell_len(word) for cell in column for word in cell.split() or [""]) for column in columns]
    widths = [line if line <= SHORT_CELL else word for word, line in zip(words, lines, strict=True)]
    while sum(widths) < available and widths != lines:
        widths[max(range(len(widths)), key=lambda position: lines[position] / max(1, widths[position]))] += 1
    while sum(widths) > max(available, len(widths)):  # long cells of the last column are text, those of others names
        text = lines[-1] > SHORT_CELL and widths[-1] > MIN_TEXT_WIDTH
        widths[-1 if text else widths.index(max(widths))] -= 1
    return widths


def split_common_folder(paths: Sequence[str]) -> tuple[str, list[str]]:
    """Return the folder that contains all of some paths, and each path below it; an empty folder if there is none."""
    folders = [os.path.dirname(path) for path in paths]  # noqa: PTH120 (strings stay as they are given)
    if not paths or not all(folders) or len({os.path.isabs(folder) for folder in folders}) > 1:  # noqa: PTH117
        return "", list(paths)
    folder = os.path.commonpath(folders)
    return folder, [os.path.relpath(path, folder) for path in paths] if folder else list(paths)


def parse_options(pairs: Iterable[str] | None, *arguments: str | Callable[..., Any]) -> dict[str, Any]:
    """Parse `NAME=VALUE` strings; a value is parsed as JSON if it is valid JSON, and is a string otherwise.

    Args:
        pairs: the strings.
        arguments: names that the command sets itself, and functions, which stand for all their named arguments.

    Raises:
        BadOption: a string of another form, or an option that the command sets itself.
    """
    options: dict[str, Any] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not (name.isidentifier() and equals):
            raise BadOption(f"an option is given as NAME=VALUE, got {pair!r}")
        try:
            options[name] = json.loads(value)
        except (ValueError, RecursionError):
            options[name] = value
    refuse_arguments(options, "the command", *arguments)
    return options


def parse_reader_options(pairs: Iterable[str] | None, *arguments: str | Callable[..., Any]) -> dict[str, Any]:
    """Parse options of readers, as `parse_options` does."""
    from anybind.reader import read_chunks

    return parse_options(pairs, read_chunks, *arguments)


class SkippedFiles(dict[str, str]):
    """Items skipped under `--skip-invalid`, each with its reason; `record` is the `on_bad` of `Binder.embed`."""

    def record(self, id: str, error: AnybindError) -> None:
        """Add an item that cannot be used."""
        self[id] = str(error)

    def report(self) -> None:
        """List the skipped items on stderr."""
        if self:
            print_text(f"skipped {len(self)}:", err=True)
            for reason in self.values():
                print_text(f"  {reason}", err=True)
