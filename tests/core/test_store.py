"""The embedding store: cache keys, concurrent writers, kills, damage, full disks and the size limit."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import anybind
from anybind import AnybindWarning, BadInput, Binding, EmbeddingStore
from anybind.adapter import Adapter
from anybind.binding import ConfiguredPart
from anybind.contents import content_key
from anybind.dataset import Item
from anybind.encoder import Encoder
from anybind.errors import BadOption, UnknownName
from anybind.files import get_file_mark, hash_file
from anybind.locks import is_on_network_drive
from anybind.modality import Modality
from anybind.reader import Reader
from anybind.registry import Plugin
from anybind.spec import AdapterSpec, EncoderSpec, ModalitySpec, ReaderSpec


class Letters(Modality):
    name = "letters"

    def accepts(self, item):
        return isinstance(item, bytes | UnkeyedSample)

    def check(self, sample):
        if not sample:
            raise BadInput("no letters")

    def show(self, sample):
        return "letters"

    def derive(self, sample, source, /, *, seed):
        return bytes([97 + seed]) * int(sample.sum())


class Numbers(Letters):
    name = "numbers"

    def accepts(self, item):
        return isinstance(item, np.ndarray)


class UnkeyedSample:
    """A sample without a content key."""


class LettersReader(Reader):
    reads = 0

    def sniff(self, head):
        return head.startswith(b"L:")

    def read(self, path, repeat=1):
        type(self).reads += 1
        return path.read_bytes()[2:] * repeat


class Counting(Encoder):
    modality = "letters"
    space = anybind.Space("own", 3)
    weights_hash = "0" * 12
    preprocessing = {}  # noqa: RUF012 (an interface attribute)

    def __init__(self, case="lower"):
        self.preprocessing = {"case": case}
        self.batches = []

    def preprocess(self, sample):
        if isinstance(sample, UnkeyedSample):
            return np.ones(3)
        if b"bad" in sample:
            raise BadInput("cannot be preprocessed")
        return np.array([sample.count(b"a"), len(sample) ** 0.5, sum(sample) / 99])

    def encode(self, inputs):
        if any(each[1] == 7 for each in inputs):
            raise BadInput("49 letters have no direction")
        self.batches.append(len(inputs))
        return anybind.normalize(np.stack(inputs))


class Turn(Adapter):
    identity = "turned"
    source, target = anybind.Space("own", 3), anybind.Space("goal", 3)

    def map(self, vectors):
        return np.roll(vectors, 1, axis=1)


@pytest.fixture(autouse=True)
def plugin(registry, add_plugin):
    result = {name: f"{__name__}:{name}" for name in ("Letters", "Numbers", "LettersReader", "Counting", "Turn")}
    about = {"name": "l", "summary": "s", "modality": "letters", "suffixes": (".let",)}
    add_plugin(
        registry,
        ModalitySpec(name="letters", summary="s", target=result["Letters"], derived_from=("numbers",)),
        ModalitySpec(name="numbers", summary="s", target=result["Numbers"]),
        ReaderSpec(target=result["LettersReader"], **about),
        EncoderSpec(name="count", summary="s", target=result["Counting"], modality="letters"),
        AdapterSpec(name="turn", summary="s", target=result["Turn"]),
    )
    LettersReader.reads = 0


def binder(folder, *, space="", max_bytes=1 << 30, **options):
    uses = (ConfiguredPart("turn", {}),) if space else ()
    result = Binding("b", {"letters": ConfiguredPart("count", options)}, space=space, adapters=uses)
    return anybind.load(result, store=None if folder is None else EmbeddingStore(folder, max_bytes))


def counted(binder):
    return binder.counts.computed, binder.counts.cached


def samples(count, start=0):
    return [b"ab" * 3 + b"%d" % number for number in range(start, start + count)]


def execute(folder, statement, *values):
    """Run SQL on a store's database in a separate connection."""
    with sqlite3.connect(folder / "embeddings.sqlite") as database:
        rows = database.execute(statement, values).fetchall()
    database.close()
    return rows


