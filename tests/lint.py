"""Check the rules of this project that ruff does not know, and print one list of complaints.

    python tests/lint.py            exit 1 where a rule is broken
    python tests/lint.py --write    write tests/core/public_api.txt anew

Sources: plugins import only public modules, nothing unpickles, core names no modality, files and functions are short.
Public names: they are listed in public_api.txt, few enough, documented, with errors, shapes of arrays and units.
"""

from __future__ import annotations

import argparse
import ast
import functools
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

import anybind
import anybind.commandline
import anybind.plugin
import anybind.testing
from anybind import errors
from anybind.registry import list_parts
from anybind.spec import ModalitySpec

ROOT = Path(__file__).resolve().parents[1]
LISTED = ROOT / "tests" / "core" / "public_api.txt"
LONGEST_FILE, LONGEST_FUNCTION = 330, 70
PUBLIC_MODULES: Mapping[str, tuple[ModuleType, int]] = {
    "": (anybind, 25),
    "plugin": (anybind.plugin, 45),
    "commandline": (anybind.commandline, 40),
    "testing": (anybind.testing, 20),
}
"""Public modules, and how many names each may have."""
SHARED_MODULES = {"anybind_bench.suite", "anybind_events.filter", "anybind_events.live_source", "anybind_train.loss"}
"""Public modules of plugins that declare a kind: plugins that contribute to it import them."""
ERRORS = {name for name, value in vars(errors).items() if inspect.isclass(value)} - {"AnybindWarning"}
SHAPE = re.compile(r"\([\w.*+ ]+,[^()]*\)")
"""Of an array: `(n, d)`, `(n,)`, `(height, width, 3)`."""
UNITS = {
    r"(^|_)us$": r"microseconds",
    r"(^|_)(s|seconds|duration)$": r"seconds|\bs\b",
    r"(^|_)bytes$": r"bytes|[kMGT]i?B",
    r"(^|_)(rate|fps)$": r"Hz|per second|a second",
    r"(^|_)(width|height)$": r"pixels|height, width",
}
"""Unit that the description of a parameter or field of such a name has to give."""

Api = Mapping[str, object]

Nodes = Sequence[ast.AST]
"""All nodes of a source file."""


def check_plugin_imports(path: Path, nodes: Nodes) -> Iterator[str]:
    """Plugins import only public modules of core, public names of these, and no other plugin."""
    allowed = {f"anybind.{name}" for name in PUBLIC_MODULES if name} | {"anybind"}
    own = path.relative_to(ROOT / "plugins").parts[0] if path.is_relative_to(ROOT / "plugins") else ""
    for node in nodes:
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules = [node.module]
        else:
            continue
        for module in modules:
            package = module.partition(".")[0]
            if package == "anybind" and module not in allowed:
                yield f"line {node.lineno}: {module} is not a public module"
            if package.startswith("anybind_") and package != own and module not in SHARED_MODULES:
                yield f"line {node.lineno}: imports the plugin {module}"
        if isinstance(node, ast.ImportFrom) and node.module in ("anybind", "anybind.plugin"):
            public = set(sys.modules[node.module].__all__) | {"plugin", "commandline", "testing"}
            for alias in node.names:
                if alias.name not in public:
                    yield f"line {node.lineno}: {alias.name} is not in {node.module}.__all__"


def check_unpickling(path: Path, nodes: Nodes) -> Iterator[str]:
    """Nothing executes a pickle."""
    for node in nodes:
        names = {getattr(node, "attr", None), getattr(node, "id", None)}
        if names & {"pickle", "Unpickler"}:
            yield f"line {getattr(node, 'lineno', 0)}: uses pickle"
        if not isinstance(node, ast.Call):
            continue
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        function = ast.unparse(node.func)
        if given.get("allow_pickle") == "True" or (function == "np.load" and "allow_pickle" not in given):
            yield f"line {node.lineno}: np.load without allow_pickle=False"
        if given.get("weights_only", "True") != "True" or (function == "torch.load" and "weights_only" not in given):
            yield f"line {node.lineno}: torch.load without weights_only=True"


def check_printing(path: Path, nodes: Nodes) -> Iterator[str]:
    """Text is printed by `print_text`, `print_table` and `print_json`, which escape control characters."""
    if path.parent.name == "anybind" and path.name in ("commandline.py", "cli.py"):
        return
    for node in nodes:
        if isinstance(node, ast.Call):
            function = ast.unparse(node.func)
            if re.fullmatch(r"((typer|click|rich)\.)?(s?echo|print)|sys\.std(out|err)\.write", function):
                yield f"line {node.lineno}: {function} prints text unescaped; use anybind.commandline.print_text"


