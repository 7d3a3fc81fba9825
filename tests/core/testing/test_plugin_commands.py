"""`anybind plugins`: what `new` writes passes its own test, and `check` tells good plugins from broken ones."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from anybind.commands.plugins import TEMPLATES

BROKEN = """
import anybind, numpy as np

@anybind.hookimpl
def register_encoders(register):
    spec = dict(summary="s", target="wreck_plugin:Loud", consumes=("image",), weights_licence="MIT")
    register(anybind.Spec(name="loud", **spec))
    register(anybind.Spec(name="absent", **spec | {"target": "wreck_plugin:needs_weights"}))

class Loud(anybind.Encoder):
    modality, space = "image", anybind.Space("loud", 3)
    weights_hash, preprocessing = "0123456789ab", {"mean": "rgb"}
    def encode(self, inputs):
        return 2 * anybind.unit(np.stack([each.mean((0, 1)) + 1 for each in inputs]))

def needs_weights(*, weights):
    raise AssertionError

def anybind_examples(kind, name, folder):
    from anybind.testing import Example
    if name == "loud":
        random = np.random.default_rng(0)
        return Example(samples=[random.integers(0, 255, (4, 4, 3), dtype=np.uint8) for _ in range(2)])
"""


def environment(site: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plugin of each template, and `site` where all are installed."""
    folder = tmp_path_factory.mktemp("new")
    for kind in TEMPLATES:
        command = [sys.executable, "-m", "anybind", "plugins", "new", f"my-{kind}", "--kind", kind]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        info = folder / "site" / f"my_{kind}-0.1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: my-{kind}\nVersion: 0.1.0\n")
        (info / "entry_points.txt").write_text(f"[anybind]\nmy-{kind} = my_{kind}\n")
        (folder / "site" / f"my_{kind}.py").write_text((folder / f"my-{kind}" / f"my_{kind}.py").read_text())
    return folder


