"""The example distributions, built as wheels and installed into an environment with core only."""

from __future__ import annotations

import ast
import importlib
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

EXAMPLES = sorted(
    path.parent for path in (Path(__file__).resolve().parents[2] / "docs" / "examples").glob("*/pyproject.toml")
)

PUBLIC = {
    "anybind",
    "anybind.commandline",
    "anybind.plugin",
    "anybind.testing",
    "anybind_bench.suite",
}
NAMES = [source.name for source in EXAMPLES]
PLUGIN = {name: name.removeprefix("anybind-") for name in NAMES}


def test_there_is_a_modality_a_classification_head_and_a_ranking_head():
    assert NAMES == ["anybind-centroid", "anybind-inertial", "anybind-rerank"]


@pytest.mark.slow
@pytest.mark.parametrize("source", EXAMPLES, ids=lambda source: source.name)
def test_an_example_is_a_whole_distribution_on_public_modules_alone(source: Path, wheels: dict[str, Path]):
    assert all((source / name).is_file() for name in ("pyproject.toml", "README.md", "LICENSE"))
    own = source.name.replace("-", "_")
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("anybind"):
                continue
            assert node.module in PUBLIC or node.module.partition(".")[0] == own, path
            if node.module in ("anybind", "anybind.plugin"):
                public = importlib.import_module(node.module).__all__
                assert {alias.name for alias in node.names} <= set(public), path
    with zipfile.ZipFile(wheels[source.name]) as wheel:
        tops = {Path(name).parts[0] for name in wheel.namelist()}
    assert tops == {own, f"{own}-0.1.0.dist-info"}


@pytest.mark.slow
def test_the_environment_has_core_without_heavy_packages(examples_environment: Any):
    listing_heavy = examples_environment.run(
        "-c",
        "import importlib.util as u, anybind, sys\n"
        "print(anybind.__file__.startswith(sys.prefix), [n for n in sys.argv[1:] if u.find_spec(n)])",
        *("torch", "numba", "polars", "timm", "transformers", "soundfile", "av", "h5py", "scipy"),
    )
    assert listing_heavy.stdout.split(None, 1) == ["True", "[]\n"], listing_heavy.stderr


def test_parts_with_missing_packages_are_listed_without_an_error(examples_environment: Any):
    listed = examples_environment.anybind("plugins", "--json")
    assert listed.returncode == 0, listed.stderr
    output = json.loads(listed.stdout)
    assert {plugin["status"] for plugin in output["plugins"]} == {"ok"}
    assert {"mini", "events", *PLUGIN.values()} <= {plugin["name"] for plugin in output["plugins"]}
    checked = json.loads(examples_environment.anybind("plugins", "check", "mini", "--json").stdout)
    assert [each for part in checked["parts"] for each in part["checks"] if each["status"] == "failed"] == []
    (image,) = [part for part in checked["parts"] if part["name"] == "mini-image"]
    reasons = [each["message"] for each in image["checks"] if each["status"] == "skipped"]
    assert any("pip install 'anybind[mini-torch]'" in reason for reason in reasons)


