"""An environment with core and its requirements, installed from wheels, without heavy packages."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path.parent for path in (ROOT / "docs" / "examples").glob("*/pyproject.toml"))
SOURCES = ("core", "plugins", "pyproject.toml", "README.md", "LICENSE")
BESIDE = ("pytest", "setuptools")
"""Further packages of the environment: pytest, and setuptools to build distributions."""


class Environment(NamedTuple):
    """A virtual environment."""

    python: Path
    folder: Path

    def run(self, *arguments: object, at: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run this Python without the variables of the parent process for Python and anybind."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ANYBIND"))}
        command = [str(self.python), *map(str, arguments)]
        return subprocess.run(
            command,
            cwd=at or self.folder,
            env={**inherited, "COLUMNS": "200", **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def anybind(self, *arguments: object, at: Path | None = None, **variables: str):
        """Run the installed command `anybind`."""
        return self.run(self.python.with_name("anybind"), *arguments, at=at, **variables)

    def install(self, *wheels_or_folders: object) -> None:
        """Install wheels or folders without a network."""
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(self.python), "install"]
        options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--no-compile"]
        ended = subprocess.run(
            [*pip, *options, *map(str, wheels_or_folders)], capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr


def build_wheel(source: Path, into: Path) -> Path:
    """Build a wheel from a copy of the sources, so that nothing is left beside them."""
    copy = into / f"{source.name}-sources"
    for name in SOURCES if source == ROOT else (path.name for path in source.iterdir()):
        target, ignored = copy / name, shutil.ignore_patterns("__pycache__", "*.egg-info", "build", ".*")
        target.parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, target, ignore=ignored)
        else:
            shutil.copy(source / name, target)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(into / copy.name)]
    ended = subprocess.run([*pip, *options, str(copy)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    (wheel,) = (into / copy.name).glob("*.whl")
    return wheel


def list_required(name: str, extras: frozenset[str] = frozenset()) -> Iterator[importlib.metadata.Distribution]:
    """List the installed requirements of a distribution, and their requirements."""
    for line in importlib.metadata.requires(name) or []:
        requirement = Requirement(line)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": each}) for each in {"", *extras}):
            yield importlib.metadata.distribution(requirement.name)
            yield from list_required(requirement.name, frozenset(requirement.extras))


def link_distributions(distributions: Iterator[importlib.metadata.Distribution], site: Path) -> None:
    """Link the top-level folders and modules of distributions into another environment."""
    for distribution in distributions:
        for top in {file.parts[0] for file in distribution.files or [] if file.parts[0] not in ("..", "__pycache__")}:
            target = Path(str(distribution.locate_file(top)))
            if target.exists() and not (site / top).exists():
                (site / top).symlink_to(target)


def make_environment(folder: Path) -> Environment:
    """Create a virtual environment with links to the requirements of core only."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    lines = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
        capture_output=True,
        text=True,
        check=True,
    )
    site = Path(lines.stdout.strip())
    link_distributions(list_required("anybind"), site)
    for name in BESIDE:
        link_distributions(iter([importlib.metadata.distribution(name)]), site)
        link_distributions(list_required(name), site)
    return Environment(python, folder)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Build the wheels of anybind and of the examples, by name."""
    into = tmp_path_factory.mktemp("wheels")
    return {"anybind": build_wheel(ROOT, into), **{source.name: build_wheel(source, into) for source in EXAMPLES}}


@pytest.fixture(scope="session")
def examples_environment(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Create an environment with core and all examples, installed from wheels."""
    environment = make_environment(tmp_path_factory.mktemp("examples_environment"))
    environment.install(*wheels.values())
    return environment


@pytest.fixture(scope="session")
def core_environment(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Create an environment with core only, in a separate folder."""
    folder = tmp_path_factory.mktemp("core_environment")
    environment = make_environment(folder / "environment")
    environment.install(wheels["anybind"])
    return environment._replace(folder=folder)
