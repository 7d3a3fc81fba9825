"""`anybind plugins`: plugins of `new` pass their own tests, and `check` finds failures."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from anybind.cli import main
from anybind.registry import registry

KINDS = [(kind, "") for kind in [*registry().kinds(), "kind"] if kind != "head"]
HEADS = [("head", target) for target in ("classification", "anomaly", "ranking")]
NEW = {"-".join(filter(None, ("my", kind, target))): (kind, target) for kind, target in KINDS + HEADS}
"""The plugins that `new` writes: one of every kind, and of every target of a head."""
BROKEN = """
import numpy as np
from anybind import Space, normalize
from anybind.plugin import Encoder, EncoderSpec, hookimpl

anybind_contract = 1

@hookimpl
def register(registry):
    spec = dict(summary="s", target="wreck_plugin:Loud", modality="image", weights_licence="MIT")
    registry.add(EncoderSpec(name="loud", **spec))
    registry.add(EncoderSpec(name="absent", **spec | {"target": "wreck_plugin:needs_weights"}))

class Loud(Encoder):
    modality, space = "image", Space("loud", 3)
    weights_hash, preprocessing = "0123456789ab", {"mean": "rgb"}
    def encode(self, inputs):
        return 2 * normalize(np.stack([each.mean((0, 1)) + 1 for each in inputs]))

def needs_weights(*, weights):
    raise AssertionError

def anybind_examples(kind, name, folder):
    from anybind.testing import Example
    if name == "loud":
        random = np.random.default_rng(0)
        return Example(samples=[random.integers(0, 255, (4, 4, 3), dtype=np.uint8) for _ in range(2)])
