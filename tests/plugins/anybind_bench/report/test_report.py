"""Reports on the terminal, as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

SUITE_FIELDS = {"compare": {"*": "paper"}, "source": "Doe et al., Table 1", "differences": ("encoders were not tuned",)}


@pytest.fixture
def results_folder(results, evaluation, cell):
    """Two datasets and two bindings, one with a failed and one with a missing cell."""
    evaluations = [
        evaluation(
            "N-Caltech101", published={"EventCLIP": 0.5882, "paper": 0.6634}, differences=("101 candidate labels",)
        ),
        evaluation("N-MNIST", published={"paper": 0.4695}, source="another paper"),
    ]
    fields = {"intervals": {"top1": [0.5894, 0.6352]}, "chance": {"top1": 0.01}}
    cells = [
        cell(0, "clip", metrics={"top1": 0.6123}, n=1741, **fields),
        cell(0, "mini", state="failed", error="ValueError: <b>no | events</b>"),
        cell(1, "clip", state="missing", error="missing folder data/n-mnist"),
        cell(1, "mini", metrics={"top1": 0.5}, n=100),
    ]
    return results("runs", evaluations, cells, **SUITE_FIELDS)


def test_terminal_shows_measured_beside_published_values(cli, results_folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    output = cli("bench", "report", results_folder).out
    assert re.search(r"│ N-Caltech101, top-1 \[1\] +│ +│ +│ +│ +│\n│   EventCLIP +│ 58.82", output)
    assert re.search(r"│   clip +│ 61.23 +│ 58.94 to 63.52 +│ 1,741 +│ -5.11 \(paper\)", output)
    assert re.search(r"│   mini +│ – \[2\]", output)
    assert "[2] failed: ValueError: <b>no | events</b>" in output
    assert "Published values: Doe et al., Table 1.\nencoders were not tuned\n" in output
    assert "published values: another paper" in output


def test_terminal_omits_empty_columns(cli, results, evaluation, cell, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    wide = evaluation("Digits", metrics=("top1", "top5"))
    output = cli("bench", "report", results("a", [wide], [cell(0, "mini", metrics={"top1": 0.5, "top5": 1.0})])).out
    assert "difference" not in output
    assert "interval" not in output
    assert output.count("Digits") == 2


def test_markdown_table_has_footnotes(cli, results_folder, tmp_path):
    output = tmp_path / "report.md"
    assert cli("bench", "report", results_folder, "-o", output).out == f"report: {output}\n"
    lines = output.read_text().splitlines()
    assert "|  | N-Caltech101 (top-1)[^1] | N-MNIST (top-1)[^2] |" in lines
    assert "| EventCLIP | 58.82 | – |" in lines
    assert "| **clip** | 61.23 (58.94 to 63.52, n = 1,741) | –[^3] |" in lines
    assert "| difference to paper | -5.11 | – |" in lines
    assert "[^4]: failed: ValueError: \\<b\\>no \\| events\\</b\\>" in lines
    rows = [line for line in lines if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}
    used = set(re.findall(r"\[\^\d+\](?!:)", output.read_text()))
    assert used == {line.partition(":")[0] for line in lines if line.startswith("[^")}


def test_csv_has_a_row_per_cell_and_published_value(cli, results_folder, tmp_path):
    cli("bench", "report", results_folder, "-o", tmp_path / "report.csv")
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


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1+1"])
def test_texts_that_a_spreadsheet_would_run_get_an_apostrophe_and_numbers_stay(
    cli, results, evaluation, cell, tmp_path, text
):
    published = {"paper": -0.5, text: 0.25, "-1.5": 0.125}
    cells = [
        cell(0, "mini", metrics={"top1": -0.25}),
        cell(0, "clip", state="failed", error=text),
    ]
    folder = results("a", [evaluation(text, published=published)], cells)
    cli("bench", "report", folder, "-o", tmp_path / "a.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_bytes().decode(), newline="")))
    expected = "'" + text.replace("\r", " ")
    assert {row["evaluation"] for row in rows} == {expected}
    assert [row["published_name"] for row in rows if not row["binding"]] == ["paper", expected, "-1.5"]
    assert [row["published_value"] for row in rows if not row["binding"]] == ["-0.5", "0.25", "0.125"]
    assert [(row["value"], row["error"]) for row in rows if row["binding"]] == [("-0.25", ""), ("", f"'{text.strip()}")]


def test_control_characters_of_results_are_escaped_on_the_terminal(cli, results, evaluation, cell):
    cells = [cell(0, "mini", state="failed", error="bad\x1b[2J\u202e")]
    folder = results("a", [evaluation("a\x1b[31m\nb")], cells, source="Doe\x9b et al.", differences=("c\x1b]0;d\x07",))
    printed = cli("bench", "report", folder).out
    assert r"bad\x1b[2J\u202e" in printed
    assert r"a\x1b[31m\nb" in printed
    assert not set("\x1b\x9b\x07\u202e") & set(printed)


def test_json_has_the_merged_table_also_beside_a_file(cli, results_folder, tmp_path):
    fields = json.loads(cli("bench", "report", results_folder, "--json").out)
    beside = json.loads(cli("bench", "report", results_folder, "--json", "-o", tmp_path / "report.md").out)
    assert beside == {**fields, "report": str(tmp_path / "report.md")}
    assert (tmp_path / "report.md").is_file()
    [suite] = fields["suites"]
    assert fields["report"] is None
    assert [column["evaluation"] for column in suite["columns"]] == ["N-Caltech101", "N-MNIST"]
    assert [column["source"] for column in suite["columns"]] == ["Doe et al., Table 1", "another paper"]
    assert [(row["kind"], row["name"]) for row in suite["rows"]] == [
        ("published", "EventCLIP"),
        ("published", "paper"),
        ("measured", "clip"),
        ("measured", "mini"),
    ]
    clip = suite["rows"][2]
    assert clip["values"][0]["value"] == 0.6123
    assert clip["values"][1]["reasons"] == ["data missing: missing folder data/n-mnist"]
    assert clip["differences"] == [pytest.approx(-0.0511), None]


def test_wide_table_is_transposed(cli, results, evaluation, cell, tmp_path):
    names = [f"event_to_image_{name}" for name in ("R@1", "R@5", "R@10", "mAP@1", "mAP@5", "mAP@10", "MRR", "top9")]
    metrics = {**dict.fromkeys(names, 0.25), "event_to_image_median_rank": 3.0}
    wide = evaluation("both ways", metrics=tuple(metrics), published={"paper": {names[0]: 0.7103}})
    wide_cell = cell(0, "clip", metrics=metrics, n=1741, intervals={names[0]: [0.2, 0.3]})
    cli("bench", "report", results("a", [wide], [wide_cell], compare={"*": "paper"}), "-o", tmp_path / "r.md")
    lines = (tmp_path / "r.md").read_text().splitlines()
    assert "|  | paper | clip | 95 % interval | n | difference to paper |" in lines
    assert "| both ways event to image R@1 | 71.03 | 25.00 | 20.00 to 30.00 | 1,741 | -46.03 |" in lines
    assert "| both ways event to image median rank | – | 3 | – | 1,741 | – |" in lines


def test_suites_are_sections_with_continuous_footnotes(cli, results_folder, results, evaluation, cell, tmp_path):
    other = results("b", [evaluation("q")], [cell(0, "mini", state="failed", error="no memory")], name="other")
    cli("bench", "report", results_folder, other, "-o", tmp_path / "r.md")
    text = (tmp_path / "r.md").read_text()
    assert text.index("## table") < text.index("## other")
    assert "| **mini** | –[^5] |" in text


def test_unsupported_suffix_is_rejected_before_reading(cli, tmp_path):
    output = cli("bench", "report", tmp_path / "nothing", "-o", tmp_path / "report.pdf").error()
    assert "report.pdf: expected a report file ending in .html, .md or .csv" in output


def test_missing_folders_are_reported(cli, results_folder, tmp_path):
    assert "write them by `anybind bench run`" in cli("bench", "report", tmp_path).error()
    assert "make it first" in cli("bench", "report", results_folder, "-o", tmp_path / "no" / "report.html").error()
