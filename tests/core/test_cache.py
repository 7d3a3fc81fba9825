"""The cache of embeddings: what counts as the same, who may write at once, and what damage and full disks do."""

from __future__ import annotations

import errno
import json
import os
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
from anybind import AnybindWarning, BadInput, Binding, EmbeddingCache
from anybind.adapter import Adapter
from anybind.binding import Use
from anybind.contents import content_key, file_key
from anybind.dataset import Item
from anybind.encoder import Encoder
from anybind.errors import BadOption, UnknownName
from anybind.modality import Modality
from anybind.reader import Reader
from anybind.registry import Plugin
from anybind.spec import Spec


class Letters(Modality):
    name = "letters"

    def accepts(self, item):
        return isinstance(item, bytes | Film)

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


class Film:
    """A sample that cannot be told apart by what it holds."""


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
        if isinstance(sample, Film):
            return np.ones(3)
        if b"bad" in sample:
            raise BadInput("cannot be preprocessed")
        return np.array([sample.count(b"a"), len(sample) ** 0.5, sum(sample) / 99])

    def encode(self, inputs):
        if any(each[1] == 7 for each in inputs):
            raise BadInput("49 letters have no direction")
        self.batches.append(len(inputs))
        return anybind.unit(np.stack(inputs))


class Turn(Adapter):
    identity = "turned"
    source, target = anybind.Space("own", 3), anybind.Space("goal", 3)

    def map(self, vectors):
        return np.roll(vectors, 1, axis=1)


@pytest.fixture(autouse=True)
def plugin(registry, add_plugin):
    made = {name: f"{__name__}:{name}" for name in ("Letters", "Numbers", "LettersReader", "Counting", "Turn")}
    letters = Spec(name="letters", summary="s", target=made["Letters"], consumes=("numbers",))
    add_plugin(
        registry,
        register_modalities=[letters, Spec(name="numbers", summary="s", target=made["Numbers"])],
        register_readers=[
            Spec(name="l", summary="s", target=made["LettersReader"], gives="letters", suffixes=(".let",))
        ],
        register_encoders=[Spec(name="count", summary="s", target=made["Counting"])],
        register_adapters=[Spec(name="turn", summary="s", target=made["Turn"])],
    )
    LettersReader.reads = 0


def binder(folder, *, space="", max_bytes=1 << 30, **options):
    uses = (Use("turn", {}),) if space else ()
    made = Binding("b", {"letters": Use("count", options)}, space=space, adapters=uses)
    return anybind.load(made, cache=None if folder is None else EmbeddingCache(folder, max_bytes))


def counted(binder):
    return binder.counts.computed, binder.counts.cached


def samples(count, start=0):
    return [b"ab" * 3 + b"%d" % number for number in range(start, start + count)]


def shards(folder):
    return sorted(folder.glob("vectors/*/*.safetensors"))


def test_what_is_kept_equals_what_was_computed_bit_for_bit(tmp_path):
    items = samples(77)
    plain = binder(None).embed("letters", items, batch_size=10)
    first, second = binder(tmp_path), binder(tmp_path)
    for each in (first, second):
        made = each.embed("letters", items, batch_size=10)
        np.testing.assert_array_equal(made.vectors, plain.vectors)
        assert (made.ids, made.encoder, made.space) == (plain.ids, plain.encoder, plain.space)
    assert (counted(first), counted(second)) == ((77, 0), (0, 77))
    assert second.encoder("letters").batches == []


def test_without_a_cache_only_what_was_computed_is_counted():
    plain = binder(None)
    plain.embed("letters", samples(5))
    plain.embed("letters", samples(5))
    assert plain.cache is None
    assert counted(plain) == (10, 0)


