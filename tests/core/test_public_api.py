"""What `anybind.__all__` lists is a promise: every name says what it takes, gives and raises, and none just goes.

`python tests/core/test_public_api.py` writes public_api.txt anew; it keeps the lines of names that have gone, which
then have to be deprecated, or taken out by hand.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from anybind.deprecation import RENAMED, deprecated

import anybind
import anybind.commandline
import anybind.testing
from anybind import AnybindDeprecationWarning

LISTED = Path(__file__).with_name("public_api.txt")
ERRORS = {name for name, value in vars(anybind.errors).items() if inspect.isclass(value)} - {"AnybindWarning"}
SHAPE = re.compile(r"\([\w.*+ ]+,[^()]*\)")
"""Of an array: `(n, d)`, `(n,)`, `(height, width, 3)`."""
UNITS = {
    r"(^|_)us$": r"microseconds",
    r"(^|_)(s|seconds|duration)$": r"seconds|\bs\b",
    r"(^|_)bytes$": r"bytes|[kMGT]i?B",
    r"(^|_)(rate|fps)$": r"Hz|per second|a second",
    r"(^|_)(width|height)$": r"pixels|height, width",
}
"""What a parameter or field of such a name is measured in; its description has to say so."""


def written(module: ModuleType) -> Iterator[str]:
    """The names that a module's source gives to functions, classes and values of its own."""
    for node in ast.parse(inspect.getsource(module)).body:
        targets = node.targets if isinstance(node, ast.Assign) else [node]
        yield from filter(None, (getattr(target, "name", getattr(target, "id", None)) for target in targets))


def public() -> dict[str, Any]:
    """All public values by name; those of modules other than anybind itself with the module's name."""
    named = {name: getattr(anybind, name) for name in anybind.__all__}
    for module in (anybind.commandline, anybind.testing):
        names = getattr(module, "__all__", None) or list(written(module))
        prefix = module.__name__.partition(".")[2]
        named |= {f"{prefix}.{name}": getattr(module, name) for name in names if name[0] != "_"}
    return named


