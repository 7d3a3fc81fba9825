"""Indexes of the windows of recordings: hits with their time range, updates, queries and pages."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import anybind
from anybind.errors import BadInput, BadOption
from anybind.windows import WindowOptions
from anybind_retrieval import build_index, search
from anybind_retrieval.fragments import Fragment, parse_fragment
from helpers.streams import move_bar

BINDING = "colours:event"
SHORT = WindowOptions(window="100ms")


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Write a recording that is bright first and dark then, and a short bright one."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    bright, dark = move_bar(100_000), move_bar(100_000, on=False)
    columns = {name: np.concatenate([getattr(bright, name), getattr(dark, name)]) for name in "xyp"}
    time = np.concatenate([bright.t - bright.t[0], dark.t - dark.t[0] + 100_000])
    order = np.argsort(time, kind="stable")
    columns = {name: column[order] for name, column in columns.items()}
    anybind.write(type(bright)(**columns, t=time[order], width=64, height=64), folder / "both.npz")
    anybind.write(move_bar(90_000), folder / "bright.npz")
    return folder


def list_hits(query: str, gallery: Path, **options) -> list[tuple[str, str]]:
    results = search(query, gallery, binding=BINDING, **options)
    return [(Path(hit.path).name, hit.entry.fragment.name) for hit in results.hits]


def test_a_hit_names_the_recording_and_its_time_range(recordings: Path, location: Path, cli, tmp_path: Path):
    report = build_index(location, recordings, binding=BINDING, options=SHORT)
    assert report.entries == {"event": 3}
    name = list_hits("green", location)[0][1]
    assert name.startswith("0.1-0.1")
    assert list_hits("red", location)[-1] == ("both.npz", name)
    page = tmp_path / "p.html"
    command = ("search", "green", "--in", location, "--binding", BINDING, "-o", page)
    first = json.loads(cli(*command, "--json").out)["hits"][0]
    assert (first["start_us"], first["state"]) == (100_000, "unchanged")
    assert 150_000 < first["end_us"] < 200_000
    assert "text" not in first
    assert "0.1-0." in cli(*command).out
    assert f"both.npz {name}" in page.read_text()


def test_an_update_keeps_unchanged_windows_and_embeds_those_of_other_options(recordings: Path, location: Path):
    def update(options: WindowOptions | None) -> tuple[int, int, int, int]:
        counts = build_index(location, recordings, binding=BINDING, options=options).counts
        return counts.added, counts.changed, counts.unchanged, counts.removed

    assert update(SHORT)[0] == 3
    assert update(SHORT) == (0, 0, 3, 0)
    assert update(WindowOptions(window="50ms", roi=(0, 0, 60, 60)))[2:] == (0, 3)
    assert update(None)[0] == 2
    assert update(None) == (0, 0, 2, 0)
    anybind.write(move_bar(120_000), recordings / "bright.npz")
    assert update(None) == (0, 1, 1, 0)


def test_a_query_of_several_windows_is_their_mean_and_folders_have_windows(recordings: Path):
    query = str(recordings / "both.npz")
    whole = search(query, recordings, binding=BINDING)
    assert [(Path(hit.path).name, hit.entry.fragment.name) for hit in whole.hits] == [("bright.npz", "")]
    bright = str(recordings / "bright.npz")
    assert list_hits(bright, recordings, options=SHORT)[0] == ("both.npz", "0-0.1s")
    with pytest.raises(BadInput, match="nothing is left of the recording"):
        search(bright, recordings, binding=BINDING, options=WindowOptions(start="9s"))


def test_windows_of_a_text_and_an_index_are_an_error(recordings: Path, location: Path):
    build_index(location, recordings, binding=BINDING, options=SHORT)
    with pytest.raises(BadOption, match="windows have no effect"):
        search("red", location, binding=BINDING, options=SHORT)
    assert list_hits(str(recordings / "bright.npz"), location, options=SHORT)


def test_fragments_are_read_as_they_are_written():
    options = WindowOptions("1s", None, "100ms", "50ms", (1, 2, 30, 40))
    for fragment in (Fragment(options, 1_100_000, 1_200_000), Fragment(WindowOptions()), Fragment(options)):
        assert parse_fragment(str(fragment)) == fragment
    assert str(Fragment(WindowOptions(window="100ms"), 0, 250_000)) == "#t=0,0.25&window=100ms"
    for text in ("a line", "#hashtag of a line", "#t=1", "#t=a,b", "#roi=1,2"):
        assert parse_fragment(text) is None


@pytest.fixture
def texts_of_events(tmp_path: Path) -> Path:
    """Write two recordings as text without the size of the sensor, and an image, whose reader takes no size."""
    folder = tmp_path / "texts"
    folder.mkdir()
    for name, stream in {"bright": move_bar(90_000), "dark": move_bar(90_000, on=False)}.items():
        rows = [f"{t},{x},{y},{p:d}" for t, x, y, p in zip(stream.t, stream.x, stream.y, stream.p, strict=True)]
        (folder / f"{name}.csv").write_text("\n".join(["t,x,y,p", *rows]) + "\n")
    anybind.write(np.full((8, 8, 3), 200, np.uint8), folder / "red.png")
    return folder


def test_an_index_has_the_reader_options_of_its_files(texts_of_events: Path, location: Path, tmp_path: Path):
    def update(options: dict[str, object]) -> tuple[int, int, int]:
        report = build_index(location, texts_of_events, binding=BINDING, reader_options=options)
        assert report.entries == {"event": 2, "image": 1}
        return report.counts.added, report.counts.unchanged, report.counts.removed

    options = {"size": (64, 64), "time_unit": "us"}
    assert update(options) == (3, 0, 0)
    assert update(options) == (0, 3, 0)
    assert update({"size": (80, 64), "time_unit": "us"}) == (2, 1, 2)
    results = search("green", location, binding=BINDING, modalities=["event"])
    assert {hit.entry.fragment.reader_options["size"][0] for hit in results.hits} == {80}
    page = tmp_path / "p.html"
    results.save_page(page)
    assert page.read_text().count("data:image/") == 2


def test_reader_options_of_a_search_are_those_of_the_folder_and_of_the_query(texts_of_events: Path, location: Path):
    query, options = texts_of_events / "dark.csv", {"size": [64, 64]}
    hits = search(query, texts_of_events, binding=BINDING, modalities=["event"], reader_options=options).hits
    assert [Path(hit.path).name for hit in hits] == ["bright.csv"]
    images = search(query, texts_of_events, binding=BINDING, modalities=["image"], reader_options=options).hits
    assert [Path(hit.path).name for hit in images] == ["red.png"]
    build_index(location, texts_of_events, binding=BINDING, reader_options=options)
    assert len(search(query, location, binding=BINDING, modalities=["event"], reader_options=options).hits) == 1
    for source, message in ((query, "no reader of these files"), ("green", "reader options have no effect")):
        with pytest.raises(BadOption, match=message):
            search(source, location, binding=BINDING, reader_options={"sise": [64, 64]})


def test_reader_options_that_no_file_takes_or_that_cannot_be_stored_are_refused(texts_of_events: Path, location: Path):
    for options, message in (({"sise": 3}, "no reader of these files"), ({"size": {64}}, "JSON-like")):
        with pytest.raises(BadOption, match=message):
            build_index(location, texts_of_events, binding=BINDING, reader_options=options)
    assert not location.exists()


@pytest.mark.parametrize(
    "text", ["#reader.reader=%22npz%22", "#reader.path=1", "#reader.size=[", "#reader.size=" + 100_000 * "["]
)
def test_reader_options_of_a_damaged_index_are_not_a_fragment(text: str):
    assert parse_fragment(text) is None
