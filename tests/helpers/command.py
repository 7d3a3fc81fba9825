"""The command `anybind` in tests: in a separate process, its results, and distributions beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple


class CommandResult(NamedTuple):
    """Exit code and output of a command."""

    code: object
    out: str
    err: str

    def error(self) -> str:
        """Return the error line of a failed command; fail if there are more lines or a traceback."""
        assert self.code == 2, self
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: ")
        assert self.out == ""
        return lines[0]


Command = Callable[..., CommandResult]
"""Runs the command with arguments: the type of the fixture `cli`."""


def run_anybind(*arguments: object, path: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a separate process and capture its output; `path` is a folder of further distributions."""
    variables = {**os.environ, **environment}
    if path is not None:
        variables["PYTHONPATH"] = str(path)
    command = [sys.executable, "-m", "anybind", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=variables, timeout=300, check=False)


def install_distribution(
    site: Path, name: str, entry_points: Mapping[str, str], modules: Mapping[str, str], version: str = "1.0"
) -> None:
    """Install a distribution into a folder, in the layout of pip."""
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"{point} = {target}" for point, target in entry_points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[anybind]", *lines, ""]))
    for module, source in modules.items():
        (site / f"{module}.py").write_text(source)


def install_plugins(site: Path, sources: Mapping[str, str]) -> None:
    """Install plugins by name, each the only module of a distribution of its name."""
    for name, source in sources.items():
        module = f"{name.replace('-', '_')}_plugin"
        install_distribution(site, name, {name: module}, {module: source})
