"""The pages are complete: all in the navigation, all public names and commands described, all tables up to date."""

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
import typer
from doc_blocks import PAGES, ROOT

import lint
from anybind.cli import app
from anybind.plugin import BindingSpec, list_parts

DOCS = ROOT / "docs"
SITE = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


def test_every_page_is_in_the_navigation_once():
    navigation = Counter(re.findall(r"^ +- ([\w/-]+\.md)$", SITE, re.MULTILINE))
    pages = [path for path in PAGES if path.is_relative_to(DOCS)]
    generated = [path.with_suffix(".md") for path in DOCS.glob("tutorials/*.ipynb")] + [DOCS / "reference" / "cli.md"]
    assert navigation == Counter(path.relative_to(DOCS).as_posix() for path in [*pages, *generated])


@pytest.mark.torch
def test_every_public_name_is_described_once():
    """Those of the four modules, and those of plugins that have public functions."""
    described = Counter(
        name
        for page in (DOCS / "reference" / "api").glob("*.md")
        for name in re.findall(r"^::: (anybind[\w.]+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        if name.rpartition(".")[0] not in lint.SHARED_MODULES
    )
    of_core = [f"anybind.{name}" for name in lint.public_names()]
    modules = [importlib.import_module(path.parent.name) for path in (ROOT / "plugins").glob("*/__init__.py")]
    of_plugins = [f"{module.__name__}.{name}" for module in modules for name in getattr(module, "__all__", ())]
    assert described == Counter([*of_core, *of_plugins])


@pytest.mark.torch
def test_the_command_line_reference_has_every_command_and_option():
    text = load_script("cli_reference").render_reference()
    sections = dict(re.findall(r"^## anybind ([\w -]+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    root = typer.main.get_command(app)
    commands = root.list_commands(root.make_context("anybind", [], resilient_parsing=True))  # pyright: ignore
    assert set(commands) == {name.partition(" ")[0] for name in sections}
    assert "--top-k" in sections["search"]
    assert "[default" not in text
    assert all("| parameter | default |" in section for name, section in sections.items() if name != "bench")


def test_every_form_of_a_binding_name_is_documented():
    text = (DOCS / "reference" / "bindings.md").read_text(encoding="utf-8")
    for part in list_parts(BindingSpec):
        for form in (part.name, *getattr(part.spec, "forms", ())):
            assert form.partition(":")[0] in text
            assert f"`{form}" in text or f"{form}`" in text, form


def test_the_site_loads_no_external_images_or_fonts():
    assert "font: false" in SITE
    for page in PAGES:
        assert not re.search(r"!\[[^]]*\]\(https?:", page.read_text(encoding="utf-8")), page


def load_script(name: str) -> ModuleType:
    """Import a script of docs/."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(DOCS))  # for the packages beside the script
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(DOCS))
    return module


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    return load_script("tables")


def test_every_table_equals_the_specs_and_results(tables):
    for name in tables.PAGES:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert tables.fill_tables(text) == text, f"{name} is out of date: python docs/tables.py"
    marks = {
        name
        for page in PAGES
        for name in re.findall(r"<!-- table of ([\w-]+): begin", page.read_text(encoding="utf-8"))
    }
    assert set(tables.TABLES) == marks
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert sorted(re.findall(r"<!-- generated table: ([\w-]+) -->", text)) == sorted(tables.GENERATED)
    assert all(table().count("\n") > 5 for table in tables.GENERATED.values())


def test_an_outdated_table_is_detected(tables):
    text = (DOCS / "reference" / "performance.md").read_text(encoding="utf-8")
    assert tables.fill_tables(text.replace("| texts | 512 |", "| texts | 513 |")) != text.replace("| 512 |", "| 513 |")
    assert tables.fill_tables(text.replace("| texts | 512 |", "| texts | 513 |")) == text


@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="the extra docs is not installed")
@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_links_of_pages_lead_to_existing_files():
    dead = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
        and not (page.parent / target).with_suffix(".ipynb").exists()
        and not target.endswith("cli.md")
    ]
    assert not dead