def check_lengths(path: Path, nodes: Nodes) -> Iterator[str]:
    """Files and functions are short enough to read at once."""
    lines = len(path.read_text(encoding="utf-8").splitlines())
    if lines > LONGEST_FILE:
        yield f"{lines} lines, more than {LONGEST_FILE}"
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            length = node.end_lineno - node.lineno + 1
            if length > LONGEST_FUNCTION:
                yield f"line {node.lineno}: {node.name} has {length} lines, more than {LONGEST_FUNCTION}"


def check_core_names_no_modality(path: Path, nodes: Nodes) -> Iterator[str]:
    """Core handles every modality alike: none is named in its code (docstrings aside)."""
    modalities = {part.name for part in list_parts(ModalitySpec)}
    docstrings = {
        id(node.body[0].value)
        for node in nodes
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in nodes:
        if isinstance(node, ast.Constant) and node.value in modalities and id(node) not in docstrings:
            yield f"line {node.lineno}: names the modality {node.value!r}"


def source_complaints(root: Path = ROOT) -> Iterator[str]:
    """Complaints about source files."""
    rules: dict[str, list[Callable[[Path, Nodes], Iterator[str]]]] = {
        "core": [check_unpickling, check_lengths, check_printing, check_core_names_no_modality],
        "plugins": [check_unpickling, check_lengths, check_printing, check_plugin_imports],
    }
    for folder, checks in rules.items():
        for path in sorted((root / folder).rglob("*.py")):
            nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
            for check in checks:
                yield from (f"{path.relative_to(root).as_posix()}: {complaint}" for complaint in check(path, nodes))


def own_names(module: ModuleType) -> list[str]:
    """List the public names of a module: `__all__`, else what its source defines."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    body = ast.parse(inspect.getsource(module)).body
    targets = [target for node in body for target in (node.targets if isinstance(node, ast.Assign) else [node])]
    names = [getattr(target, "name", getattr(target, "id", "")) for target in targets]
    return [name for name in names if name and name[0] != "_"]


def public_names() -> dict[str, object]:
    """All public values by name; those of modules other than `anybind` itself with the module's name."""
    return {
        f"{prefix}.{name}".lstrip("."): getattr(module, name)
        for prefix, (module, _) in PUBLIC_MODULES.items()
        for name in own_names(module)
    }


def passed_on(module: ModuleType) -> set[str]:
    """Return the names that a module imports for its users: `from x import y as y`."""
    imports = (node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.ImportFrom))
    return {alias.name for node in imports for alias in node.names if alias.asname == alias.name}


def members(name: str, value: object) -> Iterator[tuple[str, object]]:
    """List a public value and the public members of a class or module; functions as they were written."""
    yield name, value
    if inspect.ismodule(value):
        listed = passed_on(value)
        for member, member_value in sorted(vars(value).items()):
            is_own = getattr(member_value, "__module__", "") == value.__name__
            if member[0] != "_" and (is_own or (member in listed and callable(member_value))):
                yield f"{name}.{member}", member_value
    if inspect.isclass(value) and not issubclass(value, Exception):
        for member, member_value in sorted(vars(value).items()):
            if member[0] != "_" or member in ("__init__", "__call__", "__matmul__", "__getitem__"):
                member_value = (
                    member_value.fget
                    if isinstance(member_value, property)
                    else getattr(member_value, "__func__", member_value)
                )
                member_value = (
                    member_value.func if isinstance(member_value, functools.cached_property) else member_value
                )
                # What dataclasses write themselves has no file, and says what the fields say.
                if inspect.isfunction(member_value) and member_value.__code__.co_filename != "<string>":
                    yield f"{name}.{member}", member_value


def description(name: str, value: Callable[..., object], api: Api) -> str:
    """Return a function's docstring, with those of its class or of what it overrides."""
    owner = api.get(name.rpartition(".")[0])
    texts = [value.__doc__ or ""]
    if inspect.isclass(owner):
        member = name.rpartition(".")[2]
        texts += [getattr(vars(base).get(member), "__doc__", None) or "" for base in owner.__mro__[1:-1]]
        if member in ("__init__", "__post_init__", "__call__") or not texts[0]:
            texts.append(owner.__doc__ or "")
    return "\n".join(texts)


