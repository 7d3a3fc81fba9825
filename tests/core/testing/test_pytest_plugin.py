"""The fixture `clean_registry`, in a separate run of pytest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest
from anybind import plugin

class Mine:
    anybind_contract = 1

    @staticmethod
    @plugin.hookimpl
    def register(registry):
        registry.add(plugin.TaskSpec(name="mine", summary="s", target="m:a"))

def names(kind):
    return [part.name for part in plugin.list_parts(kind)]

def test_it_is_empty_at_first(clean_registry):
    assert names("modality") == []

def test_only_the_given_plugins_are_loaded(clean_registry):
    clean_registry("media")
    assert "image" in names("modality")
    assert names("task") == []

def test_a_module_need_not_be_installed(clean_registry):
    clean_registry("media", Mine)
    assert names("task") == ["mine"]
    clean_registry(Mine)
    assert names("modality") == []

def test_an_unknown_name_raises(clean_registry):
    with pytest.raises(plugin.errors.UnknownName, match="media"):
        clean_registry("medja")

def test_afterwards_all_plugins_are_loaded():
    assert "zero-shot" in names("task")
"""


@pytest.mark.slow
def test_the_fixture_loads_only_the_given_plugins_and_restores_the_registry(tmp_path: Path):
    (tmp_path / "test_it.py").write_text(TESTS)
    # Loaded by name and not by its entry point, which an older installation of this checkout may lack.
    plugins = ["-p", "no:anybind", "-p", "anybind.testing.pytest_plugin", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-q", *plugins, "test_it.py"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    assert "5 passed" in result.stdout
