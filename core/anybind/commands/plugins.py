"""`anybind plugins`: list what is installed, start a plugin (`new`), hold one to the contract (`check`)."""

from __future__ import annotations

import importlib.resources
import importlib.util
import keyword
import re
import string
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anybind.commandline import AsJson, print_json, print_table, sub_app
from anybind.errors import BadInput, BadOption, NameClash, UnknownName, nearest
from anybind.registry import plugins, registry

if TYPE_CHECKING:
    from anybind.testing import Report

TEMPLATES = ("adapter", "dataset", "encoder", "head", "modality", "reader", "representation", "task")
"""Kinds of part that there is a template for."""
USES = {
    "adapter": '# in the TOML file of a binding, behind its encoders\n[[adapters]]\nuse = "$name"',
    "dataset": "anybind evaluate zero-shot --dataset $name --data FOLDER --modality image",
    "encoder": '# in the TOML file of a binding, for `--binding FILE.toml`\n[encoders.image]\nuse = "$name"',
    "head": "anybind evaluate vad --data FOLDER --dataset labelled-films --modality event --option head=$name",
    "modality": 'anybind.find_modality("$name")  # in Python; an encoder of it takes its samples',
    "reader": "anybind embed FILE.rawrgb -o vectors.safetensors",
    "representation": 'anybind.create("representation", "$name")  # in Python',
    "task": "anybind evaluate $name --data FOLDER --modality image",
}
"""How a part of each kind is used once its plugin is installed, for the README."""
FILES = {"pyproject.txt": "pyproject.toml", "readme.txt": "README.md", "test.txt": "tests/test_conformance.py"}


app = sub_app()


@app.callback()
def list_plugins(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List installed plugins, what each brings, and which are broken; start one, or check one."""
    if ctx.invoked_subcommand:
        return
    found, clashes = registry().plugins, registry().clashes()
    brought = [part for kind in registry().kinds() for part in registry().parts(kind)]
    if as_json:
        rows = [{"kind": p.kind, "plugin": p.plugin, "distribution": p.distribution, **asdict(p.spec)} for p in brought]
        print_json({"plugins": [asdict(plugin) for plugin in found], "parts": rows, "clashes": clashes})
    else:
        print_table(
            ("plugin", "distribution", "version", "status"),
            [(p.name, p.distribution, p.version, ": ".join(filter(None, (p.status, p.problem)))) for p in found],
        )
        print_table(
            ("kind", "name", "plugin", "summary"),
            [(part.kind, part.name, part.plugin, part.spec.summary) for part in brought],
        )
    if clashes:
        raise NameClash("; ".join(clashes))


@app.command("check")
def check(
    name: Annotated[str, typer.Argument(help="A plugin, or a distribution for all its plugins.")],
    as_json: AsJson = False,
) -> None:
    """Hold every part that a plugin brings to the contract; ends with 1 where a rule is broken."""
    from anybind.testing import examine_part, parts_of  # for its rules, which nothing else needs

    reports = [(part, examine_part(part)) for part in parts_of(name)]
    broken = sum(len(report.broken) for _, report in reports)
    if as_json:
        rows = [{"kind": part.kind, "name": part.name, **report.to_dict()} for part, report in reports]
        print_json({"plugin": name, "broken": broken, "parts": rows})
    else:
        print_table(
            ("kind", "name", "rules kept", "broken", "status"),
            [
                (part.kind, part.name, str(len(report.of_status("passed"))), str(len(report.broken)), _status(report))
                for part, report in reports
            ],
        )
        for part, report in reports:
            for outcome in report.of_status("broken"):
                typer.echo(f"{part.kind} {part.name}: {outcome.rule}: {outcome.seen}\n  mend: {outcome.mend}")
    if broken:
        raise typer.Exit(1)


def _status(report: Report) -> str:
    untried = [outcome.seen for outcome in report.of_status("not checked") if outcome.rule == "tried"]
    if report.broken:
        return "broken: " + ", ".join(report.broken)
    return f"not checked at work: {untried[0]}" if untried else "ok"


@app.command("new")
def new(
    name: Annotated[
        str, typer.Argument(help="Of the distribution and its folder: lower case, words joined by dashes.")
    ],
    kind: Annotated[str, typer.Option(help=f"What it brings: {', '.join(TEMPLATES)}.")] = "encoder",
    as_json: AsJson = False,
) -> None:
    """Write a small plugin to start from into ./NAME: a module, its packaging, and a test that runs the checks."""
    if kind not in TEMPLATES:
        raise UnknownName(f"there is no template for a {kind!r}{nearest(kind, TEMPLATES)}")
    module = _checked(name)
    written = write_template(Path(name), name, module, kind)
    if as_json:
        print_json({"name": name, "kind": kind, "module": module, "files": [str(path) for path in written]})
        return
    for path in written:
        typer.echo(path)
    typer.echo(f"next: pip install -e ./{name} && anybind plugins check {name}")


def _checked(name: str) -> str:
    """The module's name, once it is sure that a distribution can be called this and nothing here is.

    Raises:
        BadOption: the name cannot be a distribution's and a module's, or is taken.
        BadInput: there is a file or folder of that name.
    """
    module = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or keyword.iskeyword(module):
        raise BadOption(f"{name!r} is no name for a plugin: use lower-case letters and digits, words joined by dashes")
    taken = {each for plugin in plugins() for each in (plugin.name, plugin.distribution)}
    if Path(name).exists():
        raise BadInput(f"./{name} is there already; choose another name, or remove it")
    if name in taken or importlib.util.find_spec(module) is not None:
        raise BadOption(f"{name!r} is taken: a plugin or a Python module of that name is installed")
    return module


def write_template(folder: Path, name: str, module: str, kind: str) -> list[Path]:
    """Write the plugin of a template into a folder, whole or not at all, and return the files' paths.

    Raises:
        BadInput: the folder is there already, or cannot be written.
    """
    files = {f"{kind}.txt": f"{module}.py", **FILES}
    words = {"name": name, "module": module, "kind": kind, "title": _title(name) + kind.capitalize()}
    words["use"] = string.Template(USES[kind]).substitute(words)
    templates = importlib.resources.files("anybind").joinpath("templates")
    try:
        with tempfile.TemporaryDirectory(prefix=".anybind-", dir=folder.parent) as temporary:
            for template, file in files.items():
                path = Path(temporary, name, file)
                path.parent.mkdir(parents=True, exist_ok=True)
                text = templates.joinpath(template).read_text(encoding="utf-8")
                path.write_text(string.Template(text).substitute(words), encoding="utf-8")
            Path(temporary, name).rename(folder)
    except OSError as error:
        raise BadInput(f"cannot write {folder}: {error.strerror or error}") from error
    return [folder / file for file in files.values()]


def _title(name: str) -> str:
    """The beginning of a class's name: `thermal-tower` becomes `ThermalTower`."""
    return "".join(word.capitalize() for word in name.split("-"))
