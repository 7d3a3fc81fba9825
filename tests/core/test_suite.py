"""Suite files."""

from __future__ import annotations

import pytest

import anybind

TEXT = """
name = "table"
bindings = ["mini"]

[[questions]]
task = "zero-shot"
dataset = "folder"
modality = "event"
options = { templates = ["a {}"] }
published = { paper = 0.5 }
source = "the paper, table 2"
"""


def test_a_suite_file_lists_questions_with_published_answers(tmp_path):
    (tmp_path / "s.toml").write_text(TEXT)
    suite = anybind.Suite.from_toml(tmp_path / "s.toml")
    assert suite.bindings == ("mini",)
    assert suite.questions == (
        anybind.Question(
            task="zero-shot",
            dataset="folder",
            modality="event",
            options={"templates": ["a {}"]},
            published={"paper": 0.5},
            source="the paper, table 2",
        ),
    )


def test_a_suite_is_found_by_name_inside_its_plugins_package(registry, add_plugin, tmp_path, monkeypatch):
    package = tmp_path / "suite_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "table.toml").write_text(TEXT)
    monkeypatch.syspath_prepend(tmp_path)
    add_plugin(registry, register_suites=[anybind.Spec(name="table", summary="s", target="suite_package:table.toml")])
    assert anybind.find_suite("table") == anybind.find_suite(package / "table.toml")
    with pytest.raises(anybind.UnknownName, match="no suite 'tabel'; did you mean 'table'"):
        anybind.find_suite("tabel")


def test_a_mistake_is_told_by_row_and_key(tmp_path):
    (tmp_path / "s.toml").write_text(TEXT.replace("modality", "modalty"))
    with pytest.raises(
        anybind.BadOption, match=r"questions\]\] 1 has an unknown key 'modalty'; did you mean 'modality'"
    ):
        anybind.Suite.from_toml(tmp_path / "s.toml")
