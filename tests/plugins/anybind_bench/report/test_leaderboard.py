"""The leaderboard: merged results, Borda count, and a page that works offline, without scripts and with hostile names."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anybind.errors import BadInput, BadOption
from anybind_bench.report import build_leaderboard, write_leaderboard
from anybind_bench.submissions import write_submissions
from helpers.pages import BROWSER, BROWSER_LOOK, PageParser

HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture
def folders(results: Callable[..., Path], evaluation: Any, cell: Any) -> list[Path]:
    """Write results of two suites: three bindings, with missing values and a metric whose lower values are better."""
    cars = results(
        "cars",
        [evaluation("Cars"), evaluation("Cars by audio", modality="event", options={"to": "sound"})],
        [
            cell(0, "clip-vit-b-32", metrics={"top1": 0.9}, intervals={"top1": [0.85, 0.95]}),
            cell(0, "own", metrics={"top1": 0.5}),
            cell(1, "own", metrics={"top1": 0.4}),
            cell(1, "mini", state="failed", error="no <data>"),
            cell(0, "mini", metrics={"top1": 0.7}),
        ],
        name="cars",
    )
    depth = results(
        "depth",
        [evaluation("Rooms", modality="depth"), evaluation("Not run", modality="depth")],
        [
            cell(0, "mini", metrics={"mean_rank": 2.0}, main_metric="mean_rank"),
            cell(0, "own", metrics={"mean_rank": 4.0}, main_metric="mean_rank"),
        ],
        name="depth",
    )
    return [cars, depth]


def test_rows_are_in_order_of_the_borda_count(folders):
    board = build_leaderboard(folders)
    assert [(task.suite, task.column.evaluation.title, task.modalities) for task in board.tasks] == [
        ("cars", "Cars", ("event",)),
        ("cars", "Cars by audio", ("event", "sound")),
        ("depth", "Rooms", ("depth",)),
    ]
    # mini is better than own in two tasks, in one by a lower rank; clip than two others; own is alone in one.
    assert [(row.name, row.borda, [value.value for value in row.values]) for row in board.rows] == [
        ("clip-vit-b-32", 2, [0.9, None, None]),
        ("mini", 2, [0.7, None, 2.0]),
        ("own", 0, [0.5, 0.4, 4.0]),
    ]
    assert [row.licence for row in board.rows] == ["MIT", "Apache-2.0", "unknown"]


def test_submissions_state_licence_and_command(folders, tmp_path):
    for folder in folders:
        write_submissions(
            folder, tmp_path / "board", command="anybind bench run X", licence="CC0-1.0", day="2026-11-30"
        )
    board = build_leaderboard(tmp_path / "board")
    assert [row.borda for row in board.rows] == [row.borda for row in build_leaderboard(folders).rows]
    assert {row.licence for row in board.rows} == {"CC0-1.0"}
    own = dict(next(row.provenance for row in board.rows if row.name == "own"))
    assert own["command"] == "anybind bench run X"
    assert (own["date"], own["event encoder"]) == ("2026-11-30", "own-event")
    (tmp_path / "board" / "cars" / "own.json").write_text("{}")
    with pytest.raises(BadInput, match=r"own\.json.* lacks the key"):
        build_leaderboard(tmp_path / "board")


def test_bindings_of_one_name_with_other_encoders_have_rows_of_their_own(folders, results, evaluation, cell):
    changed = cell(0, "mini", metrics={"top1": 0.1}, encoders={"event": "other weights"})
    board = build_leaderboard([*folders, results("more", [evaluation("Trees")], [changed], name="trees")])
    assert len(board.rows) == 4
    assert len([row for row in board.rows if re.fullmatch(r"mini( \([0-9a-f]{6}\))?", row.name)]) == 2


def test_bindings_whose_results_are_with_and_without_adapters_have_one_row(folders, results, evaluation, cell):
    few_shot = cell(0, "own", metrics={"top1": 0.1}, encoders={"event": "own-event+c"})
    board = build_leaderboard([*folders, results("more", [evaluation("Trees")], [few_shot], name="trees")])
    assert [row.name for row in board.rows].count("own") == len(board.rows) - 2 == 1


def test_page_is_offline_and_a_plain_table_without_script(cli, folders, tmp_path):
    result = cli("bench", "report", "--leaderboard", *folders, "-o", tmp_path / "l.html")
    assert (result.code, result.out.strip()) == (0, f"leaderboard: {tmp_path / 'l.html'} (3 bindings, 3 tasks)")
    text = (tmp_path / "l.html").read_text()
    page = PageParser(text.replace(text[text.index("<script>") : text.index("</script>")], "<script>"))
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert not re.search(r"@import|url\(|https?:|fetch\(|XMLHttp", text)
    assert {"Cars", "clip-vit-b-32", "90.00", "85.00 to 95.00", "2", "–", "mean rank ↓"} <= set(page.texts)
    assert '<form class="controls" id="controls" hidden>' in text  # shown by the script alone
    fields = json.loads(cli("bench", "report", "--leaderboard", *folders, "-o", tmp_path / "l.html", "--json").out)
    assert fields["rows"][0] == {"binding": "clip-vit-b-32", "licence": "MIT", "borda": 2, "values": [0.9, None, None]}


def test_hostile_names_are_escaped(results, evaluation, cell, tmp_path):
    folder = results(
        "a",
        [evaluation(f"</script>{HOSTILE}", modality=f"'>{HOSTILE}", options={"to": HOSTILE})],
        [cell(0, f'"{HOSTILE}', metrics={"top1": 0.5}, versions={"anybind": HOSTILE})],
        name="suite <b>",
    )
    write_leaderboard(folder, tmp_path / "l.html")
    text = (tmp_path / "l.html").read_text()
    assert "<img" not in text
    assert "<b>" not in text
    assert text.count("<script>") == text.count("</script>") == 1
    assert f'"{HOSTILE}' in PageParser(text.replace(text[text.index("<script>") :], "</main></body></html>")).texts


def test_other_file_types_are_rejected(cli, folders, tmp_path):
    with pytest.raises(BadOption, match=r"expected a leaderboard file ending in \.html"):
        write_leaderboard(folders, tmp_path / "l.csv")
    assert cli("bench", "report", "--leaderboard", tmp_path / "none").code == 2


def dump_page(path: Path, script: str, folder: Path) -> str:
    """Return the page's document after a script, as rendered by the browser."""
    changed = folder / "changed.html"
    changed.write_text(path.read_text().replace("</body>", f"<script>{script}</script></body>"))
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", changed.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def list_shown(text: str) -> list[list[str]]:
    """Return the texts of the visible cells of each visible row, without intervals."""
    rows = re.findall(r"<tr data-licence=\"[^\"]*\">(.*?)</tr>", text, re.DOTALL)
    return [re.findall(r"<t[hd](?![^>]*hidden)[^>]*>([^<]*)", row) for row in rows]


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_filters_and_sorting(folders, tmp_path):
    write_leaderboard(folders, tmp_path / "l.html")
    select = 'const {0} = document.getElementById("{0}"); {0}.value = "{1}"; {0}.dispatchEvent(new Event("change"));'
    rows = list_shown(dump_page(tmp_path / "l.html", select.format("modality", "depth"), tmp_path))
    assert rows == [["mini", "1", "1", "2"], ["own", "0", "1", "4"]]
    rows = list_shown(dump_page(tmp_path / "l.html", select.format("licence", "unknown"), tmp_path))
    assert rows == [["own", "0", "3", "50.00", "40.00", "4"]]
    click = 'document.querySelectorAll("thead button")[{}].click();'
    for column, order in ((0, ["clip-vit-b-32", "mini", "own"]), (3, ["clip-vit-b-32", "mini", "own"])):
        text = dump_page(tmp_path / "l.html", click.format(column) * 2, tmp_path)
        assert [row[0] for row in list_shown(text)] == order[::-1]
    text = dump_page(tmp_path / "l.html", click.format(4), tmp_path)
    assert [row[0] for row in list_shown(text)] == ["own", "clip-vit-b-32", "mini"]  # missing values are last


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_page_fits_a_phone_and_a_desktop(folders, tmp_path):
    write_leaderboard(folders, tmp_path / "l.html")
    command = [sys.executable, str(BROWSER_LOOK), str(tmp_path / "l.html"), "--output", str(tmp_path / "looks")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout
