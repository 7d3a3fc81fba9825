"""The HTML page of a report."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from anybind_bench.report.merge import merge_results
from anybind_bench.report.plots import make_curve_charts, make_metric_charts
from anybind_bench.report.table import build_table
from anybind_bench.results import read_results
from helpers.pages import BROWSER, BROWSER_LOOK, PageParser


@pytest.fixture
def runs(results, evaluation, cell):
    """Results of every form: narrow, several metrics, transposed, with curves, with missing values."""
    accuracies = {"all": [0.1, 0.4, 0.5], "without <x>": [0.1, 0.3, float("nan")]}
    curves = {name: {"epoch": [0, 1, 2], "top1": values} for name, values in accuracies.items()}
    one = results(
        "one",
        [
            evaluation("N-Caltech101", published={"paper": 0.6634, "EventCLIP": 0.5}, differences=("a <note>",)),
            evaluation("curve"),
        ],
        [
            cell(0, "clip", metrics={"top1": 0.6}, intervals={"top1": [0.55, 0.65]}, chance={"top1": 0.4}),
            cell(0, "mini", state="failed", error="<script>alert(1)</script>"),
            cell(1, "clip", 0, metrics={"top1": 0.5}, curves=curves),
        ],
        compare={"*": "paper"},
        source="the paper",
    )
    wide = results(
        "wide",
        [
            evaluation(
                f"videos {number}", task="vad", metrics=("auc", "ap", "median_rank"), published={"p": {"auc": 0.5}}
            )
            for number in range(4)
        ],
        [cell(number, "mini", metrics={"auc": 0.6, "ap": 0.2, "median_rank": 12.0}) for number in range(4)],
        name="wide",
    )
    return one, wide


def build_table_of(folder):
    [merged] = merge_results([read_results(folder)])
    return build_table(merged)


def test_page_is_self_contained(cli, runs, tmp_path):
    assert cli("bench", "report", *runs, "-o", tmp_path / "r.html").code == 0
    text = (tmp_path / "r.html").read_text()
    page = PageParser(text)
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert "<script" not in text
    assert "@import" not in text
    assert "url(" not in text
    for text in ("66.34", "60.00", "55.00 to 65.00", "-6.34", "a <note>", "failed: <script>alert(1)</script>"):
        assert text in page.texts, text


def test_footnote_links_have_targets(cli, runs, tmp_path):
    cli("bench", "report", *runs, "-o", tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    links, targets = set(re.findall(r'href="#(note-\d+)"', text)), re.findall(r'id="(note-\d+)"', text)
    assert links == set(targets)
    assert len(targets) == len(set(targets)) >= 2


def test_page_shows_provenance_of_each_value(cli, runs, tmp_path):
    cli("bench", "report", runs[0], "-o", tmp_path / "r.html")
    texts = PageParser((tmp_path / "r.html").read_text()).texts
    folded = texts[texts.index("Provenance of each value") :]
    assert {"a photo of a {}", "clip-event", "clip-text", "1,000", "101", "a1b2c3d4e5f6"} <= set(folded)
    assert "Versions, all results: python 3.11.9, anybind 0.1.0, numpy 2.2.0." in folded


def test_metric_chart_has_values_and_intervals(runs):
    [panel] = make_metric_charts(build_table_of(runs[0]))
    assert [label for label, _ in panel.tracks] == ["paper", "EventCLIP", "chance", "clip"]
    [clip] = panel.tracks[-1][1]
    assert (clip.value, clip.text, clip.interval) == (60, "60.00", pytest.approx((55, 65)))


def test_distant_chance_level_is_not_drawn(results, evaluation, cell):
    clip = cell(0, "clip", metrics={"top1": 0.991}, chance={"top1": 0.1})
    [panel] = make_metric_charts(
        build_table_of(results("a", [evaluation("q", published={"paper": 0.9945, "other": 0.983})], [clip]))
    )
    assert [label for label, _ in panel.tracks] == ["paper", "other", "clip"]
    [alone] = make_metric_charts(build_table_of(results("b", [evaluation("q")], [clip])))
    assert [label for label, _ in alone.tracks] == ["chance", "clip"]


def test_chart_of_several_metrics_shows_only_fractions(runs):
    metric_charts = make_metric_charts(build_table_of(runs[1]))
    assert len(metric_charts) == 4
    assert [label for label, _ in metric_charts[0].tracks] == ["AUC", "AP"]
    assert [mark.name for mark in metric_charts[0].tracks[0][1]] == ["p", "mini"]


def test_curves_skip_nonfinite_points(runs):
    [drawn] = make_curve_charts(build_table_of(runs[0]))
    assert (drawn.title, drawn.x, drawn.y) == ("curve, clip", "epoch", "top-1, %")
    assert [len(points) for points in drawn.lines.values()] == [3, 2]
    assert drawn.lines["all"][0] == (0, 10)


def test_curves_of_other_axes_get_separate_charts(results, evaluation, cell):
    curves = {"roc": {"false alarms": [0, 1], "hits": [0, 1]}, "loss": {"step": [1, 2], "loss": [3.0, 2.0]}}
    folder = results("a", [evaluation("q")], [cell(0, "mini", metrics={"top1": 0.5}, curves=curves)])
    assert [(drawn.x, drawn.y) for drawn in make_curve_charts(build_table_of(folder))] == [
        ("false alarms", "hits, %"),
        ("step", "loss"),
    ]


@pytest.mark.skipif(BROWSER is None, reason="no browser is installed")
@pytest.mark.slow
def test_page_renders_in_a_browser_without_problems(cli, runs, tmp_path):
    cli("bench", "report", *runs, "-o", tmp_path / "r.html")
    command = [sys.executable, BROWSER_LOOK, tmp_path / "r.html", "--output", tmp_path / "looks"]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert {path.name for path in (tmp_path / "looks").iterdir()} >= {"r-390.png", "r-1280.png", "r-paper.png"}


@pytest.mark.skipif(BROWSER is None, reason="no browser is installed")
@pytest.mark.slow
def test_browser_check_reports_problems(tmp_path):
    wide = '<!doctype html><meta name="viewport" content="width=device-width"><p style="width: 600px">wide</p>'
    (tmp_path / "bad.html").write_text(wide + "<script>console.error('no'); missing()</script>")
    command = [sys.executable, BROWSER_LOOK, tmp_path / "bad.html", "--output", tmp_path / "looks"]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert outcome.returncode == 1
    [narrow, desktop, *_] = outcome.stdout.splitlines()
    assert "console: ['no']" in narrow
    assert "exception: Uncaught" in narrow
    assert "px wider than the window" in narrow
    assert "px wider than the window" not in desktop
