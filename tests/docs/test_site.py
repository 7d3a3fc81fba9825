"""The pages are whole: all in the navigation, all public names described, all tables as the data have them."""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest
from doc_blocks import PAGES, ROOT

import lint

DOCS = ROOT / "docs"
SITE = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


def test_every_page_is_in_the_navigation_once():
    listed = Counter(re.findall(r"^ +- ([\w/-]+\.md)$", SITE, re.MULTILINE))
    there = Counter(path.relative_to(DOCS).as_posix() for path in PAGES if path.is_relative_to(DOCS))
    assert listed == there


def test_every_public_name_is_described_once():
    """Those of the four modules, and those of plugins that have public functions."""
    described = Counter(
        name
        for page in (DOCS / "api").glob("*.md")
        for name in re.findall(r"^::: (anybind[\w.]+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        if name.rpartition(".")[0] not in lint.SHARED_MODULES
    )
    of_core = [f"anybind.{name}" for name in lint.public_names()]
    modules = [importlib.import_module(path.parent.name) for path in (ROOT / "plugins").glob("*/__init__.py")]
    of_plugins = [f"{module.__name__}.{name}" for module in modules for name in getattr(module, "__all__", ())]
    assert described == Counter([*of_core, *of_plugins])


def test_a_reader_of_the_site_asks_nobody_else():
    assert "font: false" in SITE
    for page in PAGES:
        assert not re.search(r"!\[[^]]*\]\(https?:", page.read_text(encoding="utf-8")), page


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tables", DOCS / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_table_is_as_the_specs_and_results_have_it(tables):
    for name in tables.PAGES:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert tables.filled(text) == text, f"{name} is out of date: python docs/tables.py"
    marked = {
        name
        for page in PAGES
        for name in re.findall(r"<!-- table of ([\w-]+): begin", page.read_text(encoding="utf-8"))
    }
    assert set(tables.TABLES) <= marked


def test_a_table_that_is_out_of_date_is_seen(tables):
    text = (DOCS / "performance.md").read_text(encoding="utf-8")
    assert tables.filled(text.replace("| texts | 512 |", "| texts | 513 |")) != text.replace("| 512 |", "| 513 |")
    assert tables.filled(text.replace("| texts | 512 |", "| texts | 513 |")) == text


@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="the extra docs is not installed")
def test_the_site_builds_without_a_warning(tmp_path: Path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_links_of_pages_lead_to_files_that_are_there():
    dead = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert not dead
