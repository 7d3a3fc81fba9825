"""Videos in an embedding store: reuse, counts, damage, and ranks."""

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
    """Two videos of three windows, one of them with a runner."""
    labels = {}
    (tmp_path / "data").mkdir()
    for name, runner, seed in (("calm", range(0), 1), ("wild", range(16, 32), 2)):
        (tmp_path / "data" / f"{name}.mkv").symlink_to(make_street(16 * WINDOWS, runner, seed).path)
        labels[name] = {"split": "test", "anomalous": [[runner.start + 1, runner.stop]] if runner else []}
    (tmp_path / "data" / "labels.json").write_text(json.dumps(labels))
    return tmp_path / "data"


@pytest.fixture
def stored_toy(toy, tmp_path):
    toy.store = EmbeddingStore(tmp_path / "store")
    return toy


def evaluate_head(binder, folder, **options):
    """Return the result, and the numbers of windows computed and read from the store."""
    before = (binder.counts.computed, binder.counts.cached)
    dataset = create_part("dataset", "labelled-videos", folder, split="all")
    task = create_part("task", "vad", **{"head": "one-class", "fit_on": "others", **options})
    result = task.run(binder, dataset, modality="event")
    return result, (binder.counts.computed - before[0], binder.counts.cached - before[1])


def test_videos_are_stored_and_their_windows_counted(stored_toy, folder):
    first, counts = evaluate_head(stored_toy, folder)
    assert counts == (2 * WINDOWS, 0)
    again, counts = evaluate_head(stored_toy, folder)
    assert counts == (0, 2 * WINDOWS)
    assert again.metrics == first.metrics
    assert evaluate_head(stored_toy, folder, stride=8)[1][0] > 0


def test_store_option_overrides_the_store_of_the_binder(stored_toy, folder, tmp_path):
    evaluate_head(stored_toy, folder, store=tmp_path / "own")
    assert (tmp_path / "own").exists()
    assert not stored_toy.store.path.exists()
    assert evaluate_head(stored_toy, folder, store=tmp_path / "own")[1] == (0, 2 * WINDOWS)


def test_without_a_store_videos_are_embedded_each_time(toy, folder):
    assert [evaluate_head(toy, folder)[1] for _ in range(2)] == [(2 * WINDOWS, 0)] * 2


def test_damaged_rows_are_embedded_again(stored_toy, folder):
    first, _ = evaluate_head(stored_toy, folder)
    database = sqlite3.connect(stored_toy.store.path)
    with database:
        for number, value in database.execute("SELECT rowid, value FROM embeddings").fetchall():
            middle = len(value) // 2
            damaged = value[:middle] + bytes([value[middle] ^ 1]) + value[middle + 1 :]
            database.execute("UPDATE embeddings SET value = ? WHERE rowid = ?", (damaged, number))
    database.close()
    again, counts = evaluate_head(stored_toy, folder)
    assert counts == (2 * WINDOWS, 0)
    assert again.metrics == first.metrics
    assert evaluate_head(stored_toy, folder)[1] == (0, 2 * WINDOWS)


def test_unwritable_store_gives_one_warning(stored_toy, folder):
    stored_toy.store.folder.write_text("a file")
    with pytest.warns(AnybindWarning, match="store"):
        assert evaluate_head(stored_toy, folder)[1] == (2 * WINDOWS, 0)


def test_video_is_identified_by_its_content(tmp_path):
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


def test_ranks_embed_their_part_and_read_the_rest(stored_toy, folder, monkeypatch):
    """Run the second of two ranks; its gathers return what the first one would have embedded."""
    other = anybind.load(stored_toy.binding, store=stored_toy.store)
    other._loader = stored_toy._loader
    counts_of_rank = []
    monkeypatch.setattr(ranks, "get_world_size", lambda: 1 if ranks._single_process.get() else 2)
    monkeypatch.setattr(ranks, "get_rank", lambda: 1)

    def gather(value):
        if value is None or isinstance(value, str):
            return [value, value]
        counts_of_rank.append(value)
        with monkeypatch.context() as alone:
            alone.setattr(ranks, "get_world_size", lambda: 1)
            evaluate_head(other, folder)
        return [[WINDOWS, 0], value]

    monkeypatch.setattr(ranks, "gather", gather)
    assert evaluate_head(stored_toy, folder)[1] == (2 * WINDOWS, 0)
    assert counts_of_rank == [[WINDOWS, 0]]


def test_too_small_store_changes_no_results(stored_toy, folder):
    first, _ = evaluate_head(stored_toy, folder)
    stored_toy.store.max_bytes = 1
    again, counts = evaluate_head(stored_toy, folder, batch_size=2)
    assert counts == (2 * WINDOWS, 0)
    assert again.metrics == first.metrics
