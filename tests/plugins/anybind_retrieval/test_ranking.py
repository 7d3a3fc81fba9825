"""Ranking: the same answers from a file, from LanceDB and from plain Python, ties by path."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import anybind
from anybind_retrieval.file_index import FileIndexWriter, FileIndex
from anybind_retrieval.index import IndexCard, IndexEntry, IndexedEncoder
from anybind_retrieval.lance_index import LanceIndexWriter, LanceIndex
from anybind_retrieval.ranking import rank_entries

SHELF = IndexedEncoder("image", "e")


def card(dim):
    return IndexCard("b", anybind.Space("s", dim), {"image": SHELF})


def entries(count):
    """Paths whose order is not that of their numbers."""
    return [IndexEntry(f"/{number * 7919 % 10_007:05d}'s.png", number, number) for number in range(count)]


def file_index(folder, vectors):
    draft = FileIndexWriter(folder / "i.safetensors", None)
    draft.add("image", entries(len(vectors)), vectors)
    draft.finish(card(vectors.shape[1]))
    return FileIndex(folder / "i.safetensors")


def lance_index(folder, vectors):
    where = str(folder / "i.lance")
    draft = LanceIndexWriter(where, card(vectors.shape[1]), None)
    draft.add("image", entries(len(vectors)), vectors)
    draft.finish(card(vectors.shape[1]))
    return LanceIndex(where)


def expected(vectors, query, top):
    """By Python's own sums and sort."""
    rows = [
        (-round(sum(float(a) * float(b) for a, b in zip(vector, query, strict=True)), 6), entry.path)
        for vector, entry in zip(vectors, entries(len(vectors)), strict=True)
    ]
    return [(path, pytest.approx(-score, abs=2e-6)) for score, path in sorted(rows)[:top]]


def told(hits):
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    return [(hit.entry.path, hit.cosine) for hit in hits]


@st.composite
def searches(draw):
    """Few distinct directions among many rows, so that ties are everywhere, also where the answers end."""
    distinct = draw(st.integers(1, 5))
    count = draw(st.integers(1, 60))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    directions = anybind.normalize(random.integers(-2, 3, (distinct, 4)) + 0.5)
    return directions[random.integers(0, distinct, count)], anybind.normalize(random.normal(size=(1, 4)))[0]


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=searches(), top=st.integers(1, 70))
def test_a_file_is_ranked_as_plain_python_would(tmp_path, case, top):
    vectors, query = case
    found = rank_entries(file_index(tmp_path, vectors), "image", query, top)
    assert told(found) == expected(vectors, query, top)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=searches(), top=st.integers(1, 70))
def test_a_database_is_ranked_as_plain_python_would(tmp_path_factory, case, top):
    vectors, query = case
    found = rank_entries(lance_index(tmp_path_factory.mktemp("db"), vectors), "image", query, top)
    assert told(found) == expected(vectors, query, top)


@pytest.mark.parametrize("make", [file_index, lance_index])
def test_ties_by_the_hundred_are_cut_by_path(tmp_path, make):
    vectors = anybind.normalize(np.ones((500, 3)))
    found = rank_entries(make(tmp_path, vectors), "image", vectors[0], 5)
    assert told(found) == [(path, 1.0) for path in sorted(entry.path for entry in entries(500))[:5]]


@pytest.mark.parametrize("make", [file_index, lance_index])
def test_the_querys_own_file_is_no_answer(tmp_path, make):
    vectors = anybind.normalize(np.eye(4) + 0.1)
    own = entries(4)[2].path
    found = rank_entries(make(tmp_path, vectors), "image", vectors[2], 4, exclude=own)
    assert len(found) == 3
    assert own not in [hit.entry.path for hit in found]


def test_vectors_in_a_file_are_mapped_and_not_read(tmp_path):
    vectors = anybind.normalize(np.random.default_rng(0).normal(size=(50, 8)))
    index = file_index(tmp_path, vectors)
    assert isinstance(index.get_vectors("image"), np.memmap)
    order = np.argsort([entry.path for entry in entries(50)])
    np.testing.assert_array_equal(index.get_vectors("image"), vectors[order])


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 3.0])
@pytest.mark.parametrize("top", [1, 100])
def test_an_index_with_damaged_vectors_is_one_clear_line(tmp_path, value, top):
    vectors = anybind.normalize(np.ones((100, 4)))
    vectors[61] = value
    index = file_index(tmp_path, vectors)
    with pytest.raises(anybind.BadInput, match=r"i\.safetensors.*make it anew"):
        rank_entries(index, "image", vectors[0], top)


def test_an_index_with_damaged_vectors_is_not_taken_over_into_the_next_one(tmp_path):
    vectors = anybind.normalize(np.ones((3, 4)))
    vectors[1] = np.nan
    former = file_index(tmp_path, vectors)
    draft = FileIndexWriter(tmp_path / "i.safetensors", former)
    draft.drop("image", {entries(3)[0].key})
    with pytest.raises(anybind.BadInput, match="not of norm 1"):
        draft.finish(card(4))


def test_a_large_database_has_an_index_of_its_own_and_is_exact_unless_asked(tmp_path, monkeypatch):
    monkeypatch.setattr("anybind_retrieval.lance_index.INDEXED_FROM", 2000)
    random = np.random.default_rng(0)
    vectors = anybind.normalize(random.normal(size=(2000, 16)))
    exact = lance_index(tmp_path, vectors)
    assert exact.table.list_indices()
    assert told(rank_entries(exact, "image", vectors[7], 10)) == expected(vectors, vectors[7], 10)
    near = rank_entries(LanceIndex(exact.location, approximate=True), "image", vectors[7], 10)
    assert near[0].entry == entries(2000)[7]
    assert len({hit.entry for hit in near} & {hit.entry for hit in rank_entries(exact, "image", vectors[7], 10)}) >= 8


def test_a_card_is_kept_whole():
    made = replace(card(3), shelves={"image": SHELF, "video": IndexedEncoder("event", "f~1")})
    assert IndexCard.from_table(made.to_table()) == made
