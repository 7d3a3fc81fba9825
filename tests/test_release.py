"""A release is complete: wheel and sdist build, pass twine, have the expected content, and work in a new environment."""

from __future__ import annotations

import importlib.metadata
import json
import os
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
from typing import Any

import av
import numpy as np
import pytest

import anybind
from anybind_classification.demo_images import list_demo_images

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSION: str = PROJECT["version"]
SOURCES = ("core", "plugins", "pyproject.toml", "README.md", "LICENSE")
LARGEST_BYTES = 90_000_000
"""Limit of a wheel or sdist; the shipped weights are 82 MB before compression."""
HEAVY = ("torch", "torchvision", "transformers", "timm", "skimage", "av", "h5py", "polars", "matplotlib", "scipy")
"""Packages that the extra `mini` must not bring."""
LARGEST_ENVIRONMENT_BYTES = 650_000_000


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


@pytest.fixture(scope="module")
def small_environment(distributions: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel and its extra `mini` from the package index; return the Python of the environment."""
    folder = tmp_path_factory.mktemp("small") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    options = ("--no-compile", "--disable-pip-version-check", "--retries", "1", "-c", ROOT / "constraints.txt")
    command = (sys.executable, "-m", "pip", "--python", python, "install", *options, f"{distributions[0]}[mini]")
    ended = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    if "ConnectionError" in ended.stderr or "NewConnectionError" in ended.stderr:
        pytest.skip("no package index can be reached")
    assert ended.returncode == 0, ended.stderr
    return python


def run_anybind(python: Path | str, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"ANYBIND_STORE": str(folder / "store"), "OMP_NUM_THREADS": "1"}
    command = [str(python), "-m", "anybind", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def run_journey(python: Path | str, folder: Path) -> dict[str, Any]:
    """Run what needs no torch; return the answers of the commands, and the contents of the files that they write."""
    folder.mkdir()
    classes = folder / "classes"
    for path, caption in list(list_demo_images().items())[3:5]:
        (classes / caption).mkdir(parents=True)
        shutil.copy(path, classes / caption)
    cat, coffee = sorted(classes.glob("*/*.jpg"))
    commands: dict[str, tuple[object, ...]] = {
        "demo": ("demo", "-o", "demo"),
        "simulate": ("simulate", cat, "-o", "cat.npz"),
        "info": ("info", "cat.npz"),
        "render": ("render", "cat.npz", "-o", "cat.png"),
        "classify": ("classify", "cat.npz", cat, "--labels", "a cat,a rocket"),
        "embed": ("embed", "cat.npz", cat, coffee, "-o", "embeddings.safetensors"),
        "index": ("index", classes, "-o", "index.safetensors"),
        "search": ("search", "a cup of coffee", "--in", "index.safetensors"),
        "evaluate": ("evaluate", "zero-shot", "--data", classes, "--modality", "event"),
    }
    answers: dict[str, Any] = {}
    for name, command in commands.items():
        ended = run_anybind(python, folder, *command, "--json")
        assert ended.returncode == 0, (name, ended.stderr)
        answers[name] = json.loads(ended.stdout)
        answers[name].pop("versions", None)  # of the installed packages
    embeddings = anybind.load_embeddings(folder / "embeddings.safetensors")
    vectors = np.concatenate([embeddings[modality].vectors for modality in ("event", "image")])
    return {**answers, "vectors": vectors, "png": (folder / "cat.png").read_bytes()}


def compare_answers(one: object, other: object, at: str) -> None:
    """Assert that two JSON-like answers are equal, and their fractions within 1e-4."""
    if isinstance(one, dict) and isinstance(other, dict):
        assert one.keys() == other.keys(), at
        for key, value in one.items():
            compare_answers(value, other[key], f"{at}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            compare_answers(*pair, f"{at}[{number}]")
    elif isinstance(one, float) and isinstance(other, float):
        assert one == pytest.approx(other, abs=1e-4), at
    else:
        assert one == other, at


def write_video(path: Path) -> None:
    """Write ten gray frames."""
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 64, 48
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * number, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.long
@pytest.mark.slow
def test_mini_runs_without_torch_in_a_small_environment_and_answers_alike(
    small_environment: Path, tmp_path: Path
) -> None:
    listing = f"import importlib.util as u; print([name for name in {HEAVY} if u.find_spec(name)])"
    assert run_python("-c", listing, python=small_environment).strip() == "[]"
    files = (path for path in small_environment.parents[1].rglob("*") if path.is_file() and not path.is_symlink())
    assert sum(path.stat().st_size for path in files) < LARGEST_ENVIRONMENT_BYTES
    small, full = run_journey(small_environment, tmp_path / "a"), run_journey(sys.executable, tmp_path / "b")
    np.testing.assert_allclose(small.pop("vectors"), full.pop("vectors"), atol=1e-4)
    assert small.pop("png") == full.pop("png")
    folders = str(tmp_path / "b"), str(tmp_path / "a")
    for name, answer in small.items():
        compare_answers(answer, json.loads(json.dumps(full[name]).replace(*folders)), name)


@pytest.mark.long
@pytest.mark.slow
def test_what_the_small_environment_lacks_names_the_extra(small_environment: Path, tmp_path: Path) -> None:
    image = next(iter(list_demo_images()))
    recording = anybind.derive("event", anybind.read(image), seed=0)
    for name in ("a.h5", "a.csv", "a.npz"):
        anybind.write(recording, tmp_path / name)
    write_video(tmp_path / "video.mp4")
    commands = {
        ("vad", "video.mp4", "--head", "event-rate"): "events",
        ("explain", "a.npz", "--text", "a cat", "-o", "map.png"): "explain",
        ("info", "a.h5"): "events",
        ("info", "a.csv"): "events",
        ("simulate", "video.mp4", "-o", "video.npz"): "events",
        ("simulate", image, "-o", "b.h5"): "events",
    }
    for command, extra in commands.items():
        ended = run_anybind(small_environment, tmp_path, *command)
        assert ended.returncode == 2, command
        assert ended.stderr.count("\n") == 1, ended.stderr
        assert f"pip install 'anybind[{extra}]'" in ended.stderr, ended.stderr


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
