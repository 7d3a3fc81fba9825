"""Videos in an embedding store: what is reused, what is counted, and what damage does."""

from __future__ import annotations

import json
import sqlite3

import pytest

import anybind
from anybind import AnybindWarning, BadInput, EmbeddingStore, ranks
from anybind.registry import create_part
from anybind_vad.video_store import hash_content

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
def stored(toy, tmp_path):
    toy.store = EmbeddingStore(tmp_path / "store")
    return toy


def ask(binder, folder, **options):
    """The result, and how many windows were computed and read from the store for it."""
    before = (binder.counts.computed, binder.counts.cached)
    dataset = create_part("dataset", "labelled-films", folder, split="all")
    task = create_part("task", "vad", **{"head": "one-class", "fit_on": "others", **options})
    result = task.run(binder, dataset, modality="event")
    return result, (binder.counts.computed - before[0], binder.counts.cached - before[1])


def test_videos_are_stored_and_their_windows_counted(stored, folder):
    first, counts = ask(stored, folder)
    assert counts == (2 * WINDOWS, 0)
    again, counts = ask(stored, folder)
    assert counts == (0, 2 * WINDOWS)
    assert again.metrics == first.metrics
    assert ask(stored, folder, stride=8)[1][0] > 0


def test_a_folder_that_the_task_is_given_goes_before_the_binders_store(stored, folder, tmp_path):
    ask(stored, folder, store=tmp_path / "own")
    assert (tmp_path / "own").exists()
    assert not stored.store.path.exists()
    assert ask(stored, folder, store=tmp_path / "own")[1] == (0, 2 * WINDOWS)


def test_without_a_store_videos_are_embedded_each_time(toy, folder):
    assert [ask(toy, folder)[1] for _ in range(2)] == [(2 * WINDOWS, 0)] * 2


def test_damaged_rows_are_embedded_again(stored, folder):
    first, _ = ask(stored, folder)
    database = sqlite3.connect(stored.store.path)
    with database:
        for number, value in database.execute("SELECT rowid, value FROM embeddings").fetchall():
            place = len(value) // 2
            damaged = value[:place] + bytes([value[place] ^ 1]) + value[place + 1 :]
            database.execute("UPDATE embeddings SET value = ? WHERE rowid = ?", (damaged, number))
    database.close()
    again, counts = ask(stored, folder)
    assert counts == (2 * WINDOWS, 0)
    assert again.metrics == first.metrics
    assert ask(stored, folder)[1] == (0, 2 * WINDOWS)


def test_a_store_that_cannot_be_written_costs_one_warning(stored, folder):
    stored.store.folder.write_text("in the way")
    with pytest.warns(AnybindWarning, match="store"):
        assert ask(stored, folder)[1] == (2 * WINDOWS, 0)


def test_a_video_is_identified_by_its_content(tmp_path):
    store = EmbeddingStore(tmp_path / "store")
    for name, second in (("a", b"two"), ("b", b"two"), ("c", b"owt")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(b"one")
        (tmp_path / name / "2.png").write_bytes(second)
        (tmp_path / name / ".hidden").write_bytes(name.encode())
    keys = [hash_content(tmp_path / name, store) for name in "abc"]
    assert keys[0] == keys[1] != keys[2]
    assert hash_content(tmp_path / "a" / "1.png", store) != hash_content(tmp_path / "a" / "2.png", store)
    with pytest.raises(BadInput, match=r"cannot read the video .*absent"):
        hash_content(tmp_path / "absent", store)


def test_ranks_embed_their_share_and_find_the_rest(stored, folder, monkeypatch):
    """The second of two ranks, whose gathers answer as if the first had embedded its video."""
    other = anybind.load(stored.binding, store=stored.store)
    other._encoders = stored._encoders
    shares = []
    monkeypatch.setattr(ranks, "world_size", lambda: 1 if ranks._alone.get() else 2)
    monkeypatch.setattr(ranks, "rank", lambda: 1)

    def gather(value):
        if value is None or isinstance(value, str):
            return [value, value]
        shares.append(value)
        with monkeypatch.context() as alone:
            alone.setattr(ranks, "world_size", lambda: 1)
            ask(other, folder)
        return [[WINDOWS, 0], value]

    monkeypatch.setattr(ranks, "gather", gather)
    assert ask(stored, folder)[1] == (2 * WINDOWS, 0)
    assert shares == [[WINDOWS, 0]]


def test_a_store_that_is_too_small_costs_only_time(stored, folder):
    first, _ = ask(stored, folder)
    stored.store.max_bytes = 1
    again, counts = ask(stored, folder, batch_size=2)
    assert counts == (2 * WINDOWS, 0)
    assert again.metrics == first.metrics
