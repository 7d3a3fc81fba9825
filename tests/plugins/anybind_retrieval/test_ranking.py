"""Ranking: equal hits from a file, from LanceDB and from plain Python, ties by path."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import anybind
from anybind_retrieval.file_index import FileIndex, FileIndexWriter
from anybind_retrieval.index import IndexCard, IndexedEncoder, IndexEntry
from anybind_retrieval.lance_index import LanceIndex, LanceIndexWriter
from anybind_retrieval.ranking import rank_entries

ENCODER = IndexedEncoder("image", "e")


def make_card(dim):
    return IndexCard("b", anybind.Space("s", dim), {"image": ENCODER})


def make_entries(count):
    """Return entries whose order by path differs from that of their numbers."""
    return [IndexEntry(f"/{number * 7919 % 10_007:05d}'s.png", number, number) for number in range(count)]


def write_file_index(folder, vectors):
    writer = FileIndexWriter(folder / "i.safetensors", None, rebuild=True)
    writer.add("image", make_entries(len(vectors)), vectors)
    writer.finish(make_card(vectors.shape[1]))
    return FileIndex(folder / "i.safetensors")


def write_lance_index(folder, vectors):
    location = str(folder / "i.lance")
    writer = LanceIndexWriter(location, make_card(vectors.shape[1]), None)
    writer.add("image", make_entries(len(vectors)), vectors)
    writer.finish(make_card(vectors.shape[1]))
    return LanceIndex(location)


def rank_reference(vectors, query, top_k):
    """Rank by plain Python sums and sort."""
    rows = [
        (-round(sum(float(a) * float(b) for a, b in zip(vector, query, strict=True)), 6), entry.path)
        for vector, entry in zip(vectors, make_entries(len(vectors)), strict=True)
    ]
    return [(path, pytest.approx(-score, abs=2e-6)) for score, path in sorted(rows)[:top_k]]


def list_hits(hits):
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    return [(hit.entry.path, hit.cosine) for hit in hits]


@st.composite
def searches(draw):
    """Draw few distinct directions for many rows, so that there are ties, also at the cut."""
    distinct = draw(st.integers(1, 5))
    count = draw(st.integers(1, 60))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    directions = anybind.normalize(random.integers(-2, 3, (distinct, 4)) + 0.5)
    return directions[random.integers(0, distinct, count)], anybind.normalize(random.normal(size=(1, 4)))[0]


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=searches(), top_k=st.integers(1, 70))
def test_file_ranking_equals_plain_python(tmp_path, case, top_k):
    vectors, query = case
    hits = rank_entries(write_file_index(tmp_path, vectors), "image", query, top_k)
    assert list_hits(hits) == rank_reference(vectors, query, top_k)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=searches(), top_k=st.integers(1, 70))
@pytest.mark.slow
def test_database_ranking_equals_plain_python(tmp_path_factory, case, top_k):
    vectors, query = case
    hits = rank_entries(write_lance_index(tmp_path_factory.mktemp("db"), vectors), "image", query, top_k)
    assert list_hits(hits) == rank_reference(vectors, query, top_k)


@pytest.mark.parametrize("make", [write_file_index, write_lance_index])
def test_hundreds_of_ties_are_cut_by_path(tmp_path, make):
    vectors = anybind.normalize(np.ones((500, 3)))
    hits = rank_entries(make(tmp_path, vectors), "image", vectors[0], 5)
    assert list_hits(hits) == [(path, 1.0) for path in sorted(entry.path for entry in make_entries(500))[:5]]


@pytest.mark.parametrize("make", [write_file_index, write_lance_index])
def test_excluded_path_is_not_a_hit(tmp_path, make):
    vectors = anybind.normalize(np.eye(4) + 0.1)
    own = make_entries(4)[2].path
    hits = rank_entries(make(tmp_path, vectors), "image", vectors[2], 4, exclude=own)
    assert len(hits) == 3
    assert own not in [hit.entry.path for hit in hits]


def test_vectors_of_a_file_are_memory_mapped(tmp_path):
    vectors = anybind.normalize(np.random.default_rng(0).normal(size=(50, 8)))
    index = write_file_index(tmp_path, vectors)
    assert isinstance(index.get_vectors("image"), np.memmap)
    order = np.argsort([entry.path for entry in make_entries(50)])
    np.testing.assert_array_equal(index.get_vectors("image"), vectors[order])


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 3.0])
@pytest.mark.parametrize("top_k", [1, 100])
def test_damaged_vectors_are_one_error_line(tmp_path, value, top_k):
    vectors = anybind.normalize(np.ones((100, 4)))
    vectors[61] = value
    index = write_file_index(tmp_path, vectors)
    with pytest.raises(anybind.BadInput, match=r"i\.safetensors.*rebuild it"):
        rank_entries(index, "image", vectors[0], top_k)


def test_damaged_vectors_are_not_copied_to_an_updated_index(tmp_path):
    vectors = anybind.normalize(np.ones((3, 4)))
    vectors[1] = np.nan
    previous = write_file_index(tmp_path, vectors)
    writer = FileIndexWriter(tmp_path / "i.safetensors", previous)
    writer.drop("image", {make_entries(3)[0].key})
    with pytest.raises(anybind.BadInput, match="not of norm 1"):
        writer.finish(make_card(4))


def test_large_database_has_an_approximate_index_and_is_exact_by_default(tmp_path, monkeypatch):
    monkeypatch.setattr("anybind_retrieval.lance_index.ANN_MIN_ROWS", 2000)
    random = np.random.default_rng(0)
    vectors = anybind.normalize(random.normal(size=(2000, 16)))
    exact = write_lance_index(tmp_path, vectors)
    assert exact.table.list_indices()
    assert list_hits(rank_entries(exact, "image", vectors[7], 10)) == rank_reference(vectors, vectors[7], 10)
    approximate = rank_entries(LanceIndex(exact.location, approximate=True), "image", vectors[7], 10)
    assert approximate[0].entry == make_entries(2000)[7]
    expected = {hit.entry for hit in rank_entries(exact, "image", vectors[7], 10)}
    assert len({hit.entry for hit in approximate} & expected) >= 5  # LanceDB trains its index with a random seed


def test_card_survives_a_round_trip():
    card = replace(make_card(3), encoders={"image": ENCODER, "video": IndexedEncoder("event", "f~1")})
    assert IndexCard.from_table(card.to_table()) == card
