"""Discovery: whatever is wrong with an installed distribution, it is listed, and nothing else is affected."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

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


METADATA = b"Metadata-Version: 2.1\nName: foreign\nVersion: 1.0\n"


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"metadata": METADATA, "entry_points": b"[console_scripts]\nother\n"}, "expected NAME = MODULE:ATTRIBUTE"),
        ({"metadata": METADATA, "entry_points": b"[anybind]\nother\n"}, ""),
        ({"metadata": METADATA, "entry_points": b"[anybind]\nother = a:b\n\xff\xfe"}, "UnicodeDecodeError"),
        ({"metadata": b"Metadata-Version: 2.1\n", "entry_points": b"[anybind]\nx = y\n"}, "no name"),
        ({"entry_points": b"[anybind]\nx = y\n"}, ""),
    ],
    ids=["foreign-line", "own-line", "encoding", "no-name", "no-metadata"],
)
@pytest.mark.parametrize("command", [("plugins", "--json"), ("--version",)], ids=["plugins", "version"])
def test_a_distribution_with_invalid_metadata_is_listed_with_its_path(tmp_path, run_anybind, files, problem, command):
    folder = write_distribution(tmp_path / "site", "foreign", **files)
    result = run_anybind(*command, path=tmp_path / "site")
    assert result.returncode == 0, result.stderr
    if command[0] == "plugins":
        (broken,) = [plugin for plugin in list_plugins(result) if plugin["status"] == "broken"]
        assert broken["distribution"] == str(folder)
        assert problem in broken["problem"]


def test_valid_metadata_of_other_packages_is_not_listed(tmp_path, run_anybind):
    text = b"# comment\n[console_scripts]\nother = a.b:c [extra]\n\n; comment\n[gui]\nd=e\n"
    write_distribution(tmp_path / "site", "foreign", metadata=METADATA, entry_points=text)
    write_distribution(tmp_path / "site", "empty")
    assert {each["status"] for each in list_plugins(run_anybind("plugins", "--json", path=tmp_path / "site"))} == {"ok"}


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("import os\nos._exit(3)", "os._exit(3)"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise SystemExit", "SystemExit"),
        ("class E(Exception):\n    def __str__(self):\n        1 / 0\nraise E", "its message cannot be shown"),
        ("class E(BaseException): pass\nraise E('odd')", "E: odd"),
        (START + "@hookimpl\ndef register(registry):\n    yield registry", "generator"),
        (START + "@hookimpl\nasync def register(registry):\n    pass", "coroutine"),
    ],
    ids=["os-exit", "interrupt", "exit", "str-raises", "base-exception", "generator", "coroutine"],
)
def test_a_plugin_that_misbehaves_at_import_is_listed_as_broken(make_distribution, run_anybind, source, problem):
    site = make_distribution("wreck", {"wreck": "wreck_plugin"}, {"wreck_plugin": source})
    plugins = list_plugins(run_anybind("plugins", "--json", path=site))
    (wreck,) = [plugin for plugin in plugins if plugin["distribution"] == "wreck"]
    assert wreck["status"] == "broken"
    assert problem in wreck["problem"]
    assert all(plugin["status"] == "ok" for plugin in plugins if plugin is not wreck)


@pytest.mark.parametrize("target", ["plugin", "part"])
def test_what_a_plugin_prints_while_it_is_imported_does_not_reach_stdout(make_distribution, run_anybind, target):
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