def test_a_stored_embedding_equals_the_computed_one_bit_for_bit(tmp_path):
    items = samples(77)
    plain = binder(None).embed("letters", items, batch_size=10)
    first, second = binder(tmp_path), binder(tmp_path)
    for each in (first, second):
        result = each.embed("letters", items, batch_size=10)
        np.testing.assert_array_equal(result.vectors, plain.vectors)
        assert (result.ids, result.encoder, result.space) == (plain.ids, plain.encoder, plain.space)
    assert (counted(first), counted(second)) == ((77, 0), (0, 77))
    assert second.encoder("letters").batches == []


def test_without_a_store_every_item_is_computed():
    plain = binder(None)
    plain.embed("letters", samples(5))
    plain.embed("letters", samples(5))
    assert plain.store is None
    assert counted(plain) == (10, 0)


def test_embeddings_are_stored_before_adapters_and_shared_with_the_encoders_own_space(tmp_path):
    adapted = binder(tmp_path, space="goal")
    there = adapted.embed("letters", samples(4))
    own = adapted.without_adapters("letters")
    here = own.embed("letters", samples(4))
    np.testing.assert_allclose(there.vectors, np.roll(here.vectors, 1, axis=1))
    assert own.counts is adapted.counts
    assert own.store is adapted.store
    assert counted(adapted) == (4, 4)


def test_a_stored_file_is_not_read_again_at_another_path(tmp_path):
    for name in ("a.let", "b.let"):
        (tmp_path / name).write_bytes(b"L:same")
    binder(tmp_path / "c").embed("letters", [tmp_path / "a.let"])
    again = binder(tmp_path / "c")
    result = again.embed("letters", [tmp_path / "b.let", Item("mine", tmp_path / "a.let")])
    assert result.ids == (str(tmp_path / "b.let"), "mine")
    assert LettersReader.reads == 1
    assert counted(again) == (0, 2)


@pytest.mark.parametrize("old", [False, True], ids=["just written", "hash remembered"])
def test_a_file_with_changed_content_is_embedded_again(tmp_path, old, monkeypatch):
    if old:  # as if the file had been there for long
        monkeypatch.setattr("anybind.files._MIN_AGE_NS", 0)
    path, loaded = tmp_path / "a.let", binder(tmp_path / "c")
    for text in (b"L:one", b"L:two", b"L:one"):
        path.write_bytes(text)
        time.sleep(0.01 if old else 0)  # a tick of the file system's clock
        loaded.embed("letters", [path])
    assert counted(loaded) == (2, 1)