def test_vectors_are_kept_before_adapters_and_shared_with_the_encoders_own_space(tmp_path):
    adapted = binder(tmp_path, space="goal")
    there = adapted.embed("letters", samples(4))
    own = adapted.in_own_space("letters")
    here = own.embed("letters", samples(4))
    np.testing.assert_allclose(there.vectors, np.roll(here.vectors, 1, axis=1))
    assert own.counts is adapted.counts
    assert own.cache is adapted.cache
    assert counted(adapted) == (4, 4)


def test_a_file_that_is_known_is_not_read_again_wherever_it_lies(tmp_path):
    for name in ("a.let", "b.let"):
        (tmp_path / name).write_bytes(b"L:same")
    binder(tmp_path / "c").embed("letters", [tmp_path / "a.let"])
    again = binder(tmp_path / "c")
    made = again.embed("letters", [tmp_path / "b.let", Item("mine", tmp_path / "a.let")])
    assert made.ids == (str(tmp_path / "b.let"), "mine")
    assert LettersReader.reads == 1
    assert counted(again) == (0, 2)


@pytest.mark.parametrize("old", [False, True], ids=["just written", "hash remembered"])
def test_a_file_whose_content_has_changed_is_computed_anew(tmp_path, old, monkeypatch):
    if old:  # as if the file had been there for long
        monkeypatch.setattr("anybind.contents._YOUNG_NS", 0)
    path, work = tmp_path / "a.let", binder(tmp_path / "c")
    for text in (b"L:one", b"L:two", b"L:one"):
        path.write_bytes(text)
        time.sleep(0.01 if old else 0)  # a tick of the file system's clock
        work.embed("letters", [path])
    assert counted(work) == (2, 1)