def definition(value: Callable[..., object]) -> ast.FunctionDef:
    """Parse a function's source."""
    node = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(value)))).body[0]
    assert isinstance(node, ast.FunctionDef)
    return node


def annotations(node: ast.FunctionDef) -> dict[str, str]:
    """Annotations of a function's parameters, and of what it returns."""
    given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    named = {each.arg: ast.unparse(each.annotation) for each in given if each.annotation}
    return named | ({"return": ast.unparse(node.returns)} if node.returns else {})


def raised_errors(node: ast.FunctionDef) -> set[str]:
    """Errors of the family that a function raises itself."""
    raised = {
        ast.unparse(each.exc.func).rpartition(".")[2]
        for each in ast.walk(node)
        if isinstance(each, ast.Raise) and isinstance(each.exc, ast.Call)
    }
    return raised & ERRORS


def check_description(name: str, value: object, api: Api) -> Iterator[str]:
    """Check that a public function or class is documented: errors, shapes of arrays, units of quantities."""
    if inspect.isfunction(value):
        node, text = definition(value), description(name, value, api)
        quantities = annotations(node)
        for error in sorted(raised_errors(node)):
            if not re.search(rf"\b{error}\b", text):
                yield f"raises {error} and does not document it"
    elif inspect.isclass(value):
        text = vars(value).get("__doc__") or ""
        quantities = {field: str(kind) for field, kind in vars(value).get("__annotations__", {}).items()}
        if text.startswith(f"{value.__name__}("):
            yield "has no docstring of its own"
    else:
        return
    if not text.strip():
        yield "is not documented"
    if any("ndarray" in kind for kind in quantities.values()) and not SHAPE.search(text):
        yield "does not give the shape of its arrays"
    for pattern, unit in UNITS.items():
        fields = [field for field in quantities if re.search(pattern, field)]
        if fields and not re.search(unit, text):
            yield f"does not give the unit of {', '.join(fields)} ({unit})"


def api_members(api: Api) -> list[tuple[str, object]]:
    """Every public value with its members; a value that two modules list is described once."""
    return [pair for name, value in api.items() for pair in members(name, value)]


def signatures(api: Api) -> dict[str, str]:
    """Public names with their signatures, as they are written."""
    written: dict[str, str] = {}
    for name, value in api_members(api):
        if inspect.isfunction(value):
            node = definition(value)
            written[name] = f"({ast.unparse(node.args)})" + (f" -> {ast.unparse(node.returns)}" if node.returns else "")
        elif inspect.isclass(value):
            fields = vars(value).get("__annotations__", {})
            written[name] = "class" + "".join(f" {field}: {kind}," for field, kind in fields.items() if field[0] != "_")
        else:
            written[name] = "module" if inspect.ismodule(value) else "value"
    return written


def api_complaints(api: Api, listed: Iterable[str]) -> Iterator[str]:
    """Complaints about public names, and about what public_api.txt lists of them."""
    for prefix, (module, most) in PUBLIC_MODULES.items():
        count = len(own_names(module))
        if count > most:
            yield f"anybind{'.' * bool(prefix)}{prefix}: {count} public names, more than {most}"
    described = dict(api_members(api))
    for name, value in described.items():
        yield from (f"anybind.{name} {complaint}" for complaint in check_description(name, value, described))
    expected = dict(line.split(" ", 1) for line in listed if line and not line.startswith("#"))
    current = signatures(api)
    for name in sorted(current.keys() | expected.keys()):
        if current.get(name) != expected.get(name):
            yield f"public_api.txt: {name} has changed; see whom that breaks, then run tests/lint.py --write"


def main() -> int:
    """Print complaints, or write the list of public names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the list of public names anew")
    api = public_names()
    if parser.parse_args().write:
        lines = ["# Public names and their signatures. Written by tests/lint.py --write."]
        lines += [f"{name} {text}" for name, text in sorted(signatures(api).items())]
        LISTED.write_text("\n".join([*lines, ""]), encoding="utf-8")
        print(f"{len(lines) - 1} names in {LISTED.relative_to(ROOT)}")
        return 0
    complaints = [*source_complaints(), *api_complaints(api, LISTED.read_text(encoding="utf-8").splitlines())]
    print(*complaints, sep="\n", end="\n" if complaints else "")
    print(f"{len(complaints)} complaints")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
