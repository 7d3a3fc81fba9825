"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import anybind
from anybind.registry import CORE_COMMANDS, parts

ROOT = Path(__file__).resolve().parents[2]
PLUGIN_FILES = sorted((ROOT / "plugins").rglob("*.py"))
SOURCES = sorted([*(ROOT / "core").rglob("*.py"), *PLUGIN_FILES])
PUBLIC_MODULES = {"anybind.commandline", "anybind.pages", "anybind.testing"}


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", PLUGIN_FILES, ids=short)
def test_plugins_import_only_the_public_names_of_the_core(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "anybind":
            private = {alias.name for alias in node.names} - set(anybind.__all__)
            assert not private, f"line {node.lineno}: {private} are not in anybind.__all__"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("anybind."):
            assert node.module in PUBLIC_MODULES, f"line {node.lineno}: {node.module} is not public"
        elif isinstance(node, ast.Import):
            inside = [alias.name for alias in node.names if alias.name.startswith("anybind.")]
            assert set(inside) <= PUBLIC_MODULES, f"line {node.lineno}: {inside} are not public"


def test_every_public_name_exists_and_is_described():
    for name in anybind.__all__:
        value = getattr(anybind, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__doc__, name


HEAVY = {
    "torch",
    "timm",
    "transformers",
    "open_clip",
    "skimage",
    "numba",
    "scipy",
    "sklearn",
    "matplotlib",
    "torchaudio",
}
HEAVY |= {"soundfile", "soxr", "faiss", "lancedb", "pyarrow", "huggingface_hub", "PIL", "av", "h5py"}
LISTING = """
import sys
from anybind.cli import app
sys.argv[0] = "anybind"
try:
    app({arguments!r})
except SystemExit as end:
    assert not end.code, end.code
heavy = sorted({heavy!r} & sys.modules.keys())
print("HEAVY", heavy)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["plugins"], ["plugins", "--json"], ["bindings"]], ids=" ".join)
def test_listing_and_help_import_nothing_heavy(arguments):
    script = LISTING.format(arguments=arguments, heavy=HEAVY)
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "HEAVY []"


def test_the_probe_for_heavy_imports_sees_torch():
    script = "import torch\n" + LISTING.format(arguments=["--help"], heavy=HEAVY)
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "'torch'" in result.stdout.splitlines()[-1]


@pytest.mark.parametrize("path", SOURCES, ids=short)
def test_nothing_unpickles(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = {getattr(node, "attr", None), getattr(node, "id", None)}
        assert not names & {"pickle", "Unpickler"}, f"line {node.lineno}"
        if isinstance(node, ast.keyword):
            assert (node.arg, getattr(node.value, "value", None)) not in {
                ("weights_only", False),
                ("allow_pickle", True),
            }
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            assert ast.unparse(given["weights_only"]) == "True", f"line {node.lineno}"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "np.load":
            assert any(keyword.arg == "allow_pickle" for keyword in node.keywords), f"line {node.lineno}"


def texts_but_docstrings(tree: ast.AST) -> set[str]:
    described = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return {node.value for node in constants if id(node) not in described}


@pytest.mark.parametrize("path", sorted((ROOT / "core").rglob("*.py")), ids=short)
def test_the_core_knows_no_modality_by_name(path):
    modalities = {part.name for part in parts("modality")}
    assert modalities >= {"event", "image", "text"}
    assert not texts_but_docstrings(ast.parse(path.read_text())) & modalities


COMMANDS = [*CORE_COMMANDS, *(part.name for part in parts("command"))]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_json(cli, command):
    ended = cli(command, "--help")
    assert ended.code == 0
    assert "--json" in ended.out


@pytest.mark.parametrize("path", SOURCES, ids=short)
def test_files_fit_in_a_head(path):
    assert len(path.read_text().splitlines()) <= 330


def test_every_part_says_its_licence_and_what_it_is():
    for kind in anybind.KINDS:
        for part in parts(kind):
            assert part.spec.summary, part
            assert part.spec.licence, part
            if kind == "encoder" and part.spec.extra:
                assert part.spec.weights_licence, part


def test_every_target_of_the_bundled_plugins_can_be_imported():
    for kind in anybind.KINDS:
        for part in parts(kind):
            if not part.spec.target.endswith(".toml"):
                assert callable(part.load()), part


def test_every_extra_that_a_part_names_is_one_of_its_distribution():
    from importlib.metadata import metadata

    extras = set(metadata("anybind").get_all("Provides-Extra") or [])
    named = {part.spec.extra for kind in anybind.KINDS for part in parts(kind)} - {""}
    assert named
    assert named <= extras
