"""Check the project's language: the field's terms in names, docstrings, help texts, errors and documentation.

    python tests/lint_language.py                     exit 1 where a term is used that readers have to decode
    python tests/lint_language.py plugins/anybind_vad README.md       the same for some files and folders
    python tests/lint_language.py --count             count the terms in core, plugins, tests and docs

Prose is what people read: docstrings, comments, string constants with a space (help texts, errors) and Markdown
outside of code. Names are those of modules, classes, functions, parameters, variables and attributes. No class name
stands twice in core and plugins.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import subprocess
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CODE, PROSE = ("core", "plugins", "tests", "benchmarks", "docs"), ("docs", "README.md", "CONTRIBUTING.md")

PHRASES: Mapping[str, str] = {
    r"pictures?\b|\bstills\b": "image",
    r"films?\b|play(s|ed)? to (its|the) end": "video, clip",
    r"data sets?\b": "dataset",
    r"sentences? with \{\}": "prompt",
    r"rises and falls|what fires": "ON and OFF events",
    r"likeness|how near|how (well )?they fit": "similarity, score",
    r"lessons?\b|taught\b|items? asked": "dataset, sample, teacher",
    r"asks? (a|the|one) (question|task|model|binding|encoder)|questions?\b|right answers?\b": "evaluate, evaluation",
    r"what guessing (gives|would)|by guessing": "chance level",
    r"take(s|n)? up\b|left behind|le(t|ts|tting) go\b|known again": "resume, evict, cache key",
    r"bell of|drawn with return": "Gaussian smoothing (sigma), bootstrap",
    r"where towers run|how many at once": "device, batch size",
    r"(?<!image )(?<!text )(?<!two )(?<!clip )(?<!frozen )towers?\b": "encoder",
    r"mak(es?|ing) no sense|holds? nothing": "invalid, empty",
    r"(?<!there )(?:is|are) no (?!longer|more|less|such|network|need|other|default)[a-z]+": "is not a ..., expected X, got Y",
    r"(?:is|are|was|were) told\b|tells? (of|whether|apart|which|what)\b|told apart": "state, report, print",
    r"what is made of|vectors of (others|theirs)": "embeddings",
    r"carr(y|ies) (vectors|embeddings)": "map",
    r"\brooms?\b|\bhouses?\b": "package, module, folder",
    r"cannot be played|to play\b": "cannot be decoded",
}
"""Phrases that readers have to decode, each with the terms to use."""

PARTICIPLES = {
    "asked", "found", "given", "held", "kept", "known", "made", "named", "noted", "shown", "taken", "told", "wanted",
}  # fmt: skip
"""No function is named so, and no variable but `named`, `given` and `taken`."""
VARIABLES = PARTICIPLES - {"given", "named", "taken"}
TOKENS = {"film", "films", "picture", "pictures", "told", "tell", "lesson", "lessons", "nothing", "settle", "likeness"}
"""Words in names of anything."""
ALLOWED: Mapping[str, str] = {
    r"tests/helpers/replicas\.py:\d+: 'room'": "scene names of NYU and SUN RGB-D",
}
"""Complaints that are right as they are: a regular expression of the complaint, with its reason; at most 20."""


def check_prose(text: str) -> Iterator[str]:
    """Find phrases of the guide in a text."""
    for pattern, use in PHRASES.items():
        for match in re.finditer(rf"\b(?:{pattern})", text, re.IGNORECASE):
            line = text.count("\n", 0, match.start())
            yield f"{line}: {match.group()!r}: use {use}"


def check_name(name: str, *, is_function: bool) -> Iterator[str]:
    """Find words of the guide in a name."""
    words = re.split(r"_|(?<=[a-z])(?=[A-Z])", name)
    if (not is_function and name.lower().strip("_") in VARIABLES) or (is_function and name.strip("_") in PARTICIPLES):
        yield f"the name {name!r} is a participle: name what it is, or what it does"
    yield from (f"the name {name!r}: not {word!r}" for word in words if word.lower() in TOKENS)


def find_names(tree: ast.AST) -> Iterator[tuple[int, str, bool]]:
    """Names that a module defines: line, name, and whether it is a function's."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, node.name, True
        elif isinstance(node, ast.ClassDef):
            yield node.lineno, node.name, False
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg, False
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id, False
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr, False


def find_texts(source: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Prose in a module: comments, and string constants with a space, docstrings among them; each with its line."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value


def check_module(path: Path) -> Iterator[str]:
    """Check names and prose of a Python file."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    names = {(name, is_function): line for line, name, is_function in reversed(list(find_names(tree)))}
    names[path.stem, False] = 1
    for (name, is_function), line in names.items():
        yield from (f"{line}: {complaint}" for complaint in check_name(name, is_function=is_function))
    for line, text in find_texts(source, tree):
        for complaint in check_prose(text):
            offset, _, rest = complaint.partition(": ")
            yield f"{line + int(offset)}: {rest}"


def check_page(path: Path) -> Iterator[str]:
    """Check the prose of a Markdown page; code blocks and code spans count as code."""
    text = re.sub(r"^```.*?^```", lambda code: "\n" * code.group().count("\n"), path.read_text(), flags=re.S | re.M)
    for complaint in check_prose(re.sub(r"`[^`\n]*`", "", text)):
        offset, _, rest = complaint.partition(": ")
        yield f"{int(offset) + 1}: {rest}"


def check_class_names(paths: Iterable[Path]) -> Iterator[str]:
    """Find class names that stand in several places."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{path.relative_to(ROOT).as_posix()}:{node.lineno}")
    for name, where in places.items():
        if len(where) > 1:
            yield f"{where[0]}: the class name {name!r} stands twice: {', '.join(where[1:])}"


def list_files(names: Iterable[str]) -> list[Path]:
    """List the tracked Python files and Markdown pages in and below some folders."""
    listed = subprocess.run(["git", "ls-files", *names], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [ROOT / line for line in listed.splitlines() if line.endswith((".py", ".md"))]
    return [path for path in paths if path.is_file() and path.stem not in ("lint_language", "test_lint_language")]


def find_complaints(names: Iterable[str] = (*CODE, *PROSE)) -> list[str]:
    """Check files and folders; without what `ALLOWED` lists."""
    paths = list_files(names)
    complaints = [
        f"{path.relative_to(ROOT).as_posix()}:{complaint}"
        for path in paths
        for complaint in (check_module(path) if path.suffix == ".py" else check_page(path))
    ]
    complaints += check_class_names(list_files(("core/**/*.py", "plugins/**/*.py")))
    return [each for each in complaints if not any(re.search(pattern, each) for pattern in ALLOWED)]


def main() -> int:
    """Print complaints, or their number by folder and term."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", help="files and folders to check; all by default")
    parser.add_argument("--count", action="store_true", help="print the number of complaints by folder")
    arguments = parser.parse_args()
    complaints = find_complaints(arguments.paths or (*CODE, *PROSE))
    if arguments.count:
        for folder, count in sorted(Counter(each.split("/")[0].split(":")[0] for each in complaints).items()):
            print(f"{folder:12} {count}")
        return 0
    print(*complaints, sep="\n", end="\n" if complaints else "")
    print(f"{len(complaints)} complaints")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