@pytest.mark.slow
@pytest.mark.parametrize("source", EXAMPLES, ids=lambda source: source.name)
def test_the_tests_of_an_example_pass_with_core_only(source: Path, examples_environment: Any, tmp_path: Path):
    # Away from the sources, so that it is the wheel which is imported.
    shutil.copytree(source / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(source / "pyproject.toml", tmp_path)
    ended = examples_environment.run("-m", "pytest", "-p", "no:cacheprovider", at=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert " passed" in ended.stdout


@pytest.mark.parametrize("name", NAMES)
def test_every_part_of_an_example_is_created_and_passes_its_checks(name: str, examples_environment: Any):
    ended = examples_environment.anybind("plugins", "check", name, "--json")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    printed = json.loads(ended.stdout)
    assert printed["failed"] == 0
    for part in printed["parts"]:
        (creation,) = [each for each in part["checks"] if each["check"] == "check_example"]
        assert creation["status"] == "passed", part


OPTIONS = ("--binding", "inertial", "--modality", "inertial", "--dataset", "made-activities", "--json")


def evaluate_task(environment: Any, task: str, folder: Path, *options: str) -> dict[str, float]:
    ended = environment.anybind("evaluate", task, "--data", folder, *OPTIONS, *options)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_traces_are_classified_by_text(examples_environment: Any, tmp_path: Path):
    output = evaluate_task(examples_environment, "zero-shot", tmp_path)
    assert output["top1"] > 0.9
    assert output["gallery_size"] == 8


def test_recordings_in_folders_are_embedded_and_evaluated(examples_environment: Any, tmp_path: Path):
    script = (
        "import anybind, sys, pathlib\nfrom anybind_inertial.activities import make_trace\n"
        "for name in ('running', 'driving'):\n"
        "    for seed in range(3):\n"
        "        path = pathlib.Path(name, f'{seed}.csv'); path.parent.mkdir(exist_ok=True)\n"
        "        from anybind_inertial.table import TableReader; TableReader().write(make_trace(name, seed), path)\n"
    )
    assert examples_environment.run("-c", script, at=tmp_path).returncode == 0
    ended = examples_environment.anybind(
        *("evaluate", "zero-shot", "--data", tmp_path, "--binding", "inertial", "--modality", "inertial", "--json")
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["top1"] == 1
    ended = examples_environment.anybind(
        "embed", tmp_path, "-o", "vectors.safetensors", "--binding", "inertial", at=tmp_path
    )
    assert ended.stdout.strip() == "vectors.safetensors: 6 inertial embeddings in letter-grams (512-d)", ended.stderr


@pytest.mark.slow
def test_a_suite_fits_and_evaluates_the_head_of_one_plugin_on_the_modality_of_another(
    examples_environment: Any, tmp_path: Path
):
    command = ("bench", "run", "centroid", "-o", tmp_path / "results", "--json")
    ended = examples_environment.anybind(*command, at=tmp_path, XDG_CACHE_HOME=str(tmp_path), HOME=str(tmp_path))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (
        evaluate_task(examples_environment, "centroid-accuracy", tmp_path, "--task-option", "shots=5")["accuracy"] > 0.9
    )


def test_an_external_head_re_ranks_the_results_of_search(examples_environment: Any, tmp_path: Path):
    script = (
        "from anybind_inertial.activities import make_trace\nfrom anybind_inertial.table import TableReader\n"
        "from pathlib import Path\n"
        "for name in ('running', 'driving', 'waving'):\n"
        "    TableReader().write(make_trace(name, 0), Path(f'{name}.imu'))\n"
    )
    assert examples_environment.run("-c", script, at=tmp_path).returncode == 0
    command = ("search", "running", "--in", tmp_path, "--binding", "inertial", "--rerank", "csls", "--json")
    ended = examples_environment.anybind(*command, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert ended.returncode == 0, ended.stderr
    hits = json.loads(ended.stdout)["hits"]
    assert Path(hits[0]["file"]).name == "running.imu"
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
    assert hits[0]["score"] != pytest.approx(hits[0]["cosine"])


def test_a_part_with_a_missing_extra_raises_in_one_line(examples_environment: Any, tmp_path: Path):
    ended = examples_environment.anybind(
        "evaluate", "zero-shot", "--data", tmp_path, "--modality", "image", "--binding", "mini"
    )
    assert ended.returncode == 2
    assert len(ended.stderr.strip().splitlines()) == 1


def test_only_the_named_plugins_are_loaded(examples_environment: Any):
    output = json.loads(examples_environment.anybind("plugins", "--json", ANYBIND_PLUGINS="anybind-inertial").stdout)
    assert {plugin["name"] for plugin in output["plugins"] if plugin["status"] == "ok"} == {"inertial"}
