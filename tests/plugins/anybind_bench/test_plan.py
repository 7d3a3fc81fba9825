"""Plans of runs: prepared and missing data, bindings and identities."""

from __future__ import annotations

import json
import os
from functools import partial

import pytest

import anybind
from anybind.binding import ConfiguredPart
from anybind.errors import BadOption, UnknownName
from anybind.registry import create_part
from anybind.tables import hash_settings
from anybind_bench.cell import Cell
from anybind_bench.encoders import BindingEncoders, hash_binding
from anybind_bench.prepare import PreparedEvaluation
from anybind_bench.run import find_bindings
from anybind_bench.suite import Evaluation, find_suite


def test_missing_data_report_their_source_and_do_not_stop_the_run(workspace):
    workspace.add("elsewhere", 'dataset = "notes"\npath = "deep/er"\n')
    outcome = workspace.run()
    assert outcome["code"] == 1
    assert [cell["state"] for cell in outcome["cells"]] == ["done"] * 3 + ["missing"]
    assert [each["data_exists"] for each in outcome["plan"]] == [True, True, False]
    message = "missing folder deep/er in the data folder; notes is published at https://example.org/notes"
    assert workspace.read_results()["cells"][3]["error"] == message
    assert outcome["err"].splitlines() == [f"missing: elsewhere: {message}"]


def test_incomplete_data_are_reported_without_machine_paths(workspace):
    (workspace.data / "half").mkdir()
    workspace.add("half", 'dataset = "notes"\npath = "half"\n')
    error = workspace.run("--only", "half")["cells"][0]["error"]
    assert error.startswith("half is not a complete copy of notes: it lacks notes.txt")


def test_missing_data_option_is_explained(workspace, plan_run):
    [first, *_] = plan_run(data=None).cells
    assert first.state == "missing"
    assert "missing data folder notes (notes); set --data" in str(first.error)


def test_unknown_parts_fail_only_their_cells(workspace):
    text = workspace.suite.read_text().replace('task = "count"', 'task = "cuont"', 1)
    workspace.suite.write_text(text)
    workspace.add("odd options", surprise=1)
    workspace.add("odd data", 'dataset = "ntoes"\n')
    outcome = workspace.run()
    assert [cell["state"] for cell in outcome["cells"]] == ["failed", "done", "done", "failed", "failed"]
    errors = [cell["error"] for cell in outcome["cells"] if cell["error"]]
    assert "there is no task 'cuont'; did you mean 'count'?" in errors[0]
    assert "unexpected keyword argument 'surprise'" in errors[1]
    assert "there is no dataset 'ntoes'; did you mean 'notes'?" in errors[2]


def test_only_selects_by_title_task_or_dataset(workspace):
    workspace.add("third", 'dataset = "generated"\ngenerated = true\n')
    suite = find_suite(workspace.suite)
    first, second, third = suite.evaluations
    assert suite.select(["First"]) == [first]
    assert suite.select(["generated", "first"]) == [first, third]
    assert suite.select(["count"]) == [first, second, third] == suite.select([])
    with pytest.raises(BadOption, match=r"task or dataset 'secnd'; did you mean 'second'"):
        suite.select(["secnd"])


def test_limit_applies_to_datasets_with_this_option(workspace):
    workspace.add("third", 'dataset = "generated"\ngenerated = true\n')
    whole = find_suite(workspace.suite)
    suite = whole.restrict(whole.select(["first", "third"]), limit=2, seeds=(4, 4, 1))
    assert [dict(each.dataset_options) for each in suite.evaluations] == [{"limit": 2}, {}, {}]
    assert [each.seeds for each in suite.evaluations] == [(4, 1), (0, 1), (4, 1)]
    assert workspace.run("--limit", "2", "--only", "first")["cells"][0]["value"] == pytest.approx(1 / 2)


def test_given_bindings_must_exist_with_distinct_names(workspace):
    suite = find_suite(workspace.suite)
    with pytest.raises(UnknownName, match="no binding 'tyo'; did you mean 'toy'"):
        find_bindings(suite, ["tyo"])
    with pytest.raises(BadOption, match="two bindings have the name 'toy'"):
        find_bindings(suite, ["toy", "toy:"])
    workspace.suite.write_text(workspace.suite.read_text().replace('bindings = ["toy"]', ""))
    with pytest.raises(BadOption, match="has no bindings; set --binding"):
        find_bindings(find_suite(workspace.suite), [])


def test_unknown_binding_of_the_suite_fails_only_its_cells(workspace):
    workspace.suite.write_text(workspace.suite.read_text().replace('["toy"]', '["absent", "toy"]'))
    outcome = workspace.run()
    assert [cell["state"] for cell in outcome["cells"]] == ["failed", "done", "failed", "failed", "done", "done"]
    assert "there is no binding 'absent'" in outcome["cells"][0]["error"]


def test_identity_depends_only_on_settings_that_determine_the_result(toys):
    evaluation = Evaluation("count", "notes", "text", title="a", options={"note": "x"})
    same = Evaluation("count", "notes", "text", title="b", options={"note": "x"}, published={"them": 1.0})

    def identity(evaluation=evaluation, split_hash="hash", binding="toy", encoder="e", seed=0):
        settings = Cell(evaluation, binding, seed).collect_settings(split_hash, {"text": encoder})
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


def test_renamed_options_keep_the_identity(toys):
    options = {"candidate_labels": "all", "train": {"images": "../photos", "subset": "seen"}}
    settings = Cell(Evaluation("count", "notes", "text", options=options), "toy", 0).collect_settings("hash", {})
    assert settings["options"] == {"among": "all", "train": {"pictures": "../photos", "part": "seen"}}
    assert hash_settings(settings) == "9d6189b35341"


def test_text_encoder_is_part_of_the_identity_if_present(toys):
    prepared = PreparedEvaluation(Evaluation("count", "notes", "image"), create_part("task", "count"))
    assert prepared.list_modalities(anybind.find_binding("textless")) == ("image",)
    both = anybind.Binding("b", {name: ConfiguredPart("hash", {"modality": name}) for name in ("image", "text")})
    assert prepared.list_modalities(both) == ("image", "text")


def test_cached_identities_are_valid_while_files_are_unchanged(toys, tmp_path):
    weights = tmp_path / "weights"
    weights.write_text("a")
    binding = anybind.Binding("b", {"text": ConfiguredPart("hash", {"salt": str(weights)})})
    encoders = BindingEncoders(binding, tmp_path)
    assert encoders.identities == {}
    identities = encoders.identify(["text"])
    assert not encoders.identities_changed
    assert BindingEncoders(binding, tmp_path).identities == identities
    low = BindingEncoders(binding, tmp_path, partial(anybind.load, precision="bf16"))
    assert low.identities == {}  # embeddings of another precision are others
    os.utime(weights, ns=(1, 1))
    assert BindingEncoders(binding, tmp_path).identities == {}
    assert hash_binding(binding) != hash_binding(anybind.Binding("b", {"text": ConfiguredPart("hash")}))


def test_plugin_version_changes_binding_hash(toys, monkeypatch):
    before = hash_binding(anybind.find_binding("toy"))
    monkeypatch.setattr("anybind_bench.encoders.version", lambda distribution: "2.0")
    assert hash_binding(anybind.find_binding("toy")) != before
