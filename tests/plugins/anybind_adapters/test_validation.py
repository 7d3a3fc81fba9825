"""Retrieval scores against a plain loop, and chance against random rankings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind import Embeddings, Space
from anybind.errors import SpaceMismatch
from anybind_adapters import validation
from anybind_adapters.validation import compute_chance, evaluate_retrieval


def make_embeddings(vectors, ids=None, space="s"):
    ids = tuple(map(str, range(len(vectors)))) if ids is None else ids
    return Embeddings(anybind.normalize(np.asarray(vectors, dtype=float)), Space(space, len(vectors[0])), "m", ids)


@settings(max_examples=60)
@given(n=st.integers(1, 12), m=st.integers(1, 12), seed=st.integers(0, 999), n_groups=st.integers(1, 4))
def test_ranks_equal_a_plain_loop_and_ties_never_help(n, m, seed, n_groups):
    random = np.random.default_rng(seed)
    vectors = np.array([[1, 0], [0, 1], [1, 1], [-1, 0]], dtype=float)  # few, for many ties
    queries, gallery = (
        make_embeddings(vectors[random.integers(0, 4, n)]),
        make_embeddings(vectors[random.integers(0, 4, m)]),
    )
    gallery_groups = random.integers(0, n_groups, m)
    query_groups = gallery_groups[random.integers(0, m, n)]
    cosines = queries @ gallery
    ranks = []
    for i in range(n):
        relevant = gallery_groups == query_groups[i]
        ranks.append(1 + sum(cosines[i, ~relevant] >= cosines[i, relevant].max()))
    scores = evaluate_retrieval(queries, gallery, query_groups, gallery_groups)
    assert (scores.n, scores.gallery_size) == (n, m)
    assert scores.r1 == pytest.approx(np.mean(np.array(ranks) <= 1))
    assert scores.r5 == pytest.approx(np.mean(np.array(ranks) <= 5))
    assert scores.median_rank == np.median(ranks)


def test_scores_do_not_depend_on_blocks(monkeypatch):
    random = np.random.default_rng(0)
    arguments = *(make_embeddings(random.normal(size=(23, 4))) for _ in range(2)), np.arange(23), np.arange(23)
    expected = evaluate_retrieval(*arguments)
    monkeypatch.setattr(validation, "BLOCK", 5)
    assert evaluate_retrieval(*arguments) == expected


def test_repeated_ids_are_in_the_gallery_once():
    texts = make_embeddings([[1, 0], [1, 0], [0, 1]], ("a", "a", "b"))
    images = make_embeddings([[1, 0.1], [1, 0.2], [0, 1]])
    groups = np.array([0, 0, 1])
    forward, back = (evaluate_retrieval(*sides, groups, groups) for sides in ((images, texts), (texts, images)))
    assert (forward.n, forward.gallery_size, forward.r1) == (3, 2, 1.0)
    assert (back.n, back.gallery_size, back.r1) == (2, 3, 1.0)


def test_equal_embeddings_have_recall_0():
    embeddings, groups = make_embeddings(np.ones((9, 3))), np.arange(9)
    scores = evaluate_retrieval(embeddings, embeddings, groups, groups)
    assert (scores.r1, scores.r5, scores.median_rank) == (0.0, 0.0, 9.0)


def test_two_spaces_cannot_be_compared():
    a, b = make_embeddings(np.eye(3)), make_embeddings(np.eye(3), space="t")
    with pytest.raises(SpaceMismatch):
        evaluate_retrieval(a, b, np.arange(3), np.arange(3))


@pytest.mark.parametrize("groups", [np.arange(8), np.array([0, 0, 0, 1, 1, 2, 3, 4]), np.zeros(8, int), np.arange(3)])
def test_chance_equals_the_mean_over_random_rankings(groups):
    random = np.random.default_rng(0)
    m = len(groups)
    embeddings = make_embeddings(random.normal(size=(m, 3)))
    scores = compute_chance(embeddings, embeddings, groups, groups)
    hits = {1: 0, 5: 0}
    for _ in range(3000):
        order = random.permutation(m)
        for group in groups:
            rank = 1 + np.flatnonzero(groups[order] == group)[0]
            for k in hits:
                hits[k] += rank <= k
    assert scores.r1 == pytest.approx(hits[1] / 3000 / m, abs=0.02)
    assert scores.r5 == pytest.approx(hits[5] / 3000 / m, abs=0.02)
