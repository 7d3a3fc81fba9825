"""The command: tables on the terminal, and the files that it writes."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

PAPER = {"compare": {"*": "paper"}, "source": "Doe et al., Table 1", "differs": ("towers were not tuned",)}


@pytest.fixture
def two(results, evaluation, cell):
    """Two data sets, two bindings, of which one failed and one was not there."""
    evaluations = [
        evaluation(
            "N-Caltech101", published={"EventCLIP": 0.5882, "paper": 0.6634}, differs=("asked among 101 names",)
        ),
        evaluation("N-MNIST", published={"paper": 0.4695}, source="another paper"),
    ]
    about = {"intervals": {"top1": [0.5894, 0.6352]}, "chance": {"top1": 0.01}}
    cells = [
        cell(0, "clip", metrics={"top1": 0.6123}, n=1741, **about),
        cell(0, "mini", state="failed", error="ValueError: <b>no | events</b>"),
        cell(1, "clip", state="missing", error="data/n-mnist is not there"),
        cell(1, "mini", metrics={"top1": 0.5}, n=100),
    ]
    return results("runs", evaluations, cells, **PAPER)


def test_the_terminal_shows_ours_beside_published_numbers(cli, two, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    said = cli("bench", "report", two).out
    assert re.search(r"N-Caltech101 \[1\] +│ top-1 +│ EventCLIP +│ 58.82", said)
    assert re.search(r"│ clip +│ 61.23 +│ 58.94 to 63.52 +│ 1,741 +│ -5.11 \(paper\)", said)
    assert re.search(r"│ mini +│ – \[2\]", said)
    assert "[2] failed: ValueError: <b>no | events</b>" in said
    assert "Published numbers: Doe et al., Table 1.\ntowers were not tuned\n" in said
    assert "published numbers: another paper" in said


def test_the_terminal_leaves_out_what_nothing_says(cli, results, evaluation, cell, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    asked = evaluation("Digits", metrics=("top1", "top5"))
    said = cli("bench", "report", results("a", [asked], [cell(0, "mini", metrics={"top1": 0.5, "top5": 1.0})])).out
    assert "difference" not in said
    assert "interval" not in said
    assert said.count("Digits") == 1


def test_markdown_is_a_table_with_footnotes(cli, two, tmp_path):
    output = tmp_path / "report.md"
    assert cli("bench", "report", two, "-o", output).out == f"report: {output}\n"
    lines = output.read_text().splitlines()
    assert "|  | N-Caltech101 (top-1)[^1] | N-MNIST (top-1)[^2] |" in lines
    assert "| EventCLIP | 58.82 | – |" in lines
    assert "| **clip** | 61.23 (58.94 to 63.52, n = 1,741) | –[^3] |" in lines
    assert "| difference to paper | -5.11 | – |" in lines
    assert "[^4]: failed: ValueError: \\<b\\>no \\| events\\</b\\>" in lines
    used = set(re.findall(r"\[\^\d+\](?!:)", output.read_text()))
    assert used == {line.partition(":")[0] for line in lines if line.startswith("[^")}


def test_every_row_of_markdown_has_as_many_cells(cli, two, tmp_path):
    cli("bench", "report", two, "-o", tmp_path / "report.md")
    rows = [line for line in (tmp_path / "report.md").read_text().splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}


def test_csv_has_a_row_for_each_cell_and_each_published_number(cli, two, tmp_path):
    cli("bench", "report", two, "-o", tmp_path / "report.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "report.csv").read_text())))
    assert len(rows) == 3 + 4
    [clip] = [row for row in rows if row["binding"] == "clip" and row["evaluation"] == "N-Caltech101"]
    assert float(clip["value"]) == 0.6123
    assert (float(clip["low"]), float(clip["high"])) == (0.5894, 0.6352)
    assert (clip["published_name"], float(clip["published_value"])) == ("paper", 0.6634)
    assert (clip["n"], clip["seed"], clip["state"], clip["chance"]) == ("1741", "0", "done", "0.01")
    [failed] = [row for row in rows if row["state"] == "failed"]
    assert (failed["value"], failed["error"]) == ("", "ValueError: <b>no | events</b>")
    published = [(row["published_name"], row["published_value"]) for row in rows if not row["binding"]]
    assert published == [("EventCLIP", "0.5882"), ("paper", "0.6634"), ("paper", "0.4695")]


def test_json_holds_the_merged_table(cli, two):
    fields = json.loads(cli("bench", "report", two, "--json").out)
    [suite] = fields["suites"]
    assert fields["report"] is None
    assert [column["evaluation"] for column in suite["columns"]] == ["N-Caltech101", "N-MNIST"]
    assert [column["source"] for column in suite["columns"]] == ["Doe et al., Table 1", "another paper"]
    assert [(row["kind"], row["name"]) for row in suite["rows"]] == [
        ("published", "EventCLIP"),
        ("published", "paper"),
        ("ours", "clip"),
        ("ours", "mini"),
    ]
    clip = suite["rows"][2]
    assert clip["answers"][0]["value"] == 0.6123
    assert clip["answers"][1]["reasons"] == ["data missing: data/n-mnist is not there"]
    assert clip["differences"] == [pytest.approx(-0.0511), None]


def test_json_goes_with_a_file(cli, two, tmp_path):
    output = tmp_path / "report.md"
    assert json.loads(cli("bench", "report", two, "--json", "-o", output).out)["report"] == str(output)
    assert output.is_file()


def test_many_columns_are_rows(cli, results, evaluation, cell, tmp_path):
    names = [f"event_to_image_{name}" for name in ("R@1", "R@5", "R@10", "mAP@1", "mAP@5", "mAP@10", "MRR", "top9")]
    metrics = {**dict.fromkeys(names, 0.25), "event_to_image_median_rank": 3.0}
    asked = evaluation("both ways", metrics=tuple(metrics), published={"paper": {names[0]: 0.7103}})
    made = cell(0, "clip", metrics=metrics, n=1741, intervals={names[0]: [0.2, 0.3]})
    cli("bench", "report", results("a", [asked], [made], compare={"*": "paper"}), "-o", tmp_path / "r.md")
    lines = (tmp_path / "r.md").read_text().splitlines()
    assert "|  | paper | clip | 95 % interval | n | difference to paper |" in lines
    assert "| both ways event to image R@1 | 71.03 | 25.00 | 20.00 to 30.00 | 1,741 | -46.03 |" in lines
    assert "| both ways event to image median rank | – | 3 | – | 1,741 | – |" in lines


def test_suites_are_sections_and_footnotes_go_on(cli, two, results, evaluation, cell, tmp_path):
    other = results("b", [evaluation("q")], [cell(0, "mini", state="failed", error="no memory")], name="other")
    cli("bench", "report", two, other, "-o", tmp_path / "r.md")
    text = (tmp_path / "r.md").read_text()
    assert text.index("## table") < text.index("## other")
    assert "| **mini** | –[^5] |" in text


def test_other_endings_are_refused_before_anything_is_read(cli, tmp_path):
    said = cli("bench", "report", tmp_path / "nothing", "-o", tmp_path / "report.pdf").error()
    assert "report.pdf: expected a report ending in .html, .md or .csv" in said


def test_a_folder_without_results_is_told(cli, tmp_path):
    assert "`anybind bench run` writes it" in cli("bench", "report", tmp_path).error()


def test_a_report_into_a_folder_that_is_not_there_is_told(cli, two, tmp_path):
    assert "make it first" in cli("bench", "report", two, "-o", tmp_path / "no" / "report.html").error()
