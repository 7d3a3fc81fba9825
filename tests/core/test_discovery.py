"""Discovery: whatever is wrong with an installed distribution, it is listed, and nothing else is affected."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from helpers.command import install_plugins, run_anybind

START = "from anybind.plugin import TaskSpec, hookimpl\nanybind_contract = 1\n"
HOOK = START + "@hookimpl\ndef register(registry):\n    registry.add(TaskSpec(name='odd', summary='s', target='m:f'))\n"


def list_plugins(result: subprocess.CompletedProcess[str]) -> list[dict[str, str]]:
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["plugins"]


def write_distribution(site: Path, name: str, **files: bytes) -> Path:
    """Lay out metadata as an installer does, with any content."""
    folder = site / f"{name}-1.0.dist-info"
    folder.mkdir(parents=True)
    for file, content in files.items():
        (folder / {"metadata": "METADATA", "entry_points": "entry_points.txt"}[file]).write_bytes(content)
    return folder


METADATA = b"Metadata-Version: 2.1\nName: %s\nVersion: 1.0\n"


METADATA_FILES = {
    "foreign-line": {"metadata": METADATA % b"foreign-line", "entry_points": b"[console_scripts]\nother\n"},
    "own-line": {"metadata": METADATA % b"own-line", "entry_points": b"[anybind]\nother\n"},
    "encoding": {"metadata": METADATA % b"encoding", "entry_points": b"[anybind]\nother = a:b\n\xff\xfe"},
    "no-name": {"metadata": b"Metadata-Version: 2.1\n", "entry_points": b"[anybind]\nx = y\n"},
    "no-metadata": {"entry_points": b"[anybind]\nx = y\n"},
}
PROBLEMS = {"foreign-line": "expected NAME = MODULE:ATTRIBUTE", "encoding": "UnicodeDecodeError", "no-name": "no name"}


@pytest.fixture(scope="module")
def invalid_distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write all invalid distributions into one folder."""
    site = tmp_path_factory.mktemp("invalid")
    for name, files in METADATA_FILES.items():
        write_distribution(site, name, **files)
    return site


@pytest.fixture(scope="module")
def invalid_listing(invalid_distributions: Path) -> list[dict[str, str]]:
    """List the plugins beside the invalid distributions."""
    return list_plugins(run_anybind("plugins", "--json", path=invalid_distributions))


@pytest.mark.parametrize("name", METADATA_FILES)
def test_a_distribution_with_invalid_metadata_is_listed_with_its_path(invalid_distributions, invalid_listing, name):
    folder = invalid_distributions / f"{name}-1.0.dist-info"
    (broken,) = [plugin for plugin in invalid_listing if plugin["distribution"] == str(folder)]
    assert broken["status"] == "broken"
    assert PROBLEMS.get(name, "") in broken["problem"]


def test_distributions_with_invalid_metadata_affect_no_plugin_and_no_command(invalid_distributions, invalid_listing):
    assert [plugin["status"] for plugin in invalid_listing].count("broken") == len(METADATA_FILES)
    result = run_anybind("--version", path=invalid_distributions)
    assert result.returncode == 0, result.stderr


def test_valid_metadata_of_other_packages_is_not_listed(tmp_path):
    text = b"# comment\n[console_scripts]\nother = a.b:c [extra]\n\n; comment\n[gui]\nd=e\n"
    write_distribution(tmp_path / "site", "foreign", metadata=METADATA % b"foreign", entry_points=text)
    write_distribution(tmp_path / "site", "empty")
    assert {each["status"] for each in list_plugins(run_anybind("plugins", "--json", path=tmp_path / "site"))} == {"ok"}


MISBEHAVING = {
    "os-exit": ("import os\nos._exit(3)", "os._exit(3)"),
    "interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "exit": ("raise SystemExit", "SystemExit"),
    "str-raises": (
        "class E(Exception):\n    def __str__(self):\n        1 / 0\nraise E",
        "its message cannot be shown",
    ),
    "base-exception": ("class E(BaseException): pass\nraise E('odd')", "E: odd"),
    "generator": (START + "@hookimpl\ndef register(registry):\n    yield registry", "generator"),
    "coroutine": (START + "@hookimpl\nasync def register(registry):\n    pass", "coroutine"),
}


