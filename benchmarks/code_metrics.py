"""Measure the size of the code base: statements, lines, concepts and repetitions, for one or several commits.

    python benchmarks/code_metrics.py                          the working tree
    python benchmarks/code_metrics.py 0ec0005 HEAD             commits side by side
    python benchmarks/code_metrics.py 0ec0005 HEAD --output table.md

Statements are nodes `ast.stmt` without docstrings. A duplicate is a maximal run of six or more equal lines at two
positions, ignoring white space, blank lines, comments, imports and lines without words. Dynamic measures, such as CPU
time of the tests, are not included.
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
MIN_DUPLICATE_LINES = 6


def parse_files(root: Path, folders: Iterable[str]) -> dict[Path, ast.Module]:
    """Parse the Python files below folders."""
    paths = [path for folder in folders for path in sorted((root / folder).rglob("*.py"))]
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def count_statements(trees: Iterable[ast.Module]) -> int:
    """Count statements without docstrings."""
    return sum(
        isinstance(node, ast.stmt)
        and not (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        )
        for tree in trees
        for node in ast.walk(tree)
    )


def count_lines(paths: Iterable[Path]) -> int:
    """Count physical lines."""
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


def count_name(trees: Iterable[ast.Module], name: str) -> int:
    """Count uses of a name without imports."""
    return sum(getattr(node, "id", None) == name for tree in trees for node in ast.walk(tree))


def count_calls(trees: Iterable[ast.Module], pattern: str) -> int:
    """Count calls of functions whose source text matches a pattern."""
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return sum(re.search(pattern, ast.unparse(call.func)) is not None for call in calls)


def count_handlers(trees: Iterable[ast.Module], name: str) -> int:
    """Count `except` clauses for an exception."""
    handlers = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.type]
    return sum(name in ast.unparse(handler.type) for handler in handlers if handler.type)


def find_longest_function(trees: Iterable[ast.Module]) -> int:
    """Return the length of the longest function in lines."""
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return max(function.end_lineno - function.lineno + 1 for function in functions if function.end_lineno)


def count_public_names(tree: ast.Module) -> int:
    """Count the names in a module's `__all__`."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return len(ast.literal_eval(node.value))
    return 0


def list_significant_lines(path: Path) -> list[str]:
    """List the lines relevant for duplicates, with normalised white space."""
    lines = [" ".join(line.split()) for line in path.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if re.search(r"\w", line) and not re.match(r"#|import |from ", line)]


def count_duplicates(paths: Iterable[Path]) -> int:
    """Count maximal runs of at least `MIN_DUPLICATE_LINES` equal lines at two positions."""
    lines = {path: list_significant_lines(path) for path in paths}
    positions: dict[tuple[str, ...], list[tuple[Path, int]]] = defaultdict(list)
    for path, file_lines in lines.items():
        for start in range(len(file_lines) - MIN_DUPLICATE_LINES + 1):
            positions[tuple(file_lines[start : start + MIN_DUPLICATE_LINES])].append((path, start))
    pairs = {
        (first, second)
        for equal in positions.values()
        for number, first in enumerate(equal)
        for second in equal[number + 1 :]
    }
    # A pair that continues another one by a line at both positions belongs to the same run.
    return sum(
        ((one, start - 1), (other, other_start - 1)) not in pairs for (one, start), (other, other_start) in pairs
    )


def count_core_kinds(root: Path, trees: dict[Path, ast.Module]) -> int:
    """Count the kinds of part that core declares."""
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
    """Count the hooks that plugins can implement."""
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return sum("hookspec" in map(ast.unparse, function.decorator_list) for function in functions)


def measure(root: Path, quick: bool) -> Iterator[tuple[str, int]]:
    """Measure a tree; yield name and value of each measure."""
    source, tests = parse_files(root, SOURCE), parse_files(root, TESTS)
    core = root / "core" / "anybind"
    yield "statements, source", count_statements(source.values())
    yield "statements, tests", count_statements(tests.values())
    yield "lines, source", count_lines(source)
    yield "lines, tests", count_lines(tests)
    yield "files, source", len(source)
    yield "kinds of part in core", count_core_kinds(root, source)
    yield "hooks", count_hooks(source.values())
    for module in ("__init__", "plugin", "commandline", "pages", "testing/__init__"):
        path = core / f"{module}.py"
        if path in source:
            name = f"anybind.{module}".removesuffix(".__init__").replace("/__init__", "")
            count = count_public_names(source[path]) or sum(
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
    if not quick:
        yield f"duplicates of {MIN_DUPLICATE_LINES} lines or more, source", count_duplicates(source)
        yield f"duplicates of {MIN_DUPLICATE_LINES} lines or more, tests", count_duplicates(tests)
    yield "longest function (lines)", find_longest_function(source.values())


def measure_commit(commit: str, quick: bool) -> dict[str, int]:
    """Measure a commit from its archive, or the working tree for an empty name."""
    if not commit:
        return dict(measure(ROOT, quick))
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        return dict(measure(Path(folder), quick))


def format_table(commits: list[str], quick: bool) -> str:
    """Format a Markdown table: one row a measure, one column a commit, and the change from first to last."""
    columns = [measure_commit(commit, quick) for commit in commits]
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
    """Print the table, or write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commits", nargs="*", default=[""], help="commits to measure [default: the working tree]")
    parser.add_argument("--output", type=Path, help="Markdown file to write [default: print]")
    parser.add_argument("--quick", action="store_true", help="skip the search for duplicates")
    arguments = parser.parse_args()
    text = format_table(arguments.commits, arguments.quick)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