def test_a_hash_is_remembered_only_of_files_that_have_not_changed_for_a_while(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    before = file_key(path)
    stamp = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # as two writes within one tick leave it
    assert file_key(path) != before


def test_reader_options_file_endings_encoders_and_seeds_are_part_of_what_counts_as_the_same(tmp_path):
    path, other = tmp_path / "a.let", tmp_path / "a.dat"
    path.write_bytes(b"L:ab")
    other.write_bytes(b"L:ab")
    cache = tmp_path / "c"
    work = binder(cache)
    for options in ({}, {"repeat": 2}, {"repeat": 3}, {"repeat": 2}):
        work.embed("letters", [Item("x", path, options=options)])
    assert counted(work) == (3, 1)
    work.embed("letters", [other])
    assert counted(work) == (4, 1)
    upper = binder(cache, case="upper")
    upper.embed("letters", [path])
    assert counted(upper) == (1, 0)
    seeded = binder(cache)
    vectors = [seeded.embed("letters", [np.array([3])], derive_seed=seed).vectors for seed in (0, 1, 0)]
    assert counted(seeded) == (2, 1)
    assert np.abs(vectors[0] - vectors[1]).max() > 0.01


def test_other_versions_of_the_software_share_nothing(tmp_path, registry):
    binder(tmp_path).embed("letters", samples(3))
    registry.plugins[0] = Plugin("test", "test-dist", "2.0")
    newer = binder(tmp_path)
    newer.embed("letters", samples(3))
    assert counted(newer) == (3, 0)


def test_what_has_no_key_is_embedded_each_time(tmp_path):
    work = binder(tmp_path)
    for _ in range(2):
        assert len(work.embed("letters", [Film(), b"text"])) == 2
    assert counted(work) == (3, 1)


def test_known_and_new_items_stay_in_order_and_bad_ones_are_told(tmp_path):
    known = samples(30)[::2]
    binder(tmp_path).embed("letters", known)
    items = [*samples(30), b"", b"bad", b"a" * 49, 7, "absent.let"]
    told = {}
    work = binder(tmp_path)
    made = work.embed("letters", items, batch_size=7, on_bad=lambda id, error: told.update({id: str(error)}))
    assert made.ids == tuple(f"letters[{number}]" for number in range(30))
    np.testing.assert_array_equal(made.vectors, binder(None).embed("letters", samples(30)).vectors)
    assert sorted(told) == ["absent.let", "letters[30]", "letters[31]", "letters[32]", "letters[33]"]
    assert counted(work) == (15, 15)
    for bad in (b"bad", b"a" * 49):  # is not kept, and told again
        with pytest.raises(BadInput, match=r"letters\[1\]"):
            binder(tmp_path).embed("letters", [b"a", bad])


def test_what_was_embedded_before_an_error_is_kept(tmp_path):
    with pytest.raises(BadInput):
        binder(tmp_path).embed("letters", [*samples(40), b"bad"], batch_size=4)
    again = binder(tmp_path)
    again.embed("letters", samples(40))
    assert again.counts.cached >= 36


def test_a_stream_without_end_is_taken_as_needed_and_kept_when_it_is_left(tmp_path):
    taken = []

    def endless():
        while True:
            taken.append(len(taken))
            yield b"%d" % len(taken)

    for expected in ((12, 0), (12, 12)):
        work = binder(tmp_path)
        taken.clear()
        batches = work.embed_batches("letters", endless(), batch_size=4)
        assert [len(next(batches)) for _ in range(3)] == [4, 4, 4]
        assert len(taken) < 30
        batches.close()
        assert counted(work) == ((12, 0) if expected == (12, 0) else (0, 12))


def test_rows_are_written_while_a_long_call_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("anybind.shelf._ROWS", 8)
    batches = binder(tmp_path).embed_batches("letters", iter(samples(40)), batch_size=4)
    for _ in range(4):
        next(batches)
    other = binder(tmp_path)
    other.embed("letters", samples(40))
    assert other.counts.cached >= 12
    batches.close()


def test_many_small_calls_leave_few_files(tmp_path):
    work = binder(tmp_path)
    for sample in samples(200):
        work.embed("letters", [sample])
    assert len(shards(tmp_path)) <= 9
    again = binder(tmp_path)
    again.embed("letters", samples(200))
    assert counted(again) == (0, 200)


def test_a_reader_of_a_shard_that_went_up_in_another_finds_it_there(tmp_path):
    writer, reader = binder(tmp_path), binder(tmp_path)
    writer.embed("letters", samples(1))
    reader.embed("letters", samples(1))
    shelf = next(iter(reader.cache._shelves.values()))
    writer.embed("letters", samples(1, 1))  # both go into one new file
    assert len(shards(tmp_path)) == 1
    key = content_key("sample", samples(1)[0])
    assert shelf.find(key) is not None


WRITER = """
import sys
import numpy as np
from anybind import EmbeddingCache, content_key
shelf = EmbeddingCache(sys.argv[1]).shelf({"encoder": "e"})
for number in range(int(sys.argv[2]), 3000, 2):
    shelf.put({content_key(number): np.full(5, number, np.float32)})
    if number % 50 < 2:
        shelf.flush()
shelf.flush()
"""


def test_two_processes_that_write_at_once_lose_nothing(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    running = [subprocess.Popen([*command, str(first)]) for first in (0, 1)]
    assert [process.wait(60) for process in running] == [0, 0]
    cache = EmbeddingCache(tmp_path)
    shelf = cache.shelf({"encoder": "e"})
    found = [shelf.find(content_key(number)) for number in range(3000)]
    assert all(row is not None and row.tolist() == [number] * 5 for number, row in enumerate(found))
    assert cache.damaged == 0


def cut(data):
    return data[: len(data) // 2]


def cut_header(data):
    return data[:20]


def flipped(data):  # a bit of the first vector
    start = 8 + int.from_bytes(data[:8], "little")
    return data[:start] + bytes([data[start] ^ 1]) + data[start + 1 :]


@pytest.mark.parametrize("damage", [cut, cut_header, flipped, lambda data: b"", lambda data: b"\xff" * 64])
def test_a_damaged_shard_is_removed_and_what_it_held_computed_anew(tmp_path, damage):
    first = binder(tmp_path).embed("letters", samples(20))
    [path] = shards(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    again = binder(tmp_path)
    np.testing.assert_array_equal(again.embed("letters", samples(20)).vectors, first.vectors)
    assert again.cache.damaged == 1
    found = again.counts.cached  # whole rows that a thread read before another one came upon the damage
    assert counted(again) == (20 - found, found)
    assert again.counts.computed > 0
    assert path not in shards(tmp_path)
    last = binder(tmp_path)
    np.testing.assert_array_equal(last.embed("letters", samples(20)).vectors, first.vectors)
    assert (counted(last), last.cache.damaged) == ((found, 20 - found), 0)


def test_what_was_not_used_for_longest_goes_when_the_cache_is_full(tmp_path):
    for number in range(6):
        binder(tmp_path).embed("letters", samples(100, 100 * number))
    files = sorted(shards(tmp_path), key=lambda path: path.name)
    for age, path in enumerate(files):
        os.utime(path, (time.time() - 5000 + age,) * 2)
    binder(tmp_path).embed("letters", samples(100))  # the oldest is used again
    size = files[0].stat().st_size
    kept = binder(tmp_path, max_bytes=4 * size)
    kept.embed("letters", samples(100, 1000))
    left = shards(tmp_path)
    assert files[0] in left
    assert files[1] not in left
    assert files[2] not in left
    assert sum(path.stat().st_size for path in left) <= 4 * size


def test_films_count_toward_the_limit(tmp_path):
    cache = EmbeddingCache(tmp_path, max_bytes=10_000)
    cache.films.mkdir()
    (cache.films / "old.safetensors").write_bytes(bytes(9_000))
    os.utime(cache.films / "old.safetensors", (0, 0))
    (cache.films / "new.safetensors").write_bytes(bytes(5_000))
    cache.written(5_000)
    assert [path.name for path in cache.films.iterdir()] == ["new.safetensors"]


def test_another_process_may_remove_a_shard_that_is_in_use(tmp_path):
    work = binder(tmp_path)
    first = work.embed("letters", samples(10))
    for path in shards(tmp_path):
        path.unlink()
    shelf = next(iter(work.cache._shelves.values()))
    assert shelf.find(content_key("sample", samples(1)[0])) is None
    np.testing.assert_array_equal(work.embed("letters", samples(10)).vectors, first.vectors)
    assert (counted(work), work.cache.damaged) == ((20, 0), 0)


def test_a_full_disk_costs_one_warning_and_nothing_else(tmp_path, monkeypatch):
    def full(self, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    work = binder(tmp_path)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.warns(AnybindWarning, match="cannot keep embeddings in .*No space left on device") as warned:
        made = [work.embed("letters", samples(10)) for _ in range(3)]
    assert len(warned) == 1
    assert [len(each) for each in made] == [10, 10, 10]
    assert counted(work) == (30, 0)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_folder_that_cannot_be_written_costs_one_warning(tmp_path):
    (tmp_path / "vectors").write_text("in the way")
    with pytest.warns(AnybindWarning, match="cannot keep embeddings"):
        assert len(binder(tmp_path).embed("letters", samples(3))) == 3


def test_a_cache_must_be_a_folder_of_some_size(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadOption, match="is a file"):
        EmbeddingCache(tmp_path / "file")
    for size in (0, -1, 1.5):
        with pytest.raises(BadOption, match="whole number of bytes above 0"):
            EmbeddingCache(tmp_path, size)


def test_the_folder_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.delenv("ANYBIND_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert EmbeddingCache().folder == tmp_path / "anybind"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert EmbeddingCache().folder == Path.home() / ".cache" / "anybind"
    monkeypatch.setenv("ANYBIND_CACHE", str(tmp_path / "own"))
    assert EmbeddingCache().folder == tmp_path / "own"
    assert not (tmp_path / "own").exists()


def test_the_command_tells_what_is_kept_and_removes_it(tmp_path, cli):
    for case in ("lower", "upper"):
        binder(tmp_path, case=case).embed("letters", samples(7))
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "f.safetensors").write_bytes(bytes(100))
    told = json.loads(cli("cache", "--folder", tmp_path, "--json").out)
    assert told["folder"] == str(tmp_path)
    assert [(each["about"]["name"], each["about"]["modality"], each["rows"]) for each in told["encoders"]] == [
        ("count", "letters", 7)
    ] * 2
    assert told["films"] == {"files": 1, "bytes": 100}
    assert told["bytes"] == 100 + sum(path.stat().st_size for path in shards(tmp_path))
    assert "count" in cli("cache", "--folder", tmp_path).out
    one = told["encoders"][0]
    assert f"holds nothing of an encoder '{one['id']}x'; did you mean '{one['id']}'" in (
        cli("cache", "clear", "--folder", tmp_path, "--encoder", one["id"] + "x").error()
    )
    cli("cache", "clear", "--folder", tmp_path, "--encoder", one["about"]["encoder"])
    left = json.loads(cli("cache", "--folder", tmp_path, "--json").out)["encoders"]
    assert [each["id"] for each in left] == [told["encoders"][1]["id"]]
    assert json.loads(cli("cache", "clear", "--folder", tmp_path, "--json").out)["freed"] > 100
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_clearing_leaves_files_that_the_cache_did_not_write(tmp_path):
    binder(tmp_path).embed("letters", samples(3))
    [path] = shards(tmp_path)
    (path.parent / "mine.txt").write_text("mine")
    EmbeddingCache(tmp_path).clear()
    assert [each.name for each in tmp_path.rglob("*") if each.is_file()] == ["mine.txt"]
    with pytest.raises(UnknownName):
        EmbeddingCache(tmp_path).clear("nothing")


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
def test_two_arrays_share_a_key_only_where_type_shape_and_values_are_the_same(one, other):
    assert (content_key(one) == content_key(other)) == same(one, other)
    for shape in {one.shape[::-1], (one.size,), (1, *one.shape)} - {one.shape}:
        assert content_key(one.reshape(shape)) != content_key(one)
    viewed = one.reshape(-1).view(np.uint8)
    assert content_key(viewed) != content_key(one) or same(viewed, one)


@given(arrays.arrays(DTYPES, arrays.array_shapes(min_dims=1, max_dims=3, max_side=5)), st.data())
def test_how_an_array_lies_in_memory_does_not_matter(array, data):
    axis = data.draw(st.integers(0, array.ndim - 1))
    for view in (np.flip(array, axis), np.moveaxis(array, axis, 0), array[::2], np.asfortranarray(array)):
        assert content_key(view) == content_key(view.copy(order="C"))
    twice = np.repeat(array, 2, axis=0)[::2]
    assert content_key(twice) == content_key(array)
    columns = np.zeros(5, dtype=[("a", "u1"), ("b", "<i8")])
    columns["b"] = np.arange(5)
    assert content_key(columns["b"]) == content_key(np.arange(5))


def test_large_strided_arrays_are_hashed_in_parts(monkeypatch):
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
def test_values_share_a_key_only_where_they_are_the_same(one, other):
    assert (content_key(*one) == content_key(*other)) == (plainly(one) == plainly(other))


def test_frozen_dataclasses_are_keyed_by_their_fields_and_nothing_else_is():
    x, y = np.arange(3), np.arange(3.0)
    assert content_key(Columns(x, y)) == content_key(Columns(x.copy(), y.copy()))
    different = [Columns(y, x), Columns(x, y, 1), Columns(x, x), {"x": x, "y": y, "width": 0}, [x, y, 0]]
    assert len({content_key(each) for each in different} | {content_key(Columns(x, y))}) == 6
    for other in (Mutable(1), MoreThanColumns(x, y), Columns(x, Path("a")), Film(), iter([1]), {1: 2}):  # type: ignore[arg-type]
        assert content_key(other) is None
    assert content_key(np.array([object()])) is None
    assert content_key(np.ma.masked_array([1, 2], [True, False])) is None
