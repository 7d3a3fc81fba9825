"""Run the blocks of one page in order, in one folder and one namespace."""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path
from typing import Any

import typer
from doc_blocks import ROOT, Block

from anybind.cli import app, main
from anybind.plugin import BadInput
from anybind.registry import use_registry

PLAIN = {"text", "json"}
"""Languages of blocks that are never run: program output."""


class Page:
    """The state between the blocks of a page: variables, the folder, installed plugins."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, Any] = {"__name__": "__page__"}
        self.output = ""
        self.site = folder / ".site"
        self.site.mkdir()

    def run(self, block: Block) -> None:
        """Run one block, or validate it if it is marked as not run."""
        assert block.language in {"python", "sh", "toml"} | PLAIN, f"{block}: give the block one of the known languages"
        if block.language == "toml":
            tomllib.loads(block.text)
        if block.is_output:
            assert self.output.strip() == block.text.strip(), f"{block}: the block before prints {self.output!r}"
        elif block.title:
            self._write_file(block)
        elif block.language == "python":
            self._run_python(block)
        elif block.language == "sh":
            for line in shell_lines(block.text):
                check_line(line, block) if block.not_run else self._run_shell(line, block)

    def _write_file(self, block: Block) -> None:
        if block.title.endswith(".py"):
            ast.parse(block.text, str(block))
        path = Path(block.title)
        assert not path.is_absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")

    def _run_python(self, block: Block) -> None:
        padded = "\n" * block.line + block.text
        code = ast.parse(padded, str(block.page))
        if not block.not_run:
            with contextlib.redirect_stdout(io.StringIO()) as output:
                exec(compile(code, str(block.page), "exec"), self.names)
            self.output = output.getvalue()

    def _run_shell(self, line: str, block: Block) -> None:
        words = shlex.split(line, comments=True)
        if words[:3] == ["pip", "install", "-e"]:
            self._install(Path(words[3].partition("[")[0]))
        elif words[0] == "cd":
            os.chdir(words[1])
        elif words[0] == "anybind" and not _needs_shell(line):
            output, code = _run_anybind([path for word in words[1:] for path in _expand(word)])
            assert code == 0, f"{block}: {line}\nexit code {code}\n{output}"
        else:
            path = f"{self.site}{os.pathsep}{Path.cwd()}"
            environment = {
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "PYTHONPATH": path,
            }
            done = subprocess.run(["bash", "-ec", line], env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{block}: {line}\n{done.stdout}{done.stderr}"

    def _install(self, folder: Path) -> None:
        """Emulate `pip install -e` of a plugin: register its entry points and make its modules importable."""
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        info = self.site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        )
        points = [f"{name} = {target}" for name, target in project["entry-points"]["anybind"].items()]
        (info / "entry_points.txt").write_text("\n".join(["[anybind]", *points, ""]))
        (self.site / f"{project['name']}.pth").write_text(str(folder.resolve()))
        sys.path[:0] = [str(folder.resolve()), str(self.site)]
        importlib.invalidate_caches()
        use_registry(None)


def shell_lines(text: str) -> list[str]:
    """Return the commands of a block, with backslash continuations joined and without comments."""
    joined = re.sub(r"\\\n\s*", "", text)
    return [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def check_line(line: str, block: Block) -> None:
    """Validate a command without running it: its name, options and arguments, or its Makefile target."""
    bare = shlex.split(line, comments=True)
    while bare and re.fullmatch(r"[A-Z_]+=.*", bare[0]):
        del bare[0]
    if bare[0] == "torchrun" and "-m" in bare:
        bare = bare[bare.index("-m") + 1 :]
    if bare[0] == "anybind":
        try:
            _parse(bare[1:])
        except BadInput:
            pass  # a file that the options name is missing: they are valid
        except Exception as error:
            raise AssertionError(f"{block}: {line}\n{error!r}") from error
    elif bare[0] == "make":
        targets = {word for word in bare[1:] if "=" not in word}
        available = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert targets <= set(available), f"{block}: no target {targets - set(available)} in the Makefile"


def _parse(words: list[str]) -> None:
    """Parse the arguments of a command, of a command of a command, and so on, without running any."""
    context: Any = typer.main.get_command(app).make_context("anybind", words)
    while isinstance(context.command, typer.core.TyperGroup) and (rest := [*context._protected_args, *context.args]):
        name, command, rest = context.command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)


def _run_anybind(words: list[str]) -> tuple[str, object]:
    """Run the command in this process; return its output and exit code."""
    output = io.StringIO()
    before, sys.argv = sys.argv, ["anybind", *words]
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            main()
    except SystemExit as end:
        return output.getvalue(), end.code or 0
    finally:
        sys.argv = before
    return output.getvalue(), 0


def _needs_shell(line: str) -> bool:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    return any(set(word) <= set("();<>|&") for word in lexer)


def _expand(word: str) -> list[str]:
    """Expand `~` and wildcards in a word, as the shell does."""
    if not set(word) & set("~*?"):
        return [word]
    path = Path(word).expanduser()
    matches = sorted(str(each) for each in path.parent.glob(path.name))
    return matches or [str(path)]
