"""`anybind plugins`: list what is installed, start a plugin (`new`), check one (`check`)."""

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
from anybind.registry import parts, plugins, registry

if TYPE_CHECKING:
    from anybind.testing import Report

FILES = {"pyproject.txt": "pyproject.toml", "readme.txt": "README.md", "test.txt": "tests/test_conformance.py"}
"""Templates that every plugin has, whatever its kind."""


app = sub_app()


@app.callback()
def list_plugins(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List installed plugins with their parts and problems; start one, or check one."""
    if ctx.invoked_subcommand:
        return
    found, clashes = registry().plugins, registry().clashes()
    brought = [part for kind in [*registry().kinds(), "kind"] for part in parts(kind)]
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
    name: Annotated[str, typer.Argument(help="Plugin, or distribution for all its plugins.")],
    as_json: AsJson = False,
) -> None:
    """Run the conformance checks on every part of a plugin; exit with 1 where one fails."""
    from anybind.testing import examine, parts_of  # heavy, and needed here only

    reports = [(part, examine(part)) for part in parts_of(name)]
    failed = sum(len(report.failed) for _, report in reports)
    if as_json:
        rows = [{"kind": part.kind, "name": part.name, **report.to_dict()} for part, report in reports]
        print_json({"plugin": name, "failed": failed, "parts": rows})
    else:
        print_table(
            ("kind", "name", "passed", "failed", "status"),
            [
                (part.kind, part.name, str(len(report.with_status("passed"))), str(len(report.failed)), _status(report))
                for part, report in reports
            ],
        )
        for part, report in reports:
            for outcome in report.with_status("failed"):
                typer.echo(f"{part.kind} {part.name}: {outcome.check}: {outcome.message}\n  remedy: {outcome.remedy}")
    if failed:
        raise typer.Exit(1)


def _status(report: Report) -> str:
    if report.failed:
        return f"failed: {', '.join(report.failed)}"
    skipped = [outcome.message for outcome in report.with_status("skipped") if outcome.check == "check_example"]
    expected = [outcome.check for outcome in report.with_status("expected failure")]
    return f"skipped: {skipped[0]}" if skipped else f"ok, expected: {', '.join(expected)}" if expected else "ok"


@app.command("new")
def new(
    name: Annotated[
        str, typer.Argument(help="Name of the distribution and its folder: lower case, words joined by dashes.")
    ],
    kind: Annotated[str, typer.Option(help="Kind of its part, as `anybind plugins` lists them.")] = "encoder",
    predicts: Annotated[
        str, typer.Option(help="Target of a head: classification, anomaly or ranking. [default: classification]")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Write a small plugin to start from into ./NAME: a package, its metadata, and a test that runs the checks."""
    if predicts and kind != "head":
        raise BadOption(f"--predicts is for heads, got the kind {kind!r}")
    template = find_template(kind, predicts or "classification")
    module = _check_plugin_name(name)
    written = write_plugin(Path(name), name, module, kind, template)
    if as_json:
        print_json({"name": name, "kind": kind, "module": module, "files": [str(path) for path in written]})
        return
    for path in written:
        typer.echo(path)
    typer.echo(f"next: pip install -e ./{name} && anybind plugins check {name}")


def _check_plugin_name(name: str) -> str:
    """Return the module's name where a distribution can have this name and nothing installed has it.

    Raises:
        BadOption: the name is no valid name of a distribution and a module, or is taken.
        BadInput: there is a file or folder of that name.
    """
    module = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or keyword.iskeyword(module):
        raise BadOption(f"invalid plugin name {name!r}: use lower-case letters and digits, words joined by dashes")
    taken = {each for plugin in plugins() for each in (plugin.name, plugin.distribution)}
    if Path(name).exists():
        raise BadInput(f"./{name} exists already; choose another name, or remove it")
    if name in taken or importlib.util.find_spec(module) is not None:
        raise BadOption(f"{name!r} is taken: a plugin or a Python module of that name is installed")
    return module


def find_template(kind: str, predicts: str = "classification") -> str:
    """Read the template of a kind: core's own, or `templates/KIND.txt` of the package that declares the kind.

    Raises:
        UnknownName: there is no such kind, no such target of a head, or the package has no template.
    """
    kinds = registry().kinds()
    if kind not in (*kinds, "kind"):
        raise UnknownName(f"there is no kind of part {kind!r}{nearest(kind, [*kinds, 'kind'])}")
    package = kinds[kind].spec.partition(".")[0] if kind in kinds else "anybind"
    name = f"{kind}-{predicts}.txt" if kind == "head" else f"{kind}.txt"
    path = importlib.resources.files(package).joinpath("templates", name)
    if not path.is_file():
        raise UnknownName(f"{package} has no template {name}")
    return path.read_text(encoding="utf-8")


def write_plugin(folder: Path, name: str, module: str, kind: str, template: str) -> list[Path]:
    """Write a plugin into a folder, whole or not at all, and return the files' paths.

    Args:
        folder: the folder to make.
        name: of the plugin, its distribution and its part.
        module: the name of its package.
        kind: of its part.
        template: how the part is used, then the files of the package, each after a line `--- FILE`.

    Raises:
        BadInput: the folder exists already, or cannot be written.
    """
    use, *sections = re.split(r"^--- (.*)\n", template, flags=re.MULTILINE)
    files = {f"{module}/{file}": text for file, text in zip(sections[::2], sections[1::2], strict=True)}
    common = importlib.resources.files("anybind").joinpath("templates")
    files |= {file: common.joinpath(text).read_text(encoding="utf-8") for text, file in FILES.items()}
    words = {"name": name, "module": module, "kind": kind, "title": _title(name) + kind.capitalize()}
    words["use"] = string.Template(use.strip()).substitute(words)
    files = {string.Template(file).substitute(words): string.Template(text) for file, text in files.items()}
    try:
        with tempfile.TemporaryDirectory(prefix=".anybind-", dir=folder.parent) as temporary:
            for file, text in files.items():
                path = Path(temporary, name, file)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text.substitute(words), encoding="utf-8")
            Path(temporary, name).rename(folder)
    except OSError as error:
        raise BadInput(f"cannot write {folder}: {error.strerror or error}") from error
    return [folder / file for file in files]


def _title(name: str) -> str:
    """The beginning of a class's name: `thermal-tower` becomes `ThermalTower`."""
    return "".join(word.capitalize() for word in name.split("-"))