def test_the_test_of_every_template_passes_as_it_is_written(eight: Path):
    tests = [str(eight / f"my-{kind}" / "tests") for kind in TEMPLATES]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", *tests]
    result = subprocess.run(
        command, cwd=eight, env=environment(eight / "site"), capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout
    assert f"{len(TEMPLATES)} passed" in result.stdout


def test_the_test_of_a_template_fails_once_the_part_breaks_a_rule(eight: Path, tmp_path: Path):
    source = (eight / "my-encoder" / "my_encoder.py").read_text()
    for info in (eight / "site").glob("my_encoder-*"):
        (tmp_path / info.name).mkdir()
        for file in info.iterdir():
            (tmp_path / info.name / file.name).write_text(file.read_text())
    (tmp_path / "my_encoder.py").write_text(source.replace("return anybind.unit(", "return 2 * anybind.unit("))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(eight / "my-encoder" / "tests")]
    result = subprocess.run(
        command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "unit norm: norms are 2, 2, 2, not 1" in result.stdout


def test_new_writes_a_distribution_of_five_files_and_says_what_to_do_next(
    eight: Path, tmp_path: Path, monkeypatch, cli
):
    monkeypatch.chdir(tmp_path)
    ended = cli("plugins", "new", "my-thermal", "--kind", "modality")
    assert ended.code == 0
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    module, others = "my-thermal/my_thermal.py", ["README.md", "pyproject.toml", "tests/test_conformance.py"]
    assert written == sorted([module, *(f"my-thermal/{name}" for name in others)])
    assert ended.out.splitlines()[-1] == "next: pip install -e ./my-thermal && anybind plugins check my-thermal"
    assert "class MyThermalModality(anybind.Modality)" in (tmp_path / module).read_text()
    assert not re.search(r"\$\w", "".join(path.read_text() for path in tmp_path.rglob("*.*") if path.is_file()))


@pytest.mark.parametrize("kind", TEMPLATES)
def test_the_readme_of_a_new_plugin_says_how_its_part_is_used(eight: Path, kind: str):
    text = (eight / f"my-{kind}" / "README.md").read_text()
    used = text.split("```")[3]
    assert f"my-{kind}" in used or kind == "reader"
    assert "$" not in text


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Thermal", "is no name for a plugin"),
        ("two words", "is no name for a plugin"),
        ("../up", "is no name for a plugin"),
        ("3d", "is no name for a plugin"),
        ("class", "is no name for a plugin"),
        ("numpy", "is taken"),
        ("anybind-mini", "is taken"),
        ("mini", "is taken"),
        ("here", "./here is there already"),
    ],
)
def test_new_refuses_names_that_cannot_be_or_are_taken(tmp_path: Path, monkeypatch, cli, name, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    assert told in cli("plugins", "new", name).error()
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_new_refuses_a_kind_without_a_template_and_check_a_plugin_that_is_not_there(tmp_path: Path, monkeypatch, cli):
    monkeypatch.chdir(tmp_path)
    assert "did you mean 'encoder'" in cli("plugins", "new", "mine", "--kind", "encodr").error()
    assert "there is no plugin 'medja'; did you mean 'media'?" in cli("plugins", "check", "medja").error()
    assert "`anybind plugins` has no command 'chek'; did you mean 'check'?" in cli("plugins", "chek").error()


def test_check_ends_with_1_and_says_what_is_broken_and_what_was_not_checked(make_distribution, run_anybind):
    site = make_distribution("wreck", {"wreck": "wreck_plugin"}, {"wreck_plugin": BROKEN})
    result = run_anybind("plugins", "check", "wreck", "--json", path=site)
    assert result.returncode == 1, result.stderr
    told = json.loads(result.stdout)
    absent, loud = ({rule["rule"]: rule for rule in part["rules"]} for part in told["parts"])
    assert [rule for rule, outcome in loud.items() if outcome["status"] == "broken"] == ["unit norm"]
    assert told["broken"] == 1
    assert absent["tried"]["status"] == "not checked"
    assert "offers no example" in absent["tried"]["seen"]
    table = run_anybind("plugins", "check", "wreck", path=site, COLUMNS="200")
    assert table.returncode == 1
    assert "encoder loud: unit norm: norms are 2, 2, not 1\n  mend: end encode with" in table.stdout


def test_a_part_whose_plugin_offers_no_example_fails_in_a_test(make_distribution, tmp_path: Path):
    # An encoder of pictures would be tried on those of the modality's example.
    source = BROKEN.replace("def anybind_examples", "def other_examples").replace('("image",)', '("smell",)')
    site = make_distribution("wreck", {"wreck": "wreck_plugin"}, {"wreck_plugin": source})
    script = "from anybind.testing import *\ntry: check_part(parts_of('wreck')[1])\nexcept NotConforming as e: print(e)"
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment(site), capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith("encoder 'loud' was not tried: its plugin offers no example with samples")


def test_examples_may_stand_in_a_module_of_their_own_and_say_what_they_lack(make_distribution, tmp_path: Path):
    plugin, _, examples = BROKEN.partition("def anybind_examples")
    site = make_distribution("wreck", {"wreck": "wreck_plugin"}, {"other": ""})
    (site / "wreck_plugin").mkdir()
    (site / "wreck_plugin" / "__init__.py").write_text(plugin)
    module = "import {}, numpy as np\ndef anybind_examples" + examples
    script = (
        "import sys, anybind\nfrom anybind.testing import examine_part, parts_of\n"
        "print('wreck_plugin.examples' in sys.modules)\n"
        "report = examine_part(parts_of('wreck')[1])\n"
        "print(report.broken, [each.seen for each in report.outcomes if each.rule == 'tried'])"
    )
    for needs, told in (
        ("json", "['unit norm'] []"),
        ("no_such_package", "[] [\"its example needs the package 'no_such_package'\"]"),
    ):
        (site / "wreck_plugin" / "examples.py").write_text(module.format(needs))
        result = subprocess.run(
            [sys.executable, "-B", "-c", script], env=environment(site), capture_output=True, text=True, check=True
        )
        assert result.stdout.splitlines() == ["False", told]


def test_an_example_that_fails_is_a_broken_part(make_distribution, run_anybind):
    source = BROKEN.replace("from anybind.testing import Example", "1 / 0")
    site = make_distribution("wreck", {"wreck": "wreck_plugin"}, {"wreck_plugin": source})
    result = run_anybind("plugins", "check", "wreck", "--json", path=site)
    assert result.returncode == 1
    assert "anybind_examples of 'wreck' failed: ZeroDivisionError" in result.stdout


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


def test_help_loads_neither_the_kit_nor_pytest():
    result = subprocess.run([sys.executable, "-c", LISTING], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_the_kit_works_without_pytest_and_loads_no_torch():
    script = "import sys; sys.modules['pytest'] = None; import anybind.testing; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
