"""Suite files."""

from __future__ import annotations

import pytest

from anybind.errors import BadOption, UnknownName
from anybind.spec import Spec
from anybind_bench.suite import Question, Suite, find_suite

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
    suite = Suite.from_toml(tmp_path / "s.toml")
    assert suite.bindings == ("mini",)
    assert suite.questions == (
        Question(
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
    add_plugin(registry, register_suites=[Spec(name="table", summary="s", target="suite_package:table.toml")])
    assert find_suite("table") == find_suite(package / "table.toml")
    with pytest.raises(UnknownName, match="no suite 'tabel'; did you mean 'table'"):
        find_suite("tabel")


def test_a_mistake_is_told_by_row_and_key(tmp_path):
    (tmp_path / "s.toml").write_text(TEXT.replace("modality", "modalty"))
    with pytest.raises(BadOption, match=r"questions\]\] 1 has an unknown key 'modalty'; did you mean 'modality'"):
        Suite.from_toml(tmp_path / "s.toml")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("seeds = []", "seeds must be whole numbers, 0 or more, and at least one"),
        ("seeds = [0, -1]", "seeds must be whole numbers"),
        ("seeds = [true]", "seeds must be whole numbers"),
        ("seeds = [3, 1, 3]", "a seed stands twice among 3, 1, 3"),
        ("seeds = 1", "seeds must be a list"),
        ("metrics = [1]", "metrics must be a list of texts"),
        ('differs = "a note"', "differs must be a list"),
        ('made = "yes"', "made must be true or false"),
        ("title = 7", "title must be a text"),
        ('path = "/data/x"', "path must lead from the folder of all data into it, got '/data/x'"),
        ('path = "../x"', "path must lead from the folder of all data"),
        ("dataset_options = { since = 2020-01-01 }", "dataset_options holds what no JSON can hold"),
        ('[questions.published]\nthem = "0.5"', "published numbers of 'them' must be numbers"),
        ("[questions.published]\nthem = { top1 = true }", "published numbers of 'them' must be numbers"),
    ],
)
def test_a_value_of_another_kind_is_told_with_its_row_and_key(tmp_path, line, told):
    text = TEXT.replace("published = { paper = 0.5 }\n", "")
    (tmp_path / "s.toml").write_text(f"{text}{line}\n")
    with pytest.raises(BadOption, match=r"s\.toml, \[\[questions\]\] 1: ") as error:
        Suite.from_toml(tmp_path / "s.toml")
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ('name = "a/b"', "name must be fit to name a folder"),
        ('name = ".."', "name must be fit to name a folder"),
        ('name = "table"\nbindings = ["mini", "mini"]', "the binding 'mini' stands there twice"),
        ('name = "table"\nbindings = [1]', "bindings must be a list of texts"),
        ('name = "table"\ncompare = { mini = 1 }', "compare must say by a text whose numbers 'mini' is set against"),
        ('name = "table"\nquestions = []', "there are no questions in it"),
    ],
)
def test_a_mistake_of_the_whole_suite_is_told(tmp_path, head, told):
    rows = "" if "questions" in head else TEXT[TEXT.index("[[questions]]") :]
    (tmp_path / "s.toml").write_text(f"{head}\n\n{rows}")
    with pytest.raises(BadOption) as error:
        Suite.from_toml(tmp_path / "s.toml")
    assert told in str(error.value)


def test_two_questions_need_two_titles(tmp_path):
    rows = TEXT[TEXT.index("[[questions]]") :]
    (tmp_path / "s.toml").write_text(f"{TEXT}\n{rows}")
    with pytest.raises(BadOption, match="two questions are called 'zero-shot: event of folder'"):
        Suite.from_toml(tmp_path / "s.toml")


def test_titles_and_paths_that_are_left_out_follow_from_the_rest(tmp_path):
    (tmp_path / "s.toml").write_text(TEXT)
    [question] = Suite.from_toml(tmp_path / "s.toml").questions
    assert (question.title, question.path, question.seeds) == ("zero-shot: event of folder", "folder", (0,))
