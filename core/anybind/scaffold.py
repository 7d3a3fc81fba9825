"""Creation of plugins from templates, for `anybind plugins new`."""

from __future__ import annotations

import importlib.resources
import importlib.util
import keyword
import re
import string
from pathlib import Path

from anybind.errors import BadInput, BadOption, UnknownName, suggest_names
from anybind.files import atomic_folder
from anybind.registry import list_plugins, registry

FILES = {"pyproject.txt": "pyproject.toml", "readme.txt": "README.md", "test.txt": "tests/test_conformance.py"}
"""Templates of the files of every plugin."""


def check_plugin_name(name: str) -> str:
    """Check the name of a new plugin, and return the name of its module.

    Raises:
        BadOption: the name is not valid for a distribution and a module, or is taken.
        BadInput: there is a file or folder of that name.
    """
    module = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or keyword.iskeyword(module):
        raise BadOption(f"invalid plugin name {name!r}: use lower-case letters and digits, words joined by dashes")
    names = {each for plugin in list_plugins() for each in (plugin.name, plugin.distribution)}
    if Path(name).exists():
        raise BadInput(f"./{name} exists already; choose another name, or remove it")
    if name in names or importlib.util.find_spec(module) is not None:
        raise BadOption(f"{name!r} is taken: a plugin or a Python module of that name is installed")
    return module


def find_template(kind: str, predicts: str = "classification") -> str:
    """Read the template of a kind: core's own, or `templates/KIND.txt` of the package that declares the kind.

    Raises:
        UnknownName: there is no such kind, no such target of a head, or the package has no template.
    """
    kinds = registry().kinds()
    if kind not in (*kinds, "kind"):
        names = sorted([*kinds, "kind"])
        hint = suggest_names(kind, names) or f"; there are: {', '.join(names)}"
        raise UnknownName(f"there is no kind of part {kind!r}{hint}")
    package = kinds[kind].spec.partition(".")[0] if kind in kinds else "anybind"
    name = f"{kind}-{predicts}.txt" if kind == "head" else f"{kind}.txt"
    path = importlib.resources.files(package).joinpath("templates", name)
    if not path.is_file():
        raise UnknownName(f"{package} has no template {name}")
    return path.read_text(encoding="utf-8")


def write_plugin(folder: Path, name: str, module: str, kind: str, template: str) -> list[Path]:
    """Write a plugin into a new folder, atomically, and return the files' paths.

    Args:
        folder: the folder to create.
        name: name of the plugin, its distribution and its part.
        module: name of its package.
        kind: kind of its part.
        template: usage of the part, then the files of the package, each after a line `--- FILE`.

    Raises:
        BadInput: the folder exists already, or cannot be written.
    """
    use, *sections = re.split(r"^--- (.*)\n", template, flags=re.MULTILINE)
    files = {f"{module}/{file}": text for file, text in zip(sections[::2], sections[1::2], strict=True)}
    common = importlib.resources.files("anybind").joinpath("templates")
    files |= {file: common.joinpath(text).read_text(encoding="utf-8") for text, file in FILES.items()}
    values = {"name": name, "module": module, "kind": kind, "title": _make_class_name(name) + kind.capitalize()}
    values["use"] = string.Template(use.strip()).substitute(values)
    files = {string.Template(file).substitute(values): string.Template(text) for file, text in files.items()}
    with atomic_folder(folder) as temporary:
        for file, text in files.items():
            path = temporary / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.substitute(values), encoding="utf-8")
    return [folder / file for file in files]


def _make_class_name(name: str) -> str:
    """Return the first words of a class name: `thermal-clip` becomes `ThermalClip`."""
    return "".join(word.capitalize() for word in name.split("-"))
