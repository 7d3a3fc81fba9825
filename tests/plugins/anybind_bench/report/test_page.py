"""The page of a report."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from anybind_bench.report.answers import section
from anybind_bench.report.merge import merge
from anybind_bench.report.plots import curves, panels
from anybind_bench.results import read_results

LOOK = Path(__file__).resolve().parents[4] / "benchmarks" / "browser_look.py"
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
EMPTY = {"meta", "link", "br", "img", "input", "hr"}


class Tags(HTMLParser):
    """Fails where a tag is closed that is not open; keeps addresses and the words."""

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.words = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in EMPTY:
            self.open.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action", "data", "srcset")]

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip() and self.open[-1] != "style":
            self.words.append(data.strip())


@pytest.fixture
def runs(results, evaluation, cell):
    """Tables of every shape: narrow, with several metrics, turned, with curves, with what is missing."""
    ups = {"all": [0.1, 0.4, 0.5], "without <x>": [0.1, 0.3, float("nan")]}
    curves = {name: {"epoch": [0, 1, 2], "top1": up} for name, up in ups.items()}
    one = results(
        "one",
        [
            evaluation("N-Caltech101", published={"paper": 0.6634, "EventCLIP": 0.5}, differs=("a <note>",)),
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
                f"films {number}", task="vad", metrics=("auc", "ap", "median_rank"), published={"p": {"auc": 0.5}}
            )
            for number in range(4)
        ],
        [cell(number, "mini", metrics={"auc": 0.6, "ap": 0.2, "median_rank": 12.0}) for number in range(4)],
        name="wide",
    )
    return one, wide


def section_of(folder):
    [merged] = merge([read_results(folder)])
    return section(merged)


def test_the_page_is_one_file_that_asks_for_nothing(cli, runs, tmp_path):
    assert cli("bench", "report", *runs, "-o", tmp_path / "r.html").code == 0
    text = (tmp_path / "r.html").read_text()
    page = Tags(text)
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert "<script" not in text
    assert "@import" not in text
    assert "url(" not in text
    for words in ("66.34", "60.00", "55.00 to 65.00", "-6.34", "a <note>", "failed: <script>alert(1)</script>"):
        assert words in page.words, words


def test_every_footnote_mark_leads_to_a_footnote(cli, runs, tmp_path):
    cli("bench", "report", *runs, "-o", tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    asked, there = set(re.findall(r'href="#(note-\d+)"', text)), re.findall(r'id="(note-\d+)"', text)
    assert asked == set(there)
    assert len(there) == len(set(there)) >= 2


def test_how_each_number_was_made_is_told(cli, runs, tmp_path):
    cli("bench", "report", runs[0], "-o", tmp_path / "r.html")
    words = Tags((tmp_path / "r.html").read_text()).words
    folded = words[words.index("How each number was made") :]
    assert {"a photo of a {}", "clip-event", "clip-text", "1,000", "101", "a1b2c3d4e5f6"} <= set(folded)
    assert "Versions, all results: python 3.11.9, anybind 0.1.0, numpy 2.2.0." in folded


def test_a_panel_has_each_value_with_its_interval(runs):
    [panel] = panels(section_of(runs[0]))
    assert [label for label, _ in panel.tracks] == ["paper", "EventCLIP", "chance", "clip"]
    [clip] = panel.tracks[-1][1]
    assert (clip.value, clip.text, clip.interval) == (60, "60.00", pytest.approx((55, 65)))


def test_chance_far_below_is_not_drawn_where_it_would_squeeze_the_others(results, evaluation, cell):
    made = cell(0, "clip", metrics={"top1": 0.991}, chance={"top1": 0.1})
    [panel] = panels(section_of(results("a", [evaluation("q", published={"paper": 0.9945, "other": 0.983})], [made])))
    assert [label for label, _ in panel.tracks] == ["paper", "other", "clip"]
    [alone] = panels(section_of(results("b", [evaluation("q")], [made])))
    assert [label for label, _ in alone.tracks] == ["chance", "clip"]


def test_panels_of_several_metrics_leave_out_what_is_no_share(runs):
    made = panels(section_of(runs[1]))
    assert len(made) == 4
    assert [label for label, _ in made[0].tracks] == ["AUC", "AP"]
    assert [mark.name for mark in made[0].tracks[0][1]] == ["p", "mini"]


def test_curves_are_drawn_without_points_that_are_no_numbers(runs):
    [drawn] = curves(section_of(runs[0]))
    assert (drawn.title, drawn.x, drawn.y) == ("curve, clip", "epoch", "top-1, %")
    assert [len(points) for points in drawn.lines.values()] == [3, 2]
    assert drawn.lines["all"][0] == (0, 10)


def test_curves_of_other_axes_are_charts_of_their_own(results, evaluation, cell):
    made = {"roc": {"false alarms": [0, 1], "hits": [0, 1]}, "loss": {"step": [1, 2], "loss": [3.0, 2.0]}}
    folder = results("a", [evaluation("q")], [cell(0, "mini", metrics={"top1": 0.5}, curves=made)])
    assert [(drawn.x, drawn.y) for drawn in curves(section_of(folder))] == [
        ("false alarms", "hits, %"),
        ("step", "loss"),
    ]


@pytest.mark.skipif(BROWSER is None, reason="no browser is installed")
def test_a_real_browser_finds_nothing_wrong_and_nothing_cut_off(cli, runs, tmp_path):
    cli("bench", "report", *runs, "-o", tmp_path / "r.html")
    command = [sys.executable, LOOK, tmp_path / "r.html", "--output", tmp_path / "looks"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert {path.name for path in (tmp_path / "looks").iterdir()} >= {"r-390.png", "r-1280.png", "r-paper.png"}


@pytest.mark.skipif(BROWSER is None, reason="no browser is installed")
def test_the_browser_tells_what_is_wrong(tmp_path):
    wide = '<!doctype html><meta name="viewport" content="width=device-width"><p style="width: 600px">wide</p>'
    (tmp_path / "bad.html").write_text(wide + "<script>console.error('no'); missing()</script>")
    command = [sys.executable, LOOK, tmp_path / "bad.html", "--output", tmp_path / "looks"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    [narrow, desktop, *_] = ended.stdout.splitlines()
    assert "console: ['no']" in narrow
    assert "exception: Uncaught" in narrow
    assert "px wider than the window" in narrow
    assert "px wider than the window" not in desktop
