"""Recall and ranks against a plain loop, and chance against counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind import Embeddings, Space
from anybind.errors import SpaceMismatch
from anybind_adapters import held_out
from anybind_adapters.validation import compute_chance, evaluate_retrieval


def embeddings(vectors, ids=None, space="s"):
    ids = tuple(map(str, range(len(vectors)))) if ids is None else ids
    return Embeddings(anybind.normalize(np.asarray(vectors, dtype=float)), Space(space, len(vectors[0])), "m", ids)


@settings(max_examples=60)
@given(n=st.integers(1, 12), m=st.integers(1, 12), seed=st.integers(0, 999), kinds=st.integers(1, 4))
def test_ranks_are_those_of_a_plain_loop_and_ties_never_help(n, m, seed, kinds):
    random = np.random.default_rng(seed)
    few = np.array([[1, 0], [0, 1], [1, 1], [-1, 0]], dtype=float)  # so that there are many ties
    queries, gallery = embeddings(few[random.integers(0, 4, n)]), embeddings(few[random.integers(0, 4, m)])
    answers = random.integers(0, kinds, m)
    asked = answers[random.integers(0, m, n)]
    cosines = queries @ gallery
    ranks = []
    for i in range(n):
        best = max(cosines[i, j] for j in range(m) if answers[j] == asked[i])
        ranks.append(1 + sum(cosines[i, j] >= best and answers[j] != asked[i] for j in range(m)))
    found = evaluate_retrieval(queries, gallery, asked, answers)
    assert (found.n, found.gallery_size) == (n, m)
    assert found.r1 == pytest.approx(np.mean(np.array(ranks) <= 1))
    assert found.r5 == pytest.approx(np.mean(np.array(ranks) <= 5))
    assert found.median_rank == np.median(ranks)


def test_queries_in_blocks_give_the_same(monkeypatch):
    random = np.random.default_rng(0)
    a, b, of = embeddings(random.normal(size=(23, 4))), embeddings(random.normal(size=(23, 4))), np.arange(23)
    whole = evaluate_retrieval(a, b, of, of)
    monkeypatch.setattr(held_out, "BLOCK", 5)
    assert evaluate_retrieval(a, b, of, of) == whole


def test_words_that_go_with_many_pictures_stand_in_the_gallery_once():
    words = embeddings([[1, 0], [1, 0], [0, 1]], ("a", "a", "b"))
    pictures = embeddings([[1, 0.1], [1, 0.2], [0, 1]])
    of = np.array([0, 0, 1])
    forward, back = evaluate_retrieval(pictures, words, of, of), evaluate_retrieval(words, pictures, of, of)
    assert (forward.n, forward.gallery_size, forward.r1) == (3, 2, 1.0)
    assert (back.n, back.gallery_size, back.r1) == (2, 3, 1.0)


def test_vectors_that_are_all_alike_find_nothing():
    same, of = embeddings(np.ones((9, 3))), np.arange(9)
    found = evaluate_retrieval(same, same, of, of)
    assert (found.r1, found.r5, found.median_rank) == (0.0, 0.0, 9.0)


def test_two_spaces_are_never_compared():
    a, b = embeddings(np.eye(3)), embeddings(np.eye(3), space="t")
    with pytest.raises(SpaceMismatch):
        evaluate_retrieval(a, b, np.arange(3), np.arange(3))


@pytest.mark.parametrize("answers", [np.arange(8), np.array([0, 0, 0, 1, 1, 2, 3, 4]), np.zeros(8, int), np.arange(3)])
def test_chance_is_what_random_orders_reach_on_the_average(answers):
    random = np.random.default_rng(0)
    m = len(answers)
    side = embeddings(random.normal(size=(m, 3)))
    told = compute_chance(side, side, answers, answers)
    hits = {1: 0, 5: 0}
    for _ in range(3000):
        order = random.permutation(m)
        for asked in answers:
            rank = 1 + np.flatnonzero(answers[order] == asked)[0]
            for k in hits:
                hits[k] += rank <= k
    assert told.r1 == pytest.approx(hits[1] / 3000 / m, abs=0.02)
    assert told.r5 == pytest.approx(hits[5] / 3000 / m, abs=0.02)