def test_hashes_are_cached_only_for_files_unchanged_for_a_while(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    before = hash_file(path)
    stamp = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # as two writes within one tick leave it
    assert hash_file(path) != before


def test_reader_options_suffixes_encoders_and_seeds_are_part_of_the_key(tmp_path):
    path, other = tmp_path / "a.let", tmp_path / "a.dat"
    path.write_bytes(b"L:ab")
    other.write_bytes(b"L:ab")
    folder = tmp_path / "c"
    loaded = binder(folder)
    for options in ({}, {"repeat": 2}, {"repeat": 3}, {"repeat": 2}):
        loaded.embed("letters", [Item("x", path, options=options)])
    assert counted(loaded) == (3, 1)
    loaded.embed("letters", [other])
    assert counted(loaded) == (4, 1)
    upper = binder(folder, case="upper")
    upper.embed("letters", [path])
    assert counted(upper) == (1, 0)
    seeded = binder(folder)
    vectors = [seeded.embed("letters", [np.array([3])], derive_seed=seed).vectors for seed in (0, 1, 0)]
    assert counted(seeded) == (2, 1)
    assert np.abs(vectors[0] - vectors[1]).max() > 0.01


def test_other_plugin_versions_have_other_keys(tmp_path, registry):
    binder(tmp_path).embed("letters", samples(3))
    registry.plugins[0] = Plugin("test", "test-dist", "2.0")
    newer = binder(tmp_path)
    newer.embed("letters", samples(3))
    assert counted(newer) == (3, 0)


def test_a_sample_without_a_key_is_embedded_each_time(tmp_path):
    loaded = binder(tmp_path)
    for _ in range(2):
        assert len(loaded.embed("letters", [UnkeyedSample(), b"text"])) == 2
    assert counted(loaded) == (3, 1)


def test_stored_and_new_items_stay_in_order_and_invalid_ones_are_reported(tmp_path):
    stored_items = samples(30)[::2]
    binder(tmp_path).embed("letters", stored_items)
    items = [*samples(30), b"", b"bad", b"a" * 49, 7, "absent.let"]
    errors = {}
    loaded = binder(tmp_path)
    result = loaded.embed("letters", items, batch_size=7, on_bad=lambda id, error: errors.update({id: str(error)}))
    assert result.ids == tuple(f"letters[{number}]" for number in range(30))
    np.testing.assert_array_equal(result.vectors, binder(None).embed("letters", samples(30)).vectors)
    assert sorted(errors) == ["absent.let", "letters[30]", "letters[31]", "letters[32]", "letters[33]"]
    assert counted(loaded) == (15, 15)
    for bad in (b"bad", b"a" * 49):  # is not kept, and told again
        with pytest.raises(BadInput, match=r"letters\[1\]"):
            binder(tmp_path).embed("letters", [b"a", bad])


def test_batches_before_an_error_are_stored(tmp_path):
    with pytest.raises(BadInput):
        binder(tmp_path).embed("letters", [*samples(40), b"bad"], batch_size=4)
    again = binder(tmp_path)
    again.embed("letters", samples(40))
    assert again.counts.cached >= 36


def test_an_endless_stream_is_iterated_lazily_and_stored_by_batch(tmp_path):
    taken = []

    def endless():
        while True:
            taken.append(len(taken))
            yield b"%d" % len(taken)

    for expected in ((12, 0), (12, 12)):
        loaded = binder(tmp_path)
        taken.clear()
        batches = loaded.embed_batches("letters", endless(), batch_size=4)
        assert [len(next(batches)) for _ in range(3)] == [4, 4, 4]
        assert len(taken) < 30
        batches.close()
        assert counted(loaded) == ((12, 0) if expected == (12, 0) else (0, 12))


def test_each_batch_is_committed_before_the_next_one_is_computed(tmp_path):
    batches = binder(tmp_path).embed_batches("letters", iter(samples(40)), batch_size=4)
    for done in (4, 8, 12):
        next(batches)
        assert execute(tmp_path, "SELECT COUNT(*) FROM embeddings") == [(done,)]
    batches.close()


def test_the_hash_of_a_file_is_stored_for_the_next_process(tmp_path, monkeypatch):
    monkeypatch.setattr("anybind.files._MIN_AGE_NS", 0)
    path, store = tmp_path / "a.let", EmbeddingStore(tmp_path / "c")
    path.write_bytes(b"L:text")
    time.sleep(0.01)
    mark = get_file_mark(path)
    key = store.hash_file(path, mark)
    store.flush()
    monkeypatch.setattr("anybind.files._hashes", {})  # as another process begins
    again = EmbeddingStore(tmp_path / "c")
    assert again.hash_file(path, mark, read=False) == key == hash_file(path)
    path.write_bytes(b"L:texT")
    assert again.hash_file(path, get_file_mark(path), read=False) is None


def test_the_hash_of_a_file_that_was_just_written_is_not_stored(tmp_path):
    path, store = tmp_path / "a.let", EmbeddingStore(tmp_path / "c")
    path.write_bytes(b"L:text")
    store.hash_file(path, get_file_mark(path))
    store.flush()
    assert EmbeddingStore(tmp_path / "c").hash_file(path, get_file_mark(path), read=False) is None


WRITER = """
import sys
from anybind import EmbeddingStore
from anybind.contents import content_key
table = EmbeddingStore(sys.argv[1]).table({"encoder": "e"})
for number in range(int(sys.argv[2]), 2000, int(sys.argv[3])):
    table.put({content_key(number): number.to_bytes(2048, "big")})
"""


@pytest.mark.parametrize("writers", [2, 4])
def test_concurrent_writers_lose_no_embedding(tmp_path, writers):
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    running = [subprocess.Popen([*command, str(first), str(writers)]) for first in range(writers)]
    assert [process.wait(100) for process in running] == [0] * writers
    store = EmbeddingStore(tmp_path)
    table = store.table({"encoder": "e"})
    assert all(table.get(content_key(number)) == number.to_bytes(2048, "big") for number in range(2000))
    assert store.damaged == 0


def cut(data):
    return data[: len(data) // 2]


def cut_header(data):
    return data[:200]


def overwritten(data):
    return b"\xff" * len(data)


def other_tables(data):
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE encoders (mine)")
        return database.serialize()


def change_schema(*statements):
    def change(data):
        with sqlite3.connect(":memory:") as database:
            database.deserialize(data[:18] + b"\1\1" + data[20:])  # without a write-ahead log, which memory has not
            for statement in statements:
                database.execute(statement)
            return database.serialize()

    return change


WITH_TRIGGER = change_schema("CREATE TRIGGER a AFTER UPDATE ON embeddings BEGIN DELETE FROM embeddings; END")
WITH_VIEW = change_schema(
    "ALTER TABLE encoders RENAME TO others",
    "CREATE VIEW encoders AS WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n)"
    " SELECT i AS id, 'x' AS description FROM n",
)
WITH_COLUMN = change_schema("ALTER TABLE embeddings ADD COLUMN a AS (zeroblob(1000000000))")


@pytest.mark.parametrize("damage", [cut, cut_header, overwritten, other_tables, WITH_TRIGGER, WITH_VIEW, WITH_COLUMN])
def test_a_damaged_database_is_moved_aside_with_one_warning_and_embeddings_computed_again(tmp_path, damage):
    first = binder(tmp_path).embed("letters", samples(200))
    execute(tmp_path, "PRAGMA wal_checkpoint(TRUNCATE)")
    path = tmp_path / "embeddings.sqlite"
    path.write_bytes(damage(path.read_bytes()))
    again = binder(tmp_path)
    with pytest.warns(AnybindWarning, match=r"embeddings\.sqlite is damaged .* renamed embeddings\.damaged") as warned:
        np.testing.assert_array_equal(again.embed("letters", samples(200)).vectors, first.vectors)
    assert len(warned) == 1
    assert again.store.damaged == 1
    assert (tmp_path / "embeddings.damaged").is_file()
    last = binder(tmp_path)
    np.testing.assert_array_equal(last.embed("letters", samples(200)).vectors, first.vectors)
    assert counted(last) == (0, 200)


@pytest.mark.parametrize("value", ["text", 5, 0.5, b"", b"a" * 3, "x" * 1000])
def test_rows_of_other_types_are_computed_again(tmp_path, value):
    first = binder(tmp_path).embed("letters", samples(20))
    execute(tmp_path, "UPDATE embeddings SET value = ?", value)
    execute(tmp_path, "UPDATE encoders SET description = ?", value)
    again = binder(tmp_path)
    np.testing.assert_array_equal(again.embed("letters", samples(20)).vectors, first.vectors)
    assert [each.description for each in EmbeddingStore(tmp_path).encoders()] == [{}]


@pytest.mark.parametrize("place", [0, 5, -1], ids=["embedding", "embedding's end", "checksum"])
def test_a_row_with_a_flipped_bit_is_computed_again(tmp_path, place):
    first = binder(tmp_path).embed("letters", samples(20))
    [(number, value)] = execute(tmp_path, "SELECT rowid, value FROM embeddings LIMIT 1")
    flipped = bytearray(value)
    flipped[place] ^= 1
    execute(tmp_path, "UPDATE embeddings SET value = ? WHERE rowid = ?", bytes(flipped), number)
    for expected, damaged in (((1, 19), 1), ((0, 20), 0)):
        again = binder(tmp_path)
        np.testing.assert_array_equal(again.embed("letters", samples(20)).vectors, first.vectors)
        assert (counted(again), again.store.damaged) == (expected, damaged)


def test_swapped_rows_are_detected(tmp_path):
    first = binder(tmp_path).embed("letters", samples(2))
    values = execute(tmp_path, "SELECT value, rowid FROM embeddings")
    for (value, _), (_, number) in zip(values, reversed(values), strict=True):
        execute(tmp_path, "UPDATE embeddings SET value = ? WHERE rowid = ?", value, number)
    again = binder(tmp_path)
    np.testing.assert_array_equal(again.embed("letters", samples(2)).vectors, first.vectors)
    assert counted(again) == (2, 0)


def test_the_least_recently_used_rows_are_evicted(tmp_path):
    store = EmbeddingStore(tmp_path)
    table = store.table({"encoder": "e"})
    keys = [content_key(number) for number in range(600)]
    for number, key in enumerate(keys):
        table.put({key: bytes(2048)})
        execute(tmp_path, "UPDATE embeddings SET used = ? WHERE key = ?", number, key)
    assert table.get(keys[0]) is not None  # the oldest is used again
    store.flush()
    small = EmbeddingStore(tmp_path, max_bytes=1_000_000)
    small.table({"encoder": "e"}).put({content_key("new"): bytes(2048)})
    stored = [table.get(key) is not None for key in keys]
    assert stored[0]
    assert 200 < sum(stored) < 480
    assert stored[1:] == sorted(stored[1:])
    assert table.get(content_key("new")) is not None
    (pages,), (size,) = execute(tmp_path, "PRAGMA page_count")[0], execute(tmp_path, "PRAGMA page_size")[0]
    assert pages * size <= 1_000_000


def test_a_full_database_warns_once_and_embedding_continues(tmp_path):
    loaded = binder(tmp_path)
    loaded.embed("letters", samples(3))
    (pages,) = loaded.store._connect().execute("PRAGMA page_count").fetchone()
    loaded.store._connect().execute(f"PRAGMA max_page_count = {pages}")  # as a full disk
    with pytest.warns(AnybindWarning, match="cannot store embeddings .* full; they are computed each time") as warned:
        assert len(loaded.embed("letters", samples(3000))) == 3000
    assert len(warned) == 1
    assert counted(loaded)[0] >= 2900
    assert binder(tmp_path).embed("letters", samples(3)).ids == ("letters[0]", "letters[1]", "letters[2]")


def test_a_read_only_folder_warns_once_and_is_still_read(tmp_path, monkeypatch):
    first = binder(tmp_path).embed("letters", samples(3))
    monkeypatch.setattr("anybind.store.os.access", lambda path, mode: False)  # root may write anywhere
    loaded = binder(tmp_path)
    np.testing.assert_array_equal(loaded.embed("letters", samples(3)).vectors, first.vectors)
    assert counted(loaded) == (0, 3)
    with pytest.warns(AnybindWarning, match="cannot store embeddings"):
        assert len(loaded.embed("letters", samples(3, 10))) == 3
    assert len(loaded.embed("letters", samples(3, 10))) == 3  # one warning is enough: warnings are errors here
    assert counted(loaded) == (6, 3)


def test_a_folder_that_cannot_be_created_warns_once(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(AnybindWarning, match="cannot store embeddings") as warned:
        assert len(binder(tmp_path / "file" / "store").embed("letters", samples(3))) == 3
    assert len(warned) == 1


def test_a_network_drive_uses_a_rollback_journal(tmp_path, monkeypatch):
    monkeypatch.setattr("anybind.database.is_on_network_drive", lambda folder: True)
    binder(tmp_path).embed("letters", samples(3))
    assert execute(tmp_path, "PRAGMA journal_mode") == [("delete",)]
    again = binder(tmp_path)
    again.embed("letters", samples(3))
    assert counted(again) == (0, 3)


def test_network_drives_are_detected_by_their_mount(tmp_path, monkeypatch):
    mounts = f"/dev/a / ext4 rw 0 0\nserver:/a {tmp_path}/net\\040a nfs4 rw 0 0\n"
    monkeypatch.setattr(Path, "read_text", lambda self, **options: mounts)
    assert is_on_network_drive(tmp_path / "net a" / "deep" / "store")
    assert not is_on_network_drive(tmp_path / "store")


def test_a_store_must_be_a_folder_of_some_size(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadOption, match="is a file"):
        EmbeddingStore(tmp_path / "file")
    for size in (0, -1, 1.5):
        with pytest.raises(BadOption, match="an integer above 0, in bytes"):
            EmbeddingStore(tmp_path, size)


def test_the_environment_variable_sets_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ANYBIND_STORE", str(tmp_path / "own"))
    assert EmbeddingStore().folder == tmp_path / "own"
    assert not (tmp_path / "own").exists()
    monkeypatch.delenv("ANYBIND_STORE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert EmbeddingStore().folder == tmp_path / "anybind" / "store"


def test_a_forked_process_opens_its_own_connection(tmp_path):
    store = EmbeddingStore(tmp_path)
    table = store.table({"encoder": "e"})
    table.put({content_key(1): b"one"})
    child = os.fork()
    if child == 0:
        table.put({content_key(2): b"two"})
        os._exit(0 if table.get(content_key(1)) == b"one" else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert table.get(content_key(2)) == b"two"


def test_the_command_shows_the_store_and_clears_it(tmp_path, cli):
    folder = tmp_path / "s"
    for case in ("lower", "upper"):
        binder(folder, case=case).embed("letters", samples(7))
    printed = json.loads(cli("store", "--folder", folder, "--json").out)
    assert printed["folder"] == str(folder)
    assert printed["bytes"] >= (folder / "embeddings.sqlite").stat().st_size > 0
    assert [(each["description"]["name"], each["rows"], each["bytes"]) for each in printed["encoders"]] == [
        ("count", 7, 7 * 12)
    ] * 2
    assert "count" in cli("store", "--folder", folder).out
    one = printed["encoders"][0]
    assert f"no embeddings of an encoder '{one['id']}x'; did you mean '{one['id']}'" in (
        cli("store", "clear", "--folder", folder, "--encoder", one["id"] + "x").error()
    )
    cli("store", "clear", "--folder", folder, "--encoder", one["description"]["encoder"])
    left = json.loads(cli("store", "--folder", folder, "--json").out)["encoders"]
    assert [each["id"] for each in left] == [printed["encoders"][1]["id"]]
    cli("store", "clear", "--folder", folder)
    assert json.loads(cli("store", "--folder", folder, "--json").out)["encoders"] == []


def test_clearing_frees_the_disk_and_leaves_other_files(tmp_path):
    table = EmbeddingStore(tmp_path).table({"encoder": "e"})
    table.put({content_key(number): bytes(2048) for number in range(2000)})
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "embeddings.damaged").write_bytes(bytes(100))
    store = EmbeddingStore(tmp_path)
    assert store.clear() > 2000 * 2048
    assert store.bytes < 400_000
    assert (tmp_path / "mine.txt").exists()
    assert not (tmp_path / "embeddings.damaged").exists()
    with pytest.raises(UnknownName):
        store.clear("nothing")


def test_showing_a_missing_store_creates_none(tmp_path):
    store = EmbeddingStore(tmp_path / "absent")
    assert (store.encoders(), store.bytes, store.clear()) == ([], 0, 0)
    assert not (tmp_path / "absent").exists()


@dataclass(frozen=True, eq=False)
class Columns:
    x: np.ndarray
    y: np.ndarray
    width: int = 0


@dataclass
class Mutable:
    x: int


class MoreThanColumns(Columns):
    pass


DTYPES = st.one_of(
    arrays.integer_dtypes(endianness="?"), arrays.floating_dtypes(endianness="?"), arrays.boolean_dtypes()
)
ARRAYS = arrays.arrays(DTYPES, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))


def same(one, other):
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


@given(ARRAYS, ARRAYS)
def test_arrays_have_equal_keys_only_if_dtype_shape_and_values_are_equal(one, other):
    assert (content_key(one) == content_key(other)) == same(one, other)
    for shape in {one.shape[::-1], (one.size,), (1, *one.shape)} - {one.shape}:
        assert content_key(one.reshape(shape)) != content_key(one)
    viewed = one.reshape(-1).view(np.uint8)
    assert content_key(viewed) != content_key(one) or same(viewed, one)


@given(arrays.arrays(DTYPES, arrays.array_shapes(min_dims=1, max_dims=3, max_side=5)), st.data())
def test_keys_do_not_depend_on_memory_layout(array, data):
    axis = data.draw(st.integers(0, array.ndim - 1))
    for view in (np.flip(array, axis), np.moveaxis(array, axis, 0), array[::2], np.asfortranarray(array)):
        assert content_key(view) == content_key(view.copy(order="C"))
    twice = np.repeat(array, 2, axis=0)[::2]
    assert content_key(twice) == content_key(array)
    columns = np.zeros(5, dtype=[("a", "u1"), ("b", "<i8")])
    columns["b"] = np.arange(5)
    assert content_key(columns["b"]) == content_key(np.arange(5))


def test_large_strided_arrays_are_hashed_in_blocks(monkeypatch):
    array = np.arange(20_000).reshape(100, 200)[:, ::3]
    whole = content_key(array)
    monkeypatch.setattr("anybind.contents._BLOCK", 1000)
    assert content_key(array) == whole == content_key(array.copy())


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4), st.binary(max_size=4)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def plainly(value):
    """Equal texts for equal values: a reference that is slow and simple."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{name!r}:{plainly(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(plainly, value)) + "]"
    return f"{type(value).__name__} {value!r}"


@given(st.lists(VALUES, max_size=3), st.lists(VALUES, max_size=3))
def test_values_have_equal_keys_only_if_they_are_equal(one, other):
    assert (content_key(*one) == content_key(*other)) == (plainly(one) == plainly(other))


def test_only_frozen_dataclasses_are_keyed_by_their_fields():
    x, y = np.arange(3), np.arange(3.0)
    assert content_key(Columns(x, y)) == content_key(Columns(x.copy(), y.copy()))
    different = [Columns(y, x), Columns(x, y, 1), Columns(x, x), {"x": x, "y": y, "width": 0}, [x, y, 0]]
    assert len({content_key(each) for each in different} | {content_key(Columns(x, y))}) == 6
    for other in (Mutable(1), MoreThanColumns(x, y), Columns(x, Path("a")), UnkeyedSample(), iter([1]), {1: 2}):  # type: ignore[arg-type]
        assert content_key(other) is None
    assert content_key(np.array([object()])) is None
    assert content_key(np.ma.masked_array([1, 2], [True, False])) is None


@pytest.mark.parametrize("store", ["folder", True])
def test_a_store_of_another_type_raises_when_the_binding_is_loaded(store):
    for load, name in ((anybind.load, Binding("empty", {})), (anybind.load_encoder, "letters")):
        with pytest.raises(BadOption, match=r"store: expected an anybind\.EmbeddingStore"):
            load(name, store=store)
