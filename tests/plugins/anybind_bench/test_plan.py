"""Plans: what is at hand, what is missing, and what it is known by."""

from __future__ import annotations

import json
import os

import pytest

import anybind
from anybind.binding import ConfiguredPart
from anybind.errors import BadOption, UnknownName
from anybind.registry import create_part
from anybind.tables import hash_settings
from anybind_bench.cell import Cell
from anybind_bench.encoders import BindingEncoders, fingerprint
from anybind_bench.prepare import Prepared
from anybind_bench.run import find_bindings
from anybind_bench.suite import Evaluation, find_suite


def test_missing_data_are_told_with_where_they_are_published_and_the_rest_goes_on(world):
    world.add("elsewhere", 'dataset = "notes"\npath = "deep/er"\n')
    ended = world.run()
    assert ended["code"] == 1
    assert [cell["state"] for cell in ended["cells"]] == ["done"] * 3 + ["missing"]
    assert [each["there"] for each in ended["plan"]] == [True, True, False]
    told = "there is no deep/er in the folder of all data; notes is published at https://example.org/notes"
    assert world.held()["cells"][3]["error"] == told
    assert ended["err"].splitlines() == [f"missing: elsewhere: {told}"]


def test_a_folder_that_lacks_a_part_of_its_data_is_told_without_the_machines_folders(world):
    (world.data / "half").mkdir()
    world.add("half", 'dataset = "notes"\npath = "half"\n')
    error = world.run("--only", "half")["cells"][0]["error"]
    assert error.startswith("half is no complete copy of notes: it lacks notes.txt")


def test_without_a_folder_of_data_the_line_says_how_to_give_it(world, a_plan):
    [first, *_] = a_plan(data=None).cells
    assert first.state == "missing"
    assert "needs the folder notes of notes; give the folder of all data by --data" in str(first.error)


def test_names_of_parts_that_are_not_there_fail_their_cells_alone(world):
    text = world.suite.read_text().replace('task = "count"', 'task = "cuont"', 1)
    world.suite.write_text(text)
    world.add("odd options", surprise=1)
    world.add("odd data", 'dataset = "ntoes"\n')
    ended = world.run()
    assert [cell["state"] for cell in ended["cells"]] == ["failed", "done", "done", "failed", "failed"]
    errors = [cell["error"] for cell in ended["cells"] if cell["error"]]
    assert "there is no task 'cuont'; did you mean 'count'?" in errors[0]
    assert "unexpected keyword argument 'surprise'" in errors[1]
    assert "there is no dataset 'ntoes'; did you mean 'notes'?" in errors[2]


def test_only_takes_titles_tasks_and_datasets_and_offers_the_nearest(world):
    world.add("third", 'dataset = "written"\nmade = true\n')
    suite = find_suite(world.suite)
    first, second, third = suite.evaluations
    assert suite.select(["First"]) == [first]
    assert suite.select(["written", "first"]) == [first, third]
    assert suite.select(["count"]) == [first, second, third] == suite.select([])
    with pytest.raises(BadOption, match="called 'secnd'; did you mean 'second'"):
        suite.select(["secnd"])


def test_a_limit_goes_to_the_datasets_that_take_one(world):
    world.add("third", 'dataset = "written"\nmade = true\n')
    whole = find_suite(world.suite)
    suite = whole.narrow(whole.select(["first", "third"]), limit=2, seeds=(4, 4, 1))
    assert [dict(each.dataset_options) for each in suite.evaluations] == [{"limit": 2}, {}, {}]
    assert [each.seeds for each in suite.evaluations] == [(4, 1), (0, 1), (4, 1)]
    assert world.run("--limit", "2", "--only", "first")["cells"][0]["value"] == pytest.approx(1 / 2)


def test_bindings_given_must_exist_and_have_names_of_their_own(world):
    suite = find_suite(world.suite)
    with pytest.raises(UnknownName, match="no binding 'tyo'; did you mean 'toy'"):
        find_bindings(suite, ["tyo"])
    with pytest.raises(BadOption, match="two of the bindings are called 'toy'"):
        find_bindings(suite, ["toy", "toy:"])
    world.suite.write_text(world.suite.read_text().replace('bindings = ["toy"]', ""))
    with pytest.raises(BadOption, match="names no bindings; give some by --binding"):
        find_bindings(find_suite(world.suite), [])


def test_a_binding_of_the_suite_that_is_not_there_fails_its_cells_alone(world):
    world.suite.write_text(world.suite.read_text().replace('["toy"]', '["absent", "toy"]'))
    ended = world.run()
    assert [cell["state"] for cell in ended["cells"]] == ["failed", "done", "failed", "failed", "done", "done"]
    assert "there is no binding 'absent'" in ended["cells"][0]["error"]


def test_the_identity_depends_on_all_that_decides_the_result_and_on_nothing_else(toys):
    evaluation = Evaluation("count", "notes", "text", title="a", options={"note": "x"})
    same = Evaluation("count", "notes", "text", title="b", options={"note": "x"}, published={"them": 1.0})

    def identity(evaluation=evaluation, split_hash="hash", binding="toy", encoder="e", seed=0):
        settings = Cell(evaluation, binding, seed).settings(split_hash, {"text": encoder})
        assert json.loads(json.dumps(settings)) == settings
        return hash_settings(settings)

    assert identity(same) == identity()
    others = [
        identity(Evaluation("count", "notes", "text", options={"note": "y"})),
        identity(Evaluation("count", "notes", "text", dataset_options={"limit": 1})),
        identity(split_hash="other"),
        identity(binding="other"),
        identity(encoder="f"),
        identity(seed=1),
    ]
    assert len({identity(), *others}) == 7


def test_text_encoders_take_part_where_there_are_some(toys):
    prepared = Prepared(Evaluation("count", "notes", "image"), create_part("task", "count"))
    assert prepared.modalities(anybind.find_binding("wordless")) == ("image",)
    both = anybind.Binding("b", {name: ConfiguredPart("words", {"of": name}) for name in ("image", "text")})
    assert prepared.modalities(both) == ("image", "text")


def test_what_is_remembered_of_encoders_holds_while_their_files_stay(toys, tmp_path):
    weights = tmp_path / "weights"
    weights.write_text("a")
    binding = anybind.Binding("b", {"text": ConfiguredPart("words", {"salt": str(weights)})})
    encoders = BindingEncoders(binding, tmp_path, "cpu", None)
    assert encoders.known == {}
    found = encoders.identify(["text"])
    assert not encoders.changed
    assert BindingEncoders(binding, tmp_path, "cpu", None).known == found
    os.utime(weights, ns=(1, 1))
    assert BindingEncoders(binding, tmp_path, "cpu", None).known == {}
    assert fingerprint(binding) != fingerprint(anybind.Binding("b", {"text": ConfiguredPart("words")}))


def test_another_version_of_the_plugin_is_another_fingerprint(toys, monkeypatch):
    before = fingerprint(anybind.find_binding("toy"))
    monkeypatch.setattr("anybind_bench.encoders.version", lambda distribution: "2.0")
    assert fingerprint(anybind.find_binding("toy")) != before
