"""Measure the size of the code base: statements, lines, concepts and repetitions, for one or several commits.

    python benchmarks/code_metrics.py                          the working tree
    python benchmarks/code_metrics.py 0ec0005 HEAD             commits side by side
    python benchmarks/code_metrics.py 0ec0005 HEAD --output table.md

Statements are nodes `ast.stmt`, docstrings aside. A duplicate is a maximal run of six or more lines (blanks, comments,
imports and lone punctuation aside) that stands in two places of the source, white space folded, to the letter.
What only a running program shows - functions entered by a command, CPU seconds of the tests - is not measured here.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import subprocess
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE, TESTS = ("core", "plugins"), ("tests",)
RUN = 6
"""Lines that a duplicate has at least."""


def parse_files(root: Path, folders: Iterable[str]) -> dict[Path, ast.Module]:
    """The Python files in and below folders, parsed."""
    paths = [path for folder in folders for path in sorted((root / folder).rglob("*.py"))]
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def count_statements(trees: Iterable[ast.Module]) -> int:
    """Statements, docstrings aside."""
    return sum(
        isinstance(node, ast.stmt)
        and not (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        )
        for tree in trees
        for node in ast.walk(tree)
    )


def count_lines(paths: Iterable[Path]) -> int:
    """Physical lines."""
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


def count_name(trees: Iterable[ast.Module], name: str) -> int:
    """How often a name is used, imports aside."""
    return sum(getattr(node, "id", None) == name for tree in trees for node in ast.walk(tree))


def count_calls(trees: Iterable[ast.Module], pattern: str) -> int:
    """Calls whose function, as written, matches a pattern."""
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return sum(re.search(pattern, ast.unparse(call.func)) is not None for call in calls)


def count_handlers(trees: Iterable[ast.Module], name: str) -> int:
    """`except` clauses that catch an exception of that name."""
    handlers = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.type]
    return sum(name in ast.unparse(handler.type) for handler in handlers if handler.type)


def longest_function(trees: Iterable[ast.Module]) -> int:
    """Lines of the longest function."""
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return max(function.end_lineno - function.lineno + 1 for function in functions if function.end_lineno)


def public_names(tree: ast.Module) -> int:
    """Names in a module's `__all__`."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return len(ast.literal_eval(node.value))
    return 0


def significant_lines(path: Path) -> list[str]:
    """Lines that count in a search for duplicates, white space folded."""
    lines = [" ".join(line.split()) for line in path.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if re.search(r"\w", line) and not re.match(r"#|import |from ", line)]


def count_duplicates(paths: Iterable[Path]) -> int:
    """Maximal runs of at least `RUN` equal lines that stand in two places."""
    lines = {path: significant_lines(path) for path in paths}
    places: dict[tuple[str, ...], list[tuple[Path, int]]] = defaultdict(list)
    for path, of_file in lines.items():
        for start in range(len(of_file) - RUN + 1):
            places[tuple(of_file[start : start + RUN])].append((path, start))
    pairs = {
        (first, second)
        for found in places.values()
        for number, first in enumerate(found)
        for second in found[number + 1 :]
    }
    # A pair that only continues another one, a line further down in both places, is part of the same run.
    return sum(((one, at - 1), (other, also - 1)) not in pairs for (one, at), (other, also) in pairs)


def kinds_of_core(root: Path, trees: dict[Path, ast.Module]) -> int:
    """Kinds of part that core declares."""
    tree = trees[root / "core" / "anybind" / "spec.py"]
    for node in tree.body:
        target = (
            node.target
            if isinstance(node, ast.AnnAssign)
            else node.targets[0]
            if isinstance(node, ast.Assign)
            else None
        )
        if target is not None and ast.unparse(target) == "KINDS" and isinstance(node.value, ast.Tuple):
            return len(node.value.elts)
    return count_calls([tree], r"^_core_kind$")


def count_hooks(trees: Iterable[ast.Module]) -> int:
    """Hooks that plugins can implement."""
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return sum("hookspec" in map(ast.unparse, function.decorator_list) for function in functions)


def measure(root: Path) -> Iterator[tuple[str, int]]:
    """Names and values of all measures of a tree."""
    source, tests = parse_files(root, SOURCE), parse_files(root, TESTS)
    core = root / "core" / "anybind"
    yield "statements, source", count_statements(source.values())
    yield "statements, tests", count_statements(tests.values())
    yield "lines, source", count_lines(source)
    yield "lines, tests", count_lines(tests)
    yield "files, source", len(source)
    yield "kinds of part in core", kinds_of_core(root, source)
    yield "hooks", count_hooks(source.values())
    for module in ("__init__", "plugin", "commandline", "pages", "testing/__init__"):
        path = core / f"{module}.py"
        if path in source:
            name = f"anybind.{module}".removesuffix(".__init__").replace("/__init__", "")
            count = public_names(source[path]) or sum(
                isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_" for node in source[path].body
            )
            yield f"public names of {name}", count
    yield "`Any`", count_name(source.values(), "Any")
    yield "`hasattr`", count_name(source.values(), "hasattr")
    yield "`inspect.signature`", count_calls(source.values(), r"^(inspect\.)?signature$|_signature$")
    yield "`assert` in source", sum(isinstance(node, ast.Assert) for tree in source.values() for node in ast.walk(tree))
    yield "calls that write safetensors", count_calls(source.values(), r"\bsave_file$|^save$")
    yield "handlers of SafetensorError", count_handlers(source.values(), "SafetensorError")
    yield "calls that parse TOML or JSON files", count_calls(source.values(), r"^(tomllib|json)\.loads?$")
    yield "thread pools", count_calls(source.values(), r"ThreadPoolExecutor$|^(threading\.)?Thread$")
    yield f"duplicates of {RUN} lines or more, source", count_duplicates(source)
    yield f"duplicates of {RUN} lines or more, tests", count_duplicates(tests)
    yield "longest function (lines)", longest_function(source.values())


def measure_commit(commit: str) -> dict[str, int]:
    """The measures of a commit, from its archive; of the working tree for an empty name."""
    if not commit:
        return dict(measure(ROOT))
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        return dict(measure(Path(folder)))


def table(commits: list[str]) -> str:
    """A Markdown table: one row a measure, one column a commit, and the change from the first to the last."""
    columns = [measure_commit(commit) for commit in commits]
    names = list(dict.fromkeys(name for column in columns for name in column))
    lines = ["| measure | " + " | ".join(commit or "working tree" for commit in commits) + " | change |"]
    lines.append("| --- |" + " ---: |" * (len(commits) + 1))
    for name in names:
        values = [column.get(name) for column in columns]
        first, last = values[0], values[-1]
        change = f"{100 * (last - first) / first:+.0f} %" if first and last is not None else ""
        lines.append(
            f"| {name} | " + " | ".join("" if value is None else f"{value:,}" for value in values) + f" | {change} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    """Print the table, or write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commits", nargs="*", default=[""], help="commits to measure; the working tree by default")
    parser.add_argument("--output", type=Path, help="a Markdown file to write")
    arguments = parser.parse_args()
    text = table(arguments.commits)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
