"""What commands share: common options, JSON and table output, the list of skipped files.

Public: a plugin's command module may import these names.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from anybind.errors import AnybindError, BadOption, UnknownName, suggest_names

if TYPE_CHECKING:
    from anybind.store import EmbeddingStore

BindingName = Annotated[str, typer.Option("--binding", help="Binding by name, or a TOML file.")]
Device = Annotated[str, typer.Option(help="Where towers run: cpu, cuda, ...")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Go on past files that cannot be read; list them.")]
StoreFlag = Annotated[bool, typer.Option("--store/--no-store", help="Reuse and store embeddings: see `anybind store`.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all randomness; it stands in the result.")]


def open_store(flag: bool) -> EmbeddingStore | None:
    """The user's embedding store, which `$ANYBIND_STORE` may name; None without `--store`."""
    if not flag:
        return None
    from anybind.store import EmbeddingStore  # heavy, and not needed to list commands

    return EmbeddingStore()


class SubCommands(TyperGroup):
    """A command with commands of its own: `sub_app` makes one."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command of that name; raises `UnknownName` with the nearest ones where there is none."""
        known = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in known:
            raise UnknownName(f"`{ctx.command_path}` has no command {args[0]!r}{suggest_names(args[0], known)}")
        return super().resolve_command(ctx, args)


def sub_app() -> typer.Typer:
    """An app for a command that has commands of its own, and does something without one too.

    Its callback takes `ctx: typer.Context`, and does nothing where `ctx.invoked_subcommand` names a command.
    """
    return typer.Typer(cls=SubCommands, invoke_without_command=True, add_completion=False)


def print_json(fields: Mapping[str, object]) -> None:
    """Print one JSON object on a line of its own."""
    before = "{"
    for name, value in fields.items():  # one at a time: the scores of a long film are large as text
        text = json.dumps(value, ensure_ascii=False, default=_plain)
        typer.echo(f"{before}{json.dumps(str(name), ensure_ascii=False)}: {text}", nl=False)
        before = ", "
    typer.echo("}" if fields else "{}")


def _plain(value: Any) -> object:
    """A dataclass as its fields; NumPy's numbers and arrays, which a stranger's metrics may be, as plain ones."""
    return vars(value) if is_dataclass(value) else value.tolist()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> None:
    """Print a table, as wide as the terminal; cells are plain text. Columns of numbers align right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [tuple(row) for row in rows]
    table = Table(title=title or None, title_justify="left")
    for position, column in enumerate(columns):
        numeric = bool(rows) and all(row[position].strip("+-% ").replace(".", "", 1).isdigit() for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def parse_options(pairs: Iterable[str] | None) -> dict[str, Any]:
    """`NAME=VALUE` texts as options; a value is JSON where it can be, else the text itself.

    Raises:
        BadOption: a text of another form.
    """
    options: dict[str, Any] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not (name.isidentifier() and equals):
            raise BadOption(f"an option is given as NAME=VALUE, got {pair!r}")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    return options


class SkippedFiles(dict[str, str]):
    """Items left out under `--skip-bad`, with the reason of each: hand `note` to `Binder.embed`."""

    def note(self, id: str, error: AnybindError) -> None:
        """Remember an item that could not be used."""
        self[id] = str(error)

    def report(self) -> None:
        """List on stderr what was skipped."""
        if self:
            typer.echo(f"skipped {len(self)}:", err=True)
            for reason in self.values():
                typer.echo(f"  {reason}", err=True)
