"""The suites of EventCLIP and EventBind: published values, and runs from end to end on replicas with a small CLIP."""

from __future__ import annotations

import importlib.resources
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from anybind_bench.suite import Suite, find_suite
from helpers import replicas

pytestmark = pytest.mark.torch


def list_published(suite: Suite) -> dict[str, dict[str, Any]]:
    return {evaluation.title: dict(evaluation.published) for evaluation in suite.evaluations}


@pytest.mark.parametrize("method", ["EventCLIP", "EventBind"])
def test_published_values_are_those_of_the_tables_of_the_paper(method: str) -> None:
    expected = {}
    for table, more in (("paper-table2", ""), ("paper-table1", ", fine-tuned")):
        for title, row in list_published(find_suite(table)).items():
            values = {name: value for name, value in row.items() if name.startswith(method)}
            expected |= {f"{title}{more}": values} if values else {}
    suite = find_suite(f"paper-{method.lower()}")
    assert list_published(suite) == expected
    assert {each.dataset for each in suite.evaluations} == {"n-imagenet", "n-caltech101", "n-mnist"}
    for evaluation in suite.evaluations:
        assert evaluation.options.get("shots", 0) == int(evaluation.title.partition(", ")[2][:1].replace("f", "0"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    replicas.make_replica("n-mnist", folder / "N-MNIST")
    replicas.make_replica("n-caltech101", folder / "N-Caltech101")
    replicas.make_replica("n-imagenet-authors", folder / "N_Imagenet")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("method", [pytest.param("eventclip", marks=pytest.mark.long), "eventbind"])
def test_a_suite_runs(method: str, data: Path, clip: str, cli, tmp_path: Path, monkeypatch) -> None:
    """Zero-shot, 1-shot and fine-tuned rows of every dataset; those of 2 and 5 shots differ in one number."""
    monkeypatch.setattr("anybind_train.engine.draw_curves", lambda *arguments: None)
    monkeypatch.setattr("anybind_train.metrics_log._open_tensorboard", lambda *arguments: None)
    source = importlib.resources.files("anybind_baselines").joinpath(f"suites/paper-{method}.toml")
    table = tomllib.loads(source.read_text(encoding="utf-8"))
    rows = [row for row in table["evaluations"] if not row["title"].endswith(("2 shots", "5 shots"))]
    for row in rows:
        shorten_row(row, method)
    file = tmp_path / "suite.toml"
    file.write_text(format_suite({**table, "evaluations": rows}))
    outcome = cli(
        "bench", "run", file, "--data", data, "--binding", f"{method}:{clip},count=300,views=2", "--seed", 0,
        "--no-store", "-o", tmp_path / "results", "--json",
    )  # fmt: skip
    cells = json.loads((tmp_path / "results" / "results.json").read_text())["cells"]
    assert [(rows[cell["evaluation"]]["title"], cell["error"]) for cell in cells if cell["state"] != "done"] == []
    assert outcome.code == 0, outcome.err
    assert len(cells) == len(rows)
    settings = [cell["result"]["details"].get("settings", {}) for cell in cells]
    trained = {each["method"] for each in settings if each}
    assert trained == {"eventclip" if method == "eventclip" else "joint"}


def shorten_row(row: dict[str, Any], method: str) -> None:
    options = row.setdefault("options", {})
    if row["task"] != "zero-shot":
        head = {"epochs": 2, "width": 8, "heads": 2}
        options |= {"head_options": head} if method == "eventclip" else {"epochs": 1, "batch_size": 2}
    names = {
        "n-mnist": ["0", "1"],
        "n-caltech101": ["rooster", "helicopter"],
        "n-imagenet": list(replicas.import_lists("n_imagenet_authors")["names"])[:2],
    }
    if row["dataset"] != "n-imagenet" or row["task"] == "fine-tune":
        row["dataset_options"] = {**row["dataset_options"], "classes": names[row["dataset"]]}


def format_suite(table: dict[str, Any]) -> str:
    rows = table.pop("evaluations")
    lines = [f"{key} = {format_toml(value)}" for key, value in table.items()]
    for row in rows:
        lines += ["[[evaluations]]", *(f"{key} = {format_toml(value)}" for key, value in row.items())]
    return "\n".join(lines)


def format_toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {format_toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(format_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*evaluated without")
@pytest.mark.parametrize("method", ["eventclip", "eventbind"])
def test_table_2_of_the_paper_runs_on_the_bindings(method: str, data: Path, clip: str, cli, tmp_path: Path) -> None:
    """Its zero-shot rows; frames without a clamp of counts are evaluated without, with a warning."""
    outcome = cli(
        "bench", "run", "paper-table2", "--data", data, "--binding", f"{method}:{clip},count=300,views=2",
        "--only", "zero-shot", "--limit", 4, "--no-store", "-o", tmp_path / "results", "--json",
    )  # fmt: skip
    cells = json.loads((tmp_path / "results" / "results.json").read_text())["cells"]
    assert outcome.code == 0, outcome.err
    assert [cell["state"] for cell in cells if cell["result"] or cell["error"]] == ["done"] * 3
