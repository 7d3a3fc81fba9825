"""Exact search against sorting everything, by float32 blocks and behind the pre-pass in bfloat16."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind.errors import BadOption
from anybind_retrieval import exact
from anybind_retrieval.coarse import CoarseGallery
from anybind_retrieval.exact import top_k


def reference(queries, gallery, k):
    """Everything sorted: products summed exactly and rounded once, ties by row."""
    products = (queries.astype(np.float64)[:, None] * gallery.astype(np.float32).astype(np.float64)).sum(axis=2)
    rows = np.argsort(-products.astype(np.float32), axis=1, kind="stable")[:, :k]
    return np.take_along_axis(products.astype(np.float32), rows, axis=1), rows


def vectors(random, n, d, kinds):
    """Unit vectors around one common direction, of which some are equal."""
    drawn = random.standard_normal((min(n, kinds), d)) + 2 * random.standard_normal(d)
    return anybind.unit(drawn[random.integers(0, len(drawn), n)])


def by_blocks(queries, gallery, k):
    return top_k(queries, gallery, k, block=64)


def behind_coarse(queries, gallery, k):
    return CoarseGallery(gallery).top_k(queries, k)


@pytest.mark.parametrize("search", [top_k, by_blocks, behind_coarse])
@settings(max_examples=25)
@given(st.integers(1, 400), st.integers(1, 9), st.integers(1, 70), st.integers(1, 400), st.integers(0, 2**32))
def test_the_nearest_are_those_of_sorting_everything(search, n, q, d, kinds, seed):
    random = np.random.default_rng(seed)
    gallery, queries = vectors(random, n, d, kinds), vectors(random, q, d, q)
    k = int(random.integers(1, n + 1))
    expected = reference(queries, gallery, k)
    scores, rows = search(queries, gallery, k)
    np.testing.assert_array_equal(rows, expected[1])
    np.testing.assert_array_equal(scores, expected[0])
    assert (scores.dtype, rows.dtype) == (np.float32, np.int64)


@pytest.mark.parametrize("search", [top_k, behind_coarse])
def test_a_gallery_of_one_vector_over_and_over_gives_its_first_rows(search, monkeypatch):
    monkeypatch.setattr(exact, "ROOM", 64)
    gallery = np.repeat(anybind.unit(np.ones((1, 5))), 3000, axis=0)
    better = anybind.unit(np.array([[2.0, 1, 1, 1, 1]]))
    gallery[2999] = better[0]
    _, rows = search(np.concatenate([better, better]), gallery, 3)
    np.testing.assert_array_equal(rows, [[2999, 0, 1]] * 2)


@pytest.mark.parametrize("search", [top_k, behind_coarse])
def test_differences_that_bfloat16_cannot_hold_decide(search):
    random = np.random.default_rng(0)
    query = anybind.unit(random.standard_normal((1, 64)))
    gallery = (query + 1e-4 * random.standard_normal((500, 64))).astype(np.float32)
    np.testing.assert_array_equal(search(query, gallery, 20)[1], reference(query, gallery, 20)[1])


@pytest.mark.parametrize("search", [top_k, behind_coarse])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_a_gallery_may_lie_in_a_file_and_be_of_another_type(search, kind, tmp_path):
    random = np.random.default_rng(1)
    gallery = vectors(random, 300, 16, 300).astype(kind)
    np.save(tmp_path / "gallery.npy", gallery)
    queries = vectors(random, 4, 16, 4)
    found = search(queries, np.load(tmp_path / "gallery.npy", mmap_mode="r"), 7)
    np.testing.assert_array_equal(found[1], reference(queries, gallery, 7)[1])


def test_more_queries_than_go_through_at_once(monkeypatch):
    monkeypatch.setattr(exact, "QUERIES", 10)
    random = np.random.default_rng(2)
    gallery, queries = vectors(random, 200, 8, 200), vectors(random, 33, 8, 33)
    np.testing.assert_array_equal(top_k(queries, gallery, 5)[1], reference(queries, gallery, 5)[1])


def test_no_queries_find_nothing():
    scores, rows = top_k(np.empty((0, 3), np.float32), np.ones((4, 3), np.float32), 2)
    assert scores.shape == rows.shape == (0, 2)


@pytest.mark.parametrize("k", [0, 5])
def test_k_outside_the_gallery_is_refused(k):
    with pytest.raises(BadOption, match="k must be 1 to 4"):
        top_k(np.ones((2, 3), np.float32), np.ones((4, 3), np.float32), k)


def test_shapes_that_do_not_fit_and_blocks_of_nothing_are_refused():
    with pytest.raises(anybind.BadInput, match=r"must share d, got \(2, 3\) and \(4, 2\)"):
        top_k(np.ones((2, 3), np.float32), np.ones((4, 2), np.float32), 1)
    with pytest.raises(BadOption, match="at least 1 row"):
        top_k(np.ones((2, 3), np.float32), np.ones((4, 3), np.float32), 1, block=0)


@pytest.mark.parametrize("search", [by_blocks, behind_coarse])
def test_what_is_not_finite_is_named(search):
    gallery = np.ones((100, 3), np.float32)
    gallery[70, 1] = np.nan
    with pytest.raises(anybind.BadInput, match="row 70 of the gallery"):
        search(np.ones((1, 3), np.float32), gallery, 1)
    with pytest.raises(anybind.BadInput, match="a query is not finite"):
        search(np.full((1, 3), np.inf, np.float32), np.ones((100, 3), np.float32), 1)
