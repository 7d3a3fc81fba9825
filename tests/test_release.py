"""A release is complete: wheel and sdist build, pass twine, have the expected content, and work in a new environment."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSION: str = PROJECT["version"]
SOURCES = ("core", "plugins", "pyproject.toml", "README.md", "LICENSE")
LARGEST_BYTES = 90_000_000
"""Limit of a wheel or sdist; the shipped weights are 82 MB before compression."""


def run_python(*arguments: object, python: Path | str = sys.executable, folder: Path = ROOT) -> str:
    """Run Python and return its output; a failure is an assertion with the output of the process."""
    ended = subprocess.run([python, *map(str, arguments)], cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Wheel and sdist, built from a copy of the sources without network."""
    folder = tmp_path_factory.mktemp("release")
    for name in SOURCES:
        source, target = ROOT / name, folder / "source" / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(source, target)
    run_python("-m", "build", "--no-isolation", "--outdir", folder / "dist", folder / "source")
    (wheel,), (sdist,) = (list((folder / "dist").glob(pattern)) for pattern in ("*.whl", "*.tar.gz"))
    return wheel, sdist


@pytest.mark.slow
def test_twine_accepts_wheel_and_sdist(distributions: tuple[Path, Path]) -> None:
    run_python("-m", "twine", "check", "--strict", *distributions)


@pytest.mark.slow
def test_wheel_and_sdist_have_all_modules_and_data_and_are_small(distributions: tuple[Path, Path]) -> None:
    wheel, sdist = distributions
    assert wheel.name == f"anybind-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = {name for name in archive.namelist() if ".dist-info/" not in name}
    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}
    tracked = subprocess.run(
        ["git", "ls-files", "core", "plugins"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    tracked_files = {name for name in tracked.stdout.splitlines() if (ROOT / name).is_file()}
    assert in_wheel == {name.partition("/")[2] for name in tracked_files}
    assert tracked_files <= in_sdist
    assert max(wheel.stat().st_size, sdist.stat().st_size) < LARGEST_BYTES


@pytest.mark.slow
def test_the_wheel_works_in_a_new_environment(distributions: tuple[Path, Path], tmp_path: Path) -> None:
    """The requirements come from this environment by a path file, so that no network is needed."""
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    install: Sequence[object] = (
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
        distributions[0],
    )
    run_python(*install)
    site = Path(run_python("-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])", python=python).strip())
    required = {str(importlib.metadata.distribution("typer").locate_file("")), str(Path(pytest.__file__).parents[1])}
    (site / "requirements.pth").write_text("\n".join(sorted(required)))
    anybind = python.with_name("anybind")
    assert run_python(anybind, "--version", python=python, folder=tmp_path).strip() == f"anybind {VERSION}"
    location = run_python("-c", "import anybind, anybind_mini; print(anybind.__file__)", python=python, folder=tmp_path)
    assert location.startswith(str(site))
    assert "mini" in run_python(anybind, "bindings", python=python, folder=tmp_path)


def test_version_citation_and_changelog_agree() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {VERSION}\n" in citation
    assert "arXiv:2412.03093" in citation
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", changelog, re.MULTILINE)
    assert versions[0] == ("Unreleased", "")
    assert versions[1][0] == VERSION
    assert versions[1][1]  # the date of the release
    sections = set(re.findall(r"^### (\w+)$", changelog, re.MULTILINE))
    assert sections <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.mark.parametrize("card", sorted((ROOT / "plugins").glob("*/*.md")), ids=lambda path: path.stem)
def test_a_model_card_has_the_form_of_the_hub(card: Path) -> None:
    yaml = pytest.importorskip("yaml")
    _, front_matter, text = card.read_text(encoding="utf-8").split("---\n", 2)
    metadata = yaml.safe_load(front_matter)
    assert metadata["license"] == "apache-2.0"
    assert metadata["library_name"] == "anybind"
    assert metadata["model-index"][0]["results"][0]["metrics"]
    assert card.with_suffix(".safetensors").is_file()
    for result in metadata["model-index"][0]["results"]:
        for metric in result["metrics"]:
            assert str(metric["value"]) in text