@pytest.fixture(scope="module")
def misbehaving_plugins(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """List the plugins beside all misbehaving ones, each of its own distribution."""
    site = tmp_path_factory.mktemp("misbehaving")
    install_plugins(site, {name: source for name, (source, _) in MISBEHAVING.items()})
    return list_plugins(run_anybind("plugins", "--json", path=site))


@pytest.mark.parametrize("name", MISBEHAVING)
def test_a_plugin_that_misbehaves_at_import_is_listed_as_broken(misbehaving_plugins, name):
    (wreck,) = [plugin for plugin in misbehaving_plugins if plugin["distribution"] == name]
    assert wreck["status"] == "broken"
    assert MISBEHAVING[name][1] in wreck["problem"]


def test_plugins_that_misbehave_at_import_affect_no_other(misbehaving_plugins):
    broken = {plugin["distribution"] for plugin in misbehaving_plugins if plugin["status"] != "ok"}
    assert broken == MISBEHAVING.keys()


@pytest.mark.parametrize("target", ["plugin", "part"])
def test_what_a_plugin_prints_while_it_is_imported_does_not_reach_stdout(make_distribution, target):
    source = HOOK.replace("m:f", "odd_part:f")
    modules = {"odd_plugin": "print('hello')\n" + source, "odd_part": "print('hello')\n1 / 0\n"}
    site = make_distribution("odd", {"odd": "odd_plugin"}, modules)
    if target == "plugin":
        result = run_anybind("plugins", "--json", path=site)
        assert {plugin["status"] for plugin in list_plugins(result)} == {"ok"}
    else:
        result = run_anybind("evaluate", "odd", "--data", site, "--modality", "image", path=site)
        assert result.stdout == ""
    assert "hello" in result.stderr


def test_another_thread_can_end_the_process_while_a_plugin_is_imported(make_distribution):
    # A decoding process ends so if its parent does while it starts.
    source = "import threading, time\nthreading.main_thread().may_end.set()\ntime.sleep(9)\n"
    site = make_distribution("slow", {"slow": "slow_plugin"}, {"slow_plugin": source})
    code = """
    import os, threading
    import anybind.registry
    may_end = threading.main_thread().may_end = threading.Event()
    threading.Thread(target=lambda: (may_end.wait(), os._exit(7)), daemon=True).start()
    anybind.registry.registry()
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    result = subprocess.run(command, env={"PYTHONPATH": str(site)}, capture_output=True, text=True, check=False)
    assert result.returncode == 7, result.stderr


def test_other_threads_print_to_stdout_while_a_plugin_is_imported(make_distribution):
    source = """
    import threading
    print("of the plugin")
    threading.main_thread().imports.set()
    threading.main_thread().printed.wait(20)
    """
    site = make_distribution("loud", {"loud": "loud_plugin"}, {"loud_plugin": textwrap.dedent(source)})
    code = """
    import threading
    import anybind.registry
    main = threading.main_thread()
    main.imports, main.printed = threading.Event(), threading.Event()
    def report():
        main.imports.wait(20)
        print("of the program")
        main.printed.set()
    threading.Thread(target=report).start()
    anybind.registry.registry()
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    result = subprocess.run(command, env={"PYTHONPATH": str(site)}, capture_output=True, text=True, check=True)
    assert result.stdout == "of the program\n"
    assert "of the plugin" in result.stderr


def test_an_interrupt_of_the_user_ends_the_program(make_distribution):
    source = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)\n"
    site = make_distribution("slow", {"slow": "slow_plugin"}, {"slow_plugin": source})
    code = "import anybind.registry\nanybind.registry.registry()\nprint('went on')\n"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env={"PYTHONPATH": str(site)}, capture_output=True, text=True, check=False)
    assert "KeyboardInterrupt" in result.stderr
    assert "went on" not in result.stdout


LIST_PARTS = """
import sys
from anybind.registry import registry
registry()
print(sorted({"PIL", "numba", "numpy", "rich", "torch"} & sys.modules.keys()))
"""


def test_listing_the_installed_parts_imports_no_numpy():
    result = subprocess.run([sys.executable, "-c", LIST_PARTS], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
