"""The example distributions, built as wheels and installed into an environment that has only the core."""

from __future__ import annotations

import ast
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

import anybind

EXAMPLES = sorted(
    path.parent for path in (Path(__file__).resolve().parents[2] / "docs" / "examples").glob("*/pyproject.toml")
)

NAMES = [source.name for source in EXAMPLES]
PLUGIN = {name: name.removeprefix("anybind-") for name in NAMES}


def test_there_is_a_modality_of_a_stranger_and_a_task_head_of_another():
    assert NAMES == ["anybind-calibration", "anybind-inertial"]


@pytest.mark.parametrize("source", EXAMPLES, ids=lambda source: source.name)
def test_an_example_is_a_whole_distribution_on_the_public_names_alone(source: Path, wheels: dict[str, Path]):
    assert all((source / name).is_file() for name in ("pyproject.toml", "README.md", "LICENSE"))
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "anybind":
                assert {alias.name for alias in node.names} <= set(anybind.__all__), path
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("anybind."):
                assert node.module in ("anybind.testing", "anybind.commandline"), path
            elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "anybind":
                assert node.attr in anybind.__all__, f"{path}: anybind.{node.attr}"
    own = source.name.replace("-", "_")
    with zipfile.ZipFile(wheels[source.name]) as wheel:
        tops = {Path(name).parts[0] for name in wheel.namelist()}
    assert tops == {own, f"{own}-0.1.0.dist-info"}


def test_the_environment_has_the_core_and_nothing_heavy(strangers: Any):
    found = strangers.run(
        "-c",
        "import importlib.util as u, anybind, sys\n"
        "print(anybind.__file__.startswith(sys.prefix), [n for n in sys.argv[1:] if u.find_spec(n)])",
        *("torch", "numba", "polars", "timm", "transformers", "soundfile", "av", "h5py", "scipy"),
    )
    assert found.stdout.split(None, 1) == ["True", "[]\n"], found.stderr


def test_what_the_core_lacks_here_is_listed_and_breaks_nothing(strangers: Any):
    listed = strangers.anybind("plugins", "--json")
    assert listed.returncode == 0, listed.stderr
    told = json.loads(listed.stdout)
    assert {plugin["status"] for plugin in told["plugins"]} == {"ok"}
    assert {"mini", "events", *PLUGIN.values()} <= {plugin["name"] for plugin in told["plugins"]}
    checked = json.loads(strangers.anybind("plugins", "check", "mini", "--json").stdout)
    assert checked["broken"] == 0
    (image,) = [part for part in checked["parts"] if part["name"] == "mini-image"]
    told = [rule["seen"] for rule in image["rules"] if rule["status"] == "not checked"]
    assert any("pip install 'anybind[mini]'" in seen for seen in told)


@pytest.mark.parametrize("source", EXAMPLES, ids=lambda source: source.name)
def test_the_tests_of_an_example_pass_where_only_the_core_is(source: Path, strangers: Any, tmp_path: Path):
    # Away from the sources, so that it is the wheel which is imported.
    shutil.copytree(source / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(source / "pyproject.toml", tmp_path)
    ended = strangers.run("-m", "pytest", "-p", "no:cacheprovider", at=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert " passed" in ended.stdout
    assert "skipped" not in ended.stdout


@pytest.mark.parametrize("name", NAMES)
def test_every_part_of_an_example_is_tried_and_keeps_the_contract(name: str, strangers: Any):
    ended = strangers.anybind("plugins", "check", name, "--json")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = json.loads(ended.stdout)
    assert told["broken"] == 0
    untried = [part["kind"] for part in told["parts"] for rule in part["rules"] if rule["rule"] == "tried"]
    assert set(untried) <= {"binding"}
    assert len(told["parts"]) > len(untried)


MADE = ("--binding", "inertial", "--modality", "inertial", "--dataset", "made-activities", "--json")


def asked(environment: Any, task: str, folder: Path, *options: str) -> dict[str, float]:
    ended = environment.anybind("evaluate", task, "--data", folder, *MADE, *options)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_traces_are_recognised_by_words(strangers: Any, tmp_path: Path):
    told = asked(strangers, "zero-shot", tmp_path)
    assert told["top1"] > 0.9
    assert told["gallery_size"] == 8


def test_recordings_in_folders_are_embedded_and_asked_about(strangers: Any, tmp_path: Path):
    script = (
        "import anybind, sys, pathlib\nfrom anybind_inertial.activities import make_trace\n"
        "for name in ('running', 'driving'):\n"
        "    for seed in range(3):\n"
        "        path = pathlib.Path(name, f'{seed}.csv'); path.parent.mkdir(exist_ok=True)\n"
        "        from anybind_inertial.table import TableReader; TableReader().write(make_trace(name, seed), path)\n"
    )
    assert strangers.run("-c", script, at=tmp_path).returncode == 0
    ended = strangers.anybind(
        *("evaluate", "zero-shot", "--data", tmp_path, "--binding", "inertial", "--modality", "inertial", "--json")
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["top1"] == 1
    ended = strangers.anybind("embed", tmp_path, "-o", "vectors.safetensors", "--binding", "inertial", at=tmp_path)
    assert ended.stdout.strip() == "vectors.safetensors: 6 inertial vectors in letter-grams (512-d)", ended.stderr


def test_one_strangers_task_asks_about_the_others_modality(strangers: Any, tmp_path: Path):
    plain = asked(strangers, "calibration", tmp_path)
    fitted = asked(strangers, "calibration", tmp_path, "--option", "fit_on=train")
    assert fitted["nll"] < plain["nll"]
    assert fitted["accuracy"] == plain["accuracy"] > 0.9
    unknown = asked(strangers, "out-of-distribution", tmp_path, "--option", "known=walking,running,sitting,driving")
    assert unknown["auroc"] > 0.6
    assert unknown["counts"] == {"known": 48, "unknown": 48}


def test_a_part_that_needs_an_extra_says_so_in_one_line(strangers: Any, tmp_path: Path):
    ended = strangers.anybind("evaluate", "zero-shot", "--data", tmp_path, "--modality", "image", "--binding", "mini")
    assert ended.returncode == 2
    assert len(ended.stderr.strip().splitlines()) == 1


def test_only_what_is_named_is_loaded(strangers: Any):
    told = json.loads(strangers.anybind("plugins", "--json", ANYBIND_PLUGINS="anybind-inertial").stdout)
    assert {plugin["name"] for plugin in told["plugins"] if plugin["status"] == "ok"} == {"inertial"}
