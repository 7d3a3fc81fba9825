"""Generates the page `reference/cli.md` from the commands of anybind: `python docs/cli_reference.py` prints it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer

from anybind.cli import app

INTRODUCTION = """# Command line

Generated from the code: the help text, arguments and options of every command. `anybind COMMAND --help` prints the
same. Invalid input ends a command with exit code 2 and an error of one line; `anybind --debug COMMAND` shows the
traceback."""


def render_reference() -> str:
    """Return the page as Markdown, with a section for each command."""
    root = typer.main.get_command(app)
    context = root.make_context("anybind", [], resilient_parsing=True)
    return "\n\n".join([INTRODUCTION, *render_group(root, context)]) + "\n"


def render_group(group: Any, context: Any) -> Iterator[str]:
    """Return the sections of the commands of a group, those of nested groups included."""
    for name in group.list_commands(context):
        # The command that `anybind` lists is a stand-in: making its context imports the command itself.
        nested = group.get_command(context, name).make_context(name, [], parent=context, resilient_parsing=True)
        yield render_command(nested.command, nested)
        if hasattr(nested.command, "list_commands"):
            yield from render_group(nested.command, nested)


def render_command(command: Any, context: Any) -> str:
    """Return the section of one command: usage, help text, and a table of its parameters."""
    usage = f"{context.command_path} {' '.join(command.collect_usage_pieces(context))}"
    parts = [f"## {context.command_path}", f"```text\n{usage}\n```", (command.help or "").replace("\b", "").strip()]
    rows = [render_parameter(each) for each in command.params if not getattr(each, "hidden", False)]
    if rows:
        parts.append("\n".join(["| parameter | default | |", "| --- | --- | --- |", *rows]))
    return "\n\n".join(part for part in parts if part)


def render_parameter(parameter: Any) -> str:
    """Return a table row of an argument or option: its names and type, its default, its help text."""
    is_argument = parameter.param_type_name == "argument"
    names = parameter.name.upper() if is_argument else ", ".join([*parameter.opts, *parameter.secondary_opts])
    is_flag = getattr(parameter, "is_flag", False)
    kind = "" if is_argument or is_flag else f" {parameter.metavar or parameter.name.upper()}"
    default = parameter.default if parameter.show_default and not is_flag else None
    text = " ".join((parameter.help or "").split()).replace("|", "\\|")
    stated = re.search(r" ?\[default: (.+?)\]", text)  # a default that is computed is stated in the help text
    text = text.replace(stated[0], "") if stated else text
    if parameter.required:
        value = "required"
    elif stated or default in (None, "", ()) or callable(default):
        value = stated[1] if stated else ""
    else:
        value = f"`{', '.join(map(str, default)) if isinstance(default, list | tuple) else default}`"
    return f"| `{names}{kind}` | {value} | {text} |"


if __name__ == "__main__":
    print(render_reference(), end="")