"""


def run_python(*arguments: str | Path, site: Path, at: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run Python with the distributions of a folder, in another one."""
    variables = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-B", *map(str, arguments)]
    return subprocess.run(command, cwd=at, env=variables, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a folder with a new plugin of each kind, and `site`, where all are installed."""
    folder = tmp_path_factory.mktemp("new")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, (kind, target) in NEW.items():
            options = ["--predicts", target] if target else []
            patch.setattr(sys, "argv", ["anybind", "plugins", "new", name, "--kind", kind, *options])
            with pytest.raises(SystemExit) as ended:
                main()
            assert not ended.value.code
            package = name.replace("-", "_")
            install(folder / name / package, folder / "site", name)
    return folder


def install(package: Path, site: Path, name: str) -> None:
    """Lay a package and its entry point out as pip does."""
    shutil.copytree(package, site / package.name)
    info = site / f"{package.name}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[anybind]\n{name} = {package.name}\n")


def run_tests(folders: list[Path], site: Path, at: Path) -> subprocess.CompletedProcess[str]:
    options = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib")
    return run_python(*options, *folders, site=site, at=at)


@pytest.mark.long
@pytest.mark.slow
def test_the_tests_of_every_new_plugin_pass_as_they_are_written(written: Path):
    result = run_tests([written / name / "tests" for name in NEW], written / "site", written)
    assert result.returncode == 0, result.stdout


@pytest.mark.slow
def test_new_plugins_pass_a_type_checker(written: Path):
    checker = shutil.which("basedpyright")
    if checker is None:
        pytest.skip("basedpyright is not installed")
    root = Path(__file__).parents[3]
    settings = {
        "typeCheckingMode": "standard",
        "extraPaths": [str(root / "core"), str(root / "plugins"), *sys.path[1:]],
    }
    (written / "pyrightconfig.json").write_text(json.dumps({**settings, "include": list(NEW)}))
    result = subprocess.run([checker, "--outputjson"], cwd=written, capture_output=True, text=True, check=False)
    report = json.loads(result.stdout)
    assert report["summary"]["filesAnalyzed"] >= len(NEW)
    assert [each["message"] for each in report["generalDiagnostics"] if each["severity"] == "error"] == []


@pytest.mark.slow
def test_every_part_of_a_new_plugin_is_created_and_passes_its_checks(written: Path):
    script = (
        "import sys\nfrom anybind.testing import check_part, list_plugin_parts\n"
        "for name in sys.argv[1:]:\n"
        "    for part in list_plugin_parts(name):\n"
        "        outcomes = {each.check: each.status for each in check_part(part).outcomes}\n"
        "        print(part.kind, outcomes['check_example'], 'failed' in outcomes.values())\n"
    )
    lines = run_python("-c", script, *NEW, site=written / "site", at=written).stdout.splitlines()
    assert {line.split()[0] for line in lines} >= {kind for kind, _ in NEW.values()}
    assert [line for line in lines if line.split()[1:] != ["passed", "False"]] == []


@pytest.mark.slow
def test_the_tests_of_a_new_plugin_fail_once_its_part_fails_a_check(written: Path, tmp_path: Path):
    install(written / "my-encoder" / "my_encoder", tmp_path, "my-encoder")
    module = tmp_path / "my_encoder" / "__init__.py"
    module.write_text(module.read_text().replace("return normalize(", "return 2 * normalize("))
    result = run_tests([written / "my-encoder" / "tests"], tmp_path, tmp_path)
    assert result.returncode == 1
    assert "check_unit_norm: norms are 2, 2, 2, not 1" in result.stdout


def test_new_writes_a_distribution_and_the_next_command(tmp_path: Path, monkeypatch, cli):
    monkeypatch.chdir(tmp_path)
    ended = cli("plugins", "new", "my-thermal", "--kind", "modality")
    assert ended.code == 0
    files = sorted(path.relative_to(tmp_path / "my-thermal").as_posix() for path in tmp_path.rglob("*.*"))
    files = [file for file in files if (tmp_path / "my-thermal" / file).is_file()]
    assert files == ["README.md", "my_thermal/__init__.py", "pyproject.toml", "tests/test_conformance.py"]
    assert ended.out.splitlines()[-1] == "next: pip install -e ./my-thermal && anybind plugins check my-thermal"
    assert "class MyThermalModality(Modality)" in (tmp_path / "my-thermal" / "my_thermal" / "__init__.py").read_text()


@pytest.mark.parametrize("name", NEW)
def test_a_new_plugin_has_no_placeholder_left_and_its_readme_shows_its_use(written: Path, name: str):
    for path in (written / name).rglob("*.*"):
        assert not path.is_file() or not re.search(r"\$[\w{]", path.read_text())
    use = (written / name / "README.md").read_text().split("```")[3]
    assert name in use or NEW[name][0] == "reader"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("Thermal", "invalid plugin name"),
        ("two words", "invalid plugin name"),
        ("../up", "invalid plugin name"),
        ("3d", "invalid plugin name"),
        ("class", "invalid plugin name"),
        ("numpy", "is taken"),
        ("anybind-mini", "is taken"),
        ("mini", "is taken"),
        ("here", "./here exists already"),
    ],
)
def test_new_raises_for_invalid_or_taken_names(tmp_path: Path, monkeypatch, cli, name, problem):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    assert problem in cli("plugins", "new", name).error()
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("new mine --kind encodr", "did you mean 'encoder'"),
        ("new mine --kind head --predicts ranked", "no template head-ranked.txt"),
        ("new mine --predicts ranking", "--predicts is for heads"),
        ("check medja", "there is no plugin 'medja'; did you mean 'media'?"),
        ("chek", "no plugin, kind or part matches 'chek'; did you mean 'check' or 'pack' or 'head'?"),
    ],
)
def test_an_unknown_kind_target_plugin_or_command_raises(tmp_path, monkeypatch, cli, arguments, problem):
    monkeypatch.chdir(tmp_path)
    assert problem in cli("plugins", *arguments.split()).error()


@pytest.mark.slow
def test_check_exits_with_1_and_lists_failures_with_remedies(make_distribution, run_anybind):
    site = make_distribution("wreck", {"wreck": "wreck_plugin"}, {"wreck_plugin": BROKEN})
    result = run_anybind("plugins", "check", "wreck", "--json", path=site)
    assert result.returncode == 1, result.stderr
    printed = json.loads(result.stdout)
    absent, loud = ({each["check"]: each for each in part["checks"]} for part in printed["parts"])
    assert [name for name, outcome in loud.items() if outcome["status"] == "failed"] == ["check_unit_norm"]
    assert printed["failed"] == 2
    assert absent["check_example"]["status"] == "failed"
    assert "weights" in absent["check_example"]["message"]
    table = run_anybind("plugins", "check", "wreck", path=site, COLUMNS="200")
    assert table.returncode == 1
    assert "encoder loud: check_unit_norm: norms are 2, 2, not 1\n  remedy: end encode with" in table.stdout


def test_a_part_without_an_example_fails(make_distribution):
    # An encoder of images would be checked on those of the modality's example.
    source = BROKEN.replace("def anybind_examples", "def other_examples").replace('"image"', '"smell"')
    site = make_distribution("wreck", {"wreck": "wreck_plugin"}, {"wreck_plugin": source})
    script = "from anybind.testing import *\ntry: check(list_plugin_parts('wreck')[1])\nexcept ConformanceError as e: print(e)"
    assert "check_example: it needs an example with samples" in run_python("-c", script, site=site).stdout


def test_examples_may_be_in_their_own_module_and_lack_packages(make_distribution):
    plugin, _, examples = BROKEN.partition("def anybind_examples")
    site = make_distribution("wreck", {"wreck": "wreck_plugin"}, {"other": ""})
    (site / "wreck_plugin").mkdir()
    (site / "wreck_plugin" / "__init__.py").write_text(plugin)
    module = "import {}, numpy as np\ndef anybind_examples" + examples
    script = (
        "import sys\nfrom anybind.testing import check_part, list_plugin_parts\n"
        "print('wreck_plugin.examples' in sys.modules)\n"
        "report = check_part(list_plugin_parts('wreck')[1])\n"
        "print(report.failed, [each.message for each in report.with_status('skipped')])"
    )
    for needs, expected in (
        ("json", "['check_unit_norm'] []"),
        ("no_such_package", "[] [\"its example needs the package 'no_such_package'\"]"),
    ):
        (site / "wreck_plugin" / "examples.py").write_text(module.format(needs))
        assert run_python("-c", script, site=site).stdout.splitlines() == ["False", expected]


def test_an_example_that_fails_is_a_failure(make_distribution, run_anybind):
    source = BROKEN.replace("from anybind.testing import Example", "1 / 0")
    site = make_distribution("wreck", {"wreck": "wreck_plugin"}, {"wreck_plugin": source})
    result = run_anybind("plugins", "check", "wreck", "--json", path=site)
    assert result.returncode == 1
    assert "anybind_examples of 'wreck' failed: ZeroDivisionError" in result.stdout


PYTEST = """
from anybind.testing import parametrize_with_checks

@parametrize_with_checks("wreck")
def test_conformance(check):
    check()
"""


@pytest.mark.slow
def test_in_pytest_failures_fail_expected_ones_xfail_and_uncreated_parts_skip(make_distribution, tmp_path):
    source = BROKEN.replace("Example(samples", "Example(expected_failures={'check_unit_norm': 'loud'}, samples")
    site = make_distribution("wreck", {"wreck": "wreck_plugin"}, {"wreck_plugin": source})
    (tmp_path / "test_it.py").write_text(PYTEST)
    result = run_python("-m", "pytest", "-rA", "-p", "no:cacheprovider", "test_it.py", site=site, at=tmp_path)
    assert result.returncode == 1
    assert "XFAIL test_it.py::test_conformance[encoder-loud-check_unit_norm]" in result.stdout
    assert "PASSED test_it.py::test_conformance[encoder-loud-check_dtype]" in result.stdout
    failed = [line.split()[1] for line in result.stdout.splitlines() if line.startswith("FAILED")]
    assert failed == ["test_it.py::test_conformance[encoder-absent-check_example]"]


def test_plugins_alone_still_lists(cli):
    assert {plugin["name"] for plugin in json.loads(cli("plugins", "--json").out)["plugins"]} >= {"media", "mini"}
    assert "distribution" in cli("plugins").out


LISTING = """
import sys
from anybind.cli import app
import anybind
sys.argv[0] = "anybind"
try:
    app(["--help"])
except SystemExit:
    pass
print(sorted({"anybind.testing", "pytest", "torch"} & sys.modules.keys()))
"""


NO_PYTEST = (
    "import sys; sys.modules['pytest'] = None; import anybind.testing; print({'torch'} & sys.modules.keys() or [])"
)


@pytest.mark.parametrize("script", [LISTING, NO_PYTEST], ids=["help", "the kit without pytest"])
def test_neither_the_help_nor_the_checks_import_heavy_packages(script: str, tmp_path: Path):
    assert run_python("-c", script, site=tmp_path).stdout.splitlines()[-1] == "[]"
