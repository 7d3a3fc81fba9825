"""Suite files."""

from __future__ import annotations

import pytest

from anybind.errors import BadOption, UnknownName
from anybind.plugin import KindSpec
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


def test_a_suite_file_lists_evaluations_with_published_results(tmp_path):
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


def test_a_suite_is_found_by_name_inside_its_plugins_package(registry, add_plugin, tmp_path, monkeypatch):
    package = tmp_path / "suite_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "table.toml").write_text(TEXT)
    monkeypatch.syspath_prepend(tmp_path)
    kind = KindSpec(
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


def test_a_mistake_is_told_by_row_and_key(tmp_path):
    (tmp_path / "s.toml").write_text(TEXT.replace("modality", "modalty"))
    with pytest.raises(
        BadOption, match=r"s\.toml: evaluations\.0 has an unknown key 'modalty'; did you mean 'modality'"
    ):
        Suite.from_toml(tmp_path / "s.toml")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("seeds = []", "seeds must be distinct whole numbers from 0"),
        ("seeds = [0, -1]", "seeds must be distinct whole numbers from 0"),
        ("seeds = [3, 1, 3]", "seeds must be distinct whole numbers from 0"),
        ("seeds = [true]", "seeds.0: expected a whole number, got True"),
        ("seeds = 1", "seeds: expected a list, got 1"),
        ("metrics = [1]", "metrics.0: expected a text, got 1"),
        ('differs = "a note"', "differs: expected a list"),
        ('made = "yes"', "made: expected true or false"),
        ("title = 7", "title: expected a text, got 7"),
        ('path = "/data/x"', "path must lead from the folder of all data into it, got '/data/x'"),
        ('path = "../x"', "path must lead from the folder of all data"),
        ("dataset_options = { since = 2020-01-01 }", "dataset_options: Object of type date"),
        ('[evaluations.published]\nthem = "0.5"', "published.them: expected a number"),
        ("[evaluations.published]\nthem = { top1 = true }", "published.them.top1: expected a number"),
    ],
)
def test_an_invalid_value_is_reported_with_its_row_and_key(tmp_path, line, told):
    text = TEXT.replace("published = { paper = 0.5 }\n", "")
    (tmp_path / "s.toml").write_text(f"{text}{line}\n")
    with pytest.raises(BadOption, match=r"s\.toml: evaluations\.0") as error:
        Suite.from_toml(tmp_path / "s.toml")
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ('name = "a/b"', "name must be valid as the name of a folder"),
        ('name = ".."', "name must be valid as the name of a folder"),
        ('name = "table"\nbindings = ["mini", "mini"]', "two bindings are called 'mini'"),
        ('name = "table"\nbindings = [1]', "bindings.0: expected a text, got 1"),
        ('name = "table"\ncompare = { mini = 1 }', "compare.mini: expected a text, got 1"),
        ('name = "table"\nevaluations = []', "there are no evaluations"),
    ],
)
def test_an_invalid_value_of_the_suite_is_reported(tmp_path, head, told):
    rows = "" if "evaluations" in head else TEXT[TEXT.index("[[evaluations]]") :]
    (tmp_path / "s.toml").write_text(f"{head}\n\n{rows}")
    with pytest.raises(BadOption, match=r"s\.toml: ") as error:
        Suite.from_toml(tmp_path / "s.toml")
    assert told in str(error.value)


def test_two_evaluations_need_two_titles(tmp_path):
    rows = TEXT[TEXT.index("[[evaluations]]") :]
    (tmp_path / "s.toml").write_text(f"{TEXT}\n{rows}")
    with pytest.raises(BadOption, match="two evaluations are called 'zero-shot: event of folder'"):
        Suite.from_toml(tmp_path / "s.toml")


def test_titles_and_paths_that_are_left_out_follow_from_the_rest(tmp_path):
    (tmp_path / "s.toml").write_text(TEXT)
    [evaluation] = Suite.from_toml(tmp_path / "s.toml").evaluations
    assert (evaluation.title, evaluation.path, evaluation.seeds) == ("zero-shot: event of folder", "folder", (0,))