def members(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A public value and, of a class or module, what users call or read of it; functions as they were written."""
    yield name, value
    if inspect.ismodule(value):
        for member, held in sorted(vars(value).items()):
            if member[0] != "_" and getattr(held, "__module__", "") == value.__name__:
                yield f"{name}.{member}", held
    if inspect.isclass(value) and not issubclass(value, Exception):
        for member, held in sorted(vars(value).items()):
            if member[0] != "_" or member in ("__init__", "__call__", "__matmul__", "__getitem__"):
                held = held.fget if isinstance(held, property) else getattr(held, "__func__", held)
                held = held.func if isinstance(held, functools.cached_property) else held
                # What dataclasses write themselves has no file, and says what the fields say.
                if inspect.isfunction(held) and held.__code__.co_filename != "<string>":
                    yield f"{name}.{member}", held


ALL = [pair for name, value in public().items() for pair in members(name, value)]
CALLED = [(name, value) for name, value in ALL if inspect.isfunction(value)]


def described(name: str, value: Callable[..., Any]) -> str:
    """What is said of a function: its own words, those of its class, or of what it overrides."""
    owner = public().get(name.rpartition(".")[0])
    told = [value.__doc__ or ""]
    if inspect.isclass(owner):
        member = name.rpartition(".")[2]
        told += [getattr(vars(base).get(member), "__doc__", None) or "" for base in owner.__mro__[1:-1]]
        told.append(owner.__doc__ or "" if member in ("__init__", "__post_init__", "__call__") or not told[0] else "")
    return "\n".join(told)


def body(value: Callable[..., Any]) -> ast.FunctionDef:
    node = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(value)))).body[0]
    assert isinstance(node, ast.FunctionDef)
    return node


def raised(node: ast.FunctionDef) -> set[str]:
    """Errors of the family that a function raises in so many words."""
    found = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Raise) and isinstance(each.exc, ast.Call):
            found.add(ast.unparse(each.exc.func).rpartition(".")[2])
    return found & ERRORS


def annotations(node: ast.FunctionDef) -> dict[str, str]:
    given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    told = {each.arg: ast.unparse(each.annotation) for each in given if each.annotation}
    return told | ({"return": ast.unparse(node.returns)} if node.returns else {})


@pytest.mark.parametrize(("name", "value"), ALL, ids=[name for name, _ in ALL])
def test_every_public_name_says_what_it_is(name: str, value: Any):
    if inspect.isclass(value):
        assert (vars(value).get("__doc__") or "").strip()
        assert not value.__doc__.startswith(f"{value.__name__}("), "the words of a dataclass are its own"
    elif inspect.isfunction(value):
        assert described(name, value).strip()


@pytest.mark.parametrize(("name", "value"), CALLED, ids=[name for name, _ in CALLED])
def test_every_public_function_names_the_errors_that_it_raises(name: str, value: Callable[..., Any]):
    missing = {error for error in raised(body(value)) if not re.search(rf"\b{error}\b", described(name, value))}
    assert not missing, f"{name} raises {missing} and does not say when"


@pytest.mark.parametrize(("name", "value"), CALLED, ids=[name for name, _ in CALLED])
def test_every_public_function_gives_the_shapes_of_arrays(name: str, value: Callable[..., Any]):
    arrays = [at for at, kind in annotations(body(value)).items() if "ndarray" in kind]
    assert not arrays or SHAPE.search(described(name, value)), f"{name}: no shape of {arrays}"


@pytest.mark.parametrize(("name", "value"), ALL, ids=[name for name, _ in ALL])
def test_every_quantity_has_a_unit(name: str, value: Any):
    if inspect.isfunction(value):
        quantities = annotations(body(value))
    else:
        quantities = vars(value).get("__annotations__", {}) if inspect.isclass(value) else {}
    told = described(name, value) if inspect.isfunction(value) else value.__doc__ or ""
    for pattern, unit in UNITS.items():
        of_it = [each for each in quantities if re.search(pattern, each)]
        assert not of_it or re.search(unit, told), f"{name}: {of_it} in which unit ({unit})?"


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, value in public().items()
        if "ndarray" in str(vars(value).get("__annotations__", "") if inspect.isclass(value) else "")
    ],
)
def test_every_public_dataclass_gives_the_shapes_of_its_arrays(name: str):
    assert SHAPE.search(public()[name].__doc__ or ""), name


def test_the_rules_for_descriptions_see_what_is_missing():
    def silent(rate: float, values: np.ndarray) -> np.ndarray:  # noqa: F821
        """Something."""
        raise anybind.BadInput("no")

    assert raised(body(silent)) == {"BadInput"}
    for rule in (
        test_every_public_function_names_the_errors_that_it_raises,
        test_every_public_function_gives_the_shapes_of_arrays,
        test_every_quantity_has_a_unit,
    ):
        with pytest.raises(AssertionError):
            rule("silent", silent)


def signatures() -> dict[str, str]:
    """What is promised: names with their signatures, as they are written."""
    told = {}
    for name, value in ALL:
        if inspect.isfunction(value):
            node = body(value)
            told[name] = f"({ast.unparse(node.args)})" + (f" -> {ast.unparse(node.returns)}" if node.returns else "")
        elif inspect.isclass(value):
            fields = vars(value).get("__annotations__", {})
            told[name] = "class" + "".join(f" {field}: {kind}," for field, kind in fields.items() if field[0] != "_")
        else:
            told[name] = "value"
    return told


def listed() -> dict[str, str]:
    lines = LISTED.read_text(encoding="utf-8").splitlines()
    return dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))


def gone(known: dict[str, str], current: dict[str, str], renamed: dict[str, tuple[str, str, str]]) -> list[str]:
    """Names that were promised, are no longer there, and were not deprecated."""
    return sorted(name for name in known if name not in current and name.partition(".")[0] not in renamed)


def test_no_public_name_goes_without_being_deprecated():
    assert gone(listed(), signatures(), RENAMED) == [], "enter it in anybind.deprecation.RENAMED, or keep it"


def test_a_name_that_goes_is_noticed():
    known = {"old": "value", "Kept": "class", "Kept.method": "()"}
    assert gone(known, {"Kept": "class"}, {}) == ["Kept.method", "old"]
    assert gone(known, {"Kept": "class", "Kept.method": "()"}, {"old": ("new", "1", "2")}) == []


def test_the_list_of_public_names_is_up_to_date():
    current, known = signatures(), listed()
    changed = {name for name in current.keys() | known.keys() if current.get(name) != known.get(name)}
    changed -= {name for name in known if name in RENAMED}
    assert not changed, f"look whether that breaks anyone, then run: python {Path(__file__).name}"


def test_every_renamed_name_leads_to_a_public_one():
    for old, (new, since, removal) in RENAMED.items():
        assert old not in anybind.__all__
        assert new in anybind.__all__
        assert since < removal


def test_a_renamed_name_works_on_and_says_what_took_its_place(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(RENAMED, "unit_vectors", ("unit", "0.2", "0.4"))
    with pytest.warns(AnybindDeprecationWarning) as told:
        assert anybind.unit_vectors is anybind.unit
    assert str(told[0].message) == (
        "anybind.unit_vectors is called anybind.unit since anybind 0.2, and will be gone in 0.4"
    )
    assert told[0].filename == __file__
    with pytest.warns(AnybindDeprecationWarning):
        from anybind import unit_vectors
    assert unit_vectors is anybind.unit
    with pytest.raises(AttributeError, match="has no attribute 'unit_vector'"):
        anybind.unit_vector  # noqa: B018


def test_what_is_deprecated_inside_a_function_names_the_line_that_calls_it():
    def former() -> None:
        deprecated("former()", "present()", "0.2", "0.4")

    with pytest.warns(AnybindDeprecationWarning, match=r"former\(\) is called present\(\)") as told:
        former()
    assert told[0].filename == __file__


PLUGIN = """
import anybind
from anybind.deprecation import RENAMED
RENAMED["former"] = ("Spec", "0.2", "0.4")

@anybind.hookimpl
def register_tasks(register):
    for number in range(3):
        register(anybind.former(name=f"t{number}", summary="s", target="m:a"))
    anybind.former
"""


def test_the_command_line_says_once_that_a_plugin_uses_a_former_name(make_distribution, run_anybind):
    site = make_distribution("late", {"late": "late_plugin"}, {"late_plugin": PLUGIN})
    ended = run_anybind("plugins", "--json", path=site)
    assert ended.returncode == 0
    assert ended.stderr.splitlines() == [
        "warning: anybind.former is called anybind.Spec since anybind 0.2, and will be gone in 0.4"
    ]


def test_importing_anybind_stays_light():
    script = "import anybind, sys; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip() == "False"


def main() -> None:
    """Write the list anew; lines of names that have gone stay."""
    known = listed() if LISTED.is_file() else {}
    current = signatures()
    kept = {name: known[name] for name in gone(known, current, RENAMED)}
    lines = ["# What anybind promises: public names and how they are called. Written by test_public_api.py."]
    lines += [f"{name} {told}" for name, told in sorted({**current, **kept}.items())]
    LISTED.write_text("\n".join([*lines, ""]), encoding="utf-8")
    print(f"{len(current)} names in {LISTED.name}" + (f"; gone and kept in it: {', '.join(kept)}" if kept else ""))


if __name__ == "__main__":
    main()
