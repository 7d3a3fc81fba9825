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
from anybind_bench.report.plots import Axis, curves, panels
from anybind_bench.report.results import merge, read_run

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
def runs(results, question, cell):
    """Tables of every shape: narrow, with several metrics, turned, with curves, with what is missing."""
    series = {"all": [[0, 0.1], [1, 0.4], [2, 0.5]], "without <x>": [[0, 0.1], [1, 0.3], [2, float("nan")]]}
    one = results(
        "one",
        [
            question("N-Caltech101", published={"paper": 0.6634, "EventCLIP": 0.5}, differs=("a <note>",)),
            question("curve"),
        ],
        [
            cell(0, "clip", metrics={"top1": 0.6}, details={"top1_interval": [0.55, 0.65], "chance": {"top1": 0.4}}),
            cell(0, "mini", state="failed", error="<script>alert(1)</script>"),
            cell(1, "clip", 0, metrics={"top1": 0.5}, details={"plot": {"x": "epoch", "y": "top-1", "series": series}}),
        ],
        compare={"*": "paper"},
        source="the paper",
    )
    wide = results(
        "wide",
        [
            question(f"films {number}", task="vad", metrics=("auc", "ap", "median_rank"), published={"p": {"auc": 0.5}})
            for number in range(4)
        ],
        [cell(number, "mini", metrics={"auc": 0.6, "ap": 0.2, "median_rank": 12.0}) for number in range(4)],
        name="wide",
    )
    return one, wide


def section_of(folder):
    [merged] = merge([read_run(folder)])
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
    assert "Versions, all answers: python 3.11.9, anybind 0.1.0, numpy 2.2.0." in folded


def test_a_panel_shows_each_number_where_it_lies(runs):
    [panel] = panels(section_of(runs[0]))
    at = {track.label: track.marks[0].at for track in panel.tracks}
    assert list(at) == ["paper", "EventCLIP", "chance", "clip"]
    assert at["chance"] < at["EventCLIP"] < at["clip"] < at["paper"]
    low, high = panel.tracks[-1].marks[0].ends
    assert low < at["clip"] < high
    assert [text for _, text in panel.ticks] == ["40", "50", "60", "70"]


def test_chance_far_below_is_not_drawn_where_it_would_squeeze_the_others(results, question, cell):
    made = cell(0, "clip", metrics={"top1": 0.991}, details={"chance": {"top1": 0.1}})
    [panel] = panels(section_of(results("a", [question("q", published={"paper": 0.9945, "other": 0.983})], [made])))
    assert [track.label for track in panel.tracks] == ["paper", "other", "clip"]
    [alone] = panels(section_of(results("b", [question("q")], [made])))
    assert [track.label for track in alone.tracks] == ["chance", "clip"]


def test_panels_of_several_metrics_leave_out_what_is_no_share(runs):
    made = panels(section_of(runs[1]))
    assert len(made) == 4
    assert [track.label for track in made[0].tracks] == ["AUC", "AP"]
    assert [mark.name for mark in made[0].legend] == ["p", "mini"]


def test_curves_are_drawn_without_points_that_are_no_numbers(runs):
    [drawn] = curves(section_of(runs[0]))
    assert (drawn.title, drawn.x, drawn.y) == ("curve, clip", "epoch", "top-1, %")
    assert [len(line.dots) for line in drawn.lines] == [3, 2]
    assert drawn.lines[0].dots[0] == (0.0, 100 - drawn.y_ticks[0][0])


@pytest.mark.parametrize("plot", ["roc.png", {"series": [1]}, {"series": {"a": "b", "c": [[1], 2]}}, {}, None], ids=str)
def test_what_is_no_plot_is_left_out(results, question, cell, plot):
    folder = results("a", [question("q")], [cell(0, "mini", metrics={"top1": 0.5}, details={"plot": plot})])
    assert curves(section_of(folder)) == []


@pytest.mark.parametrize(
    "values", [[0.0], [5.0, 5.0], [99.1, 99.45], [0.1, 87.3], [-3.0, 12.0], [1e-6, 2e-6], [870.0, 1.0]]
)
def test_an_axis_holds_its_values_between_few_round_ticks(values):
    axis = Axis.around(values)
    assert all(3 <= axis.place(value) <= 97 for value in values)
    assert 2 <= len(axis.ticks()) <= 6
    assert len({text for _, text in axis.ticks()}) == len(axis.ticks())


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
