"""Films below the binder's cache: what is taken up, what is counted, and what damage and full disks do."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

import anybind
from anybind import AnybindWarning, BadInput, EmbeddingStore, ranks
from anybind.registry import create
from anybind_vad.records import film_key

WINDOWS = 3


@pytest.fixture
def folder(make_street, tmp_path):
    """Two films of three windows, in one of which someone runs."""
    about = {}
    (tmp_path / "data").mkdir()
    for name, runner, seed in (("calm", range(0), 1), ("wild", range(16, 32), 2)):
        (tmp_path / "data" / f"{name}.mkv").symlink_to(make_street(16 * WINDOWS, runner, seed).path)
        about[name] = {"split": "test", "anomalous": [[runner.start + 1, runner.stop]] if runner else []}
    (tmp_path / "data" / "labels.json").write_text(json.dumps(about))
    return tmp_path / "data"


@pytest.fixture
def cached(toy, tmp_path):
    toy.store = EmbeddingStore(tmp_path / "store")
    return toy


def ask(binder, folder, **options):
    """The result, and how many windows were computed and taken up for it."""
    before = (binder.counts.computed, binder.counts.cached)
    dataset = create("dataset", "labelled-films", folder, split="all")
    task = create("task", "vad", **{"head": "one-class", "fit_on": "others", **options})
    result = task.run(binder, dataset, modality="event")
    return result, (binder.counts.computed - before[0], binder.counts.cached - before[1])


def kept(binder):
    return sum(each.rows for each in binder.store.encoders())


def test_films_are_kept_in_the_binders_store_and_their_windows_counted(cached, folder):
    first, counts = ask(cached, folder)
    assert counts == (2 * WINDOWS, 0)
    assert [(each.description["name"], each.rows) for each in cached.store.encoders()] == [("films", 2)]
    again, counts = ask(cached, folder)
    assert counts == (0, 2 * WINDOWS)
    assert again.metrics == first.metrics
    assert ask(cached, folder, stride=8)[1][0] > 0


def test_a_folder_of_the_users_own_goes_before_the_store(cached, folder, tmp_path):
    ask(cached, folder, keep=tmp_path / "own")
    assert len(list((tmp_path / "own").iterdir())) == 2
    assert kept(cached) == 0
    assert ask(cached, folder, keep=tmp_path / "own")[1] == (0, 2 * WINDOWS)


def test_without_a_store_films_are_played_each_time(toy, folder):
    assert [ask(toy, folder)[1] for _ in range(2)] == [(2 * WINDOWS, 0)] * 2


def flip(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-10],
        lambda data: flip(data, len(data) - 30),
        lambda data: flip(data, 8 + int.from_bytes(data[:8], "little")),
        lambda data: data.replace(b"toy", b"toe"),
        lambda data: b"",
    ],
    ids=["cut", "a value near the end", "the first value", "the card", "empty"],
)
def test_a_damaged_film_is_played_again(toy, folder, tmp_path, damage):
    first, _ = ask(toy, folder, keep=tmp_path / "own")
    for path in (tmp_path / "own").iterdir():
        path.write_bytes(damage(path.read_bytes()))
    again, counts = ask(toy, folder, keep=tmp_path / "own")
    assert counts == (2 * WINDOWS, 0)
    assert again.metrics == first.metrics
    assert ask(toy, folder, keep=tmp_path / "own")[1] == (0, 2 * WINDOWS)


def test_a_full_disk_is_an_error_of_a_folder_that_was_asked_for(toy, folder, monkeypatch):
    def full(self, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BadInput, match="No space left on device"):
        ask(toy, folder, keep=folder.parent / "own")


def test_a_store_that_cannot_be_written_costs_one_warning(cached, folder):
    cached.store.folder.mkdir()
    (cached.store.folder / "embeddings.sqlite").mkdir()
    with pytest.warns(AnybindWarning, match="cannot store embeddings"):
        assert ask(cached, folder)[1] == (2 * WINDOWS, 0)


def test_the_limit_of_the_store_covers_films(cached, folder):
    cached.store.max_bytes = 1
    ask(cached, folder)
    assert kept(cached) == 0


def test_a_film_is_known_by_its_content(tmp_path):
    for name, second in (("a", b"two"), ("b", b"two"), ("c", b"owt")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(b"one")
        (tmp_path / name / "2.png").write_bytes(second)
        (tmp_path / name / ".hidden").write_bytes(name.encode())
    keys = [film_key(tmp_path / name) for name in "abc"]
    assert keys[0] == keys[1] != keys[2]
    assert film_key(tmp_path / "a" / "1.png") != film_key(tmp_path / "a" / "2.png")
    with pytest.raises(BadInput, match=r"cannot read the film .*absent"):
        film_key(tmp_path / "absent")


def test_ranks_play_their_share_and_find_the_rest(cached, folder, monkeypatch):
    """The second of two ranks, whose gathers answer as if the first had played its film."""
    other = anybind.load(cached.binding, store=cached.store)
    other._encoders = cached._encoders
    ask(other, folder)
    with cached.store._connect() as database:
        database.execute("DELETE FROM embeddings WHERE INSTR(value, CAST('wild' AS BLOB))")  # its own share
    monkeypatch.setattr(ranks, "world_size", lambda: 2)
    monkeypatch.setattr(ranks, "rank", lambda: 1)
    monkeypatch.setattr(ranks, "gather", lambda value: [[["calm"], WINDOWS] if value else None, value])
    assert ask(cached, folder)[1] == (2 * WINDOWS, 0)
    assert kept(cached) == 2
