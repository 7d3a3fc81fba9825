"""Suite files."""

from __future__ import annotations

import pytest

from anybind.errors import BadOption, UnknownName
from anybind.plugin import kinds
from anybind_bench.suite import Evaluation, Suite, SuiteSpec, find_suite

TEXT = """
name = "table"
bindings = ["mini"]

[[evaluations]]
task = "zero-shot"
dataset = "folder"
modality = "event"
options = { templates = ["a {}"] }
published = { paper = 0.5 }
source = "the paper, table 2"
"""


def test_suite_file_defines_evaluations(tmp_path):
    (tmp_path / "s.toml").write_text(TEXT)
    suite = Suite.from_toml(tmp_path / "s.toml")
    assert suite.bindings == ("mini",)
    assert suite.evaluations == (
        Evaluation(
            task="zero-shot",
            dataset="folder",
            modality="event",
            options={"templates": ["a {}"]},
            published={"paper": 0.5},
            source="the paper, table 2",
        ),
    )


def test_suite_is_found_by_name(registry, add_plugin, tmp_path, monkeypatch):
    package = tmp_path / "suite_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "table.toml").write_text(TEXT)
    monkeypatch.syspath_prepend(tmp_path)
    kind = kinds.KindSpec(
        name="suite",
        plural="suites",
        summary="s",
        target="anybind_bench.suite:Suite",
        spec="anybind_bench.suite:SuiteSpec",
    )
    add_plugin(registry, kind, SuiteSpec(name="table", summary="s", target="suite_package:table.toml"))
    assert find_suite("table") == find_suite(package / "table.toml")
    with pytest.raises(UnknownName, match="no suite 'tabel'; did you mean 'table'"):
        find_suite("tabel")


def test_unknown_key_is_reported_with_its_row(tmp_path):
    (tmp_path / "s.toml").write_text(TEXT.replace("modality", "modalty"))
    with pytest.raises(
        BadOption, match=r"s\.toml: evaluations\.0 has an unknown key 'modalty'; did you mean 'modality'"
    ):
        Suite.from_toml(tmp_path / "s.toml")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("seeds = []", "seeds: expected one or more distinct integers >= 0"),
        ("seeds = [0, -1]", "seeds: expected one or more distinct integers >= 0"),
        ("seeds = [3, 1, 3]", "seeds: expected one or more distinct integers >= 0"),
        ("seeds = [true]", "seeds.0: expected a whole number, got True"),
        ("seeds = 1", "seeds: expected a list, got 1"),
        ("metrics = [1]", "metrics.0: expected a text, got 1"),
        ('differences = "a note"', "differences: expected a list"),
        ('generated = "yes"', "generated: expected true or false"),
        ("title = 7", "title: expected a text, got 7"),
        ('path = "/data/x"', "path must be relative and stay below the folder of all data, got '/data/x'"),
        ('path = "../x"', "path must be relative and stay below"),
        ("dataset_options = { since = 2020-01-01 }", "dataset_options: Object of type date"),
        ('[evaluations.published]\nthem = "0.5"', "published.them: expected a number"),
        ("[evaluations.published]\nthem = { top1 = true }", "published.them.top1: expected a number"),
    ],
)
def test_invalid_evaluation_value_is_reported(tmp_path, line, message):
    text = TEXT.replace("published = { paper = 0.5 }\n", "")
    (tmp_path / "s.toml").write_text(f"{text}{line}\n")
    with pytest.raises(BadOption, match=r"s\.toml: evaluations\.0") as error:
        Suite.from_toml(tmp_path / "s.toml")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ('name = "a/b"', "name: expected a valid folder name"),
        ('name = ".."', "name: expected a valid folder name"),
        ('name = "table"\nbindings = ["mini", "mini"]', "two bindings have the name 'mini'"),
        ('name = "table"\nbindings = [1]', "bindings.0: expected a text, got 1"),
        ('name = "table"\ncompare = { mini = 1 }', "compare.mini: expected a text, got 1"),
        ('name = "table"\nevaluations = []', "evaluations: expected at least one"),
    ],
)
def test_invalid_suite_value_is_reported(tmp_path, head, message):
    rows = "" if "evaluations" in head else TEXT[TEXT.index("[[evaluations]]") :]
    (tmp_path / "s.toml").write_text(f"{head}\n\n{rows}")
    with pytest.raises(BadOption, match=r"s\.toml: ") as error:
        Suite.from_toml(tmp_path / "s.toml")
    assert message in str(error.value)


def test_titles_must_be_distinct(tmp_path):
    rows = TEXT[TEXT.index("[[evaluations]]") :]
    (tmp_path / "s.toml").write_text(f"{TEXT}\n{rows}")
    with pytest.raises(BadOption, match="two evaluations have the name 'zero-shot: event of folder'"):
        Suite.from_toml(tmp_path / "s.toml")


def test_default_title_and_path(tmp_path):
    (tmp_path / "s.toml").write_text(TEXT)
    [evaluation] = Suite.from_toml(tmp_path / "s.toml").evaluations
    assert (evaluation.title, evaluation.path, evaluation.seeds) == ("zero-shot: event of folder", "folder", (0,))
