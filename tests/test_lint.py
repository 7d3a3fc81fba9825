"""Every rule of the lint script reports a planted violation, and only that."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import anybind
from lint import (
    PUBLIC_MODULES,
    ROOT,
    api_complaints,
    check_core_names_no_modality,
    check_description,
    check_lengths,
    check_plugin_imports,
    check_printing,
    check_unpickling,
    public_names,
)


def parse(source: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse(source)))


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("from anybind.registry import parts", "anybind.registry is not a public module"),
        ("import anybind.files", "anybind.files is not a public module"),
        ("from anybind.plugin import atomic_path", "atomic_path is not in anybind.plugin.__all__"),
        ("from anybind import BadOption", "BadOption is not in anybind.__all__"),
        ("from anybind_media.sound import Waveform", "imports the plugin anybind_media.sound"),
    ],
)
def test_a_plugin_that_imports_what_is_not_public_is_reported(source, complaint):
    path = ROOT / "plugins" / "anybind_mini" / "planted.py"
    assert list(check_plugin_imports(path, parse(source))) == [f"line 1: {complaint}"]


@pytest.mark.parametrize(
    "source",
    [
        "from anybind import load",
        "from anybind.plugin import BadInput, files",
        "from anybind.commandline import print_table",
        "from anybind_mini.adapter import MiniAdapter",
        "from anybind_train.loss import Loss",
    ],
)
def test_a_plugin_may_import_public_names_its_own_modules_and_declared_kinds(source):
    path = ROOT / "plugins" / "anybind_mini" / "planted.py"
    assert list(check_plugin_imports(path, parse(source))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle\npickle.load(file)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_what_would_unpickle_is_reported(source):
    assert list(check_unpickling(Path("planted.py"), parse(source)))


@pytest.mark.parametrize(
    "source",
    ["typer.echo(path)", "typer.secho(path)", "click.echo(path)", "echo(path)", "print(1)", "sys.stdout.write('')"],
)
def test_printing_without_escapes_is_reported_outside_of_the_command_line(source):
    [complaint] = check_printing(ROOT / "plugins" / "anybind_mini" / "planted.py", parse(source))
    assert "use anybind.commandline.print_text" in complaint
    assert list(check_printing(ROOT / "core" / "anybind" / "cli.py", parse(source))) == []
    assert list(check_printing(ROOT / "core" / "anybind" / "planted.py", parse("print_text(path)"))) == []


def test_long_files_and_long_functions_are_reported(tmp_path):
    path = tmp_path / "planted.py"
    path.write_text("def long():\n" + "    pass\n" * 340)
    complaints = list(check_lengths(path, parse(path.read_text())))
    assert [complaint.split(",")[0] for complaint in complaints] == ["341 lines", "line 1: long has 341 lines"]


def test_core_that_names_a_modality_is_reported_unless_in_a_docstring():
    nodes = parse('"""image"""\nif modality == "image":\n    pass')
    assert list(check_core_names_no_modality(Path("planted.py"), nodes)) == ["line 2: names the modality 'image'"]


def silent(rate: float, values: np.ndarray) -> np.ndarray:
    """Do something."""
    raise anybind.BadInput("no")


def test_a_public_function_has_to_document_errors_shapes_and_units():
    assert list(check_description("silent", silent, {})) == [
        "raises BadInput and does not document it",
        "does not give the shape of its arrays",
        "does not give the unit of rate (Hz|per second|a second)",
    ]


@pytest.mark.torch
def test_a_public_name_that_is_not_listed_and_a_listed_one_that_is_gone_are_reported():
    api = public_names()
    listed = ["Vanished (self)"]
    complaints = [line for line in api_complaints(api, listed) if line.startswith("public_api.txt")]
    assert any(": Vanished has changed" in line for line in complaints)
    assert any(": load has changed" in line for line in complaints)


def test_too_many_public_names_are_reported(monkeypatch):
    monkeypatch.setitem(PUBLIC_MODULES, "", (anybind, 3))
    assert any("public names, more than 3" in line for line in api_complaints({}, []))
