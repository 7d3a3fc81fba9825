"""The ranking head `query-expansion`: against a float64 reference, on an arc of samples, and in `anybind search`."""

from __future__ import annotations

import json

import numpy as np
import pytest

import anybind
from anybind import BadInput, Embeddings, Space
from anybind.errors import BadOption, SpaceMismatch
from anybind.head import Head
from anybind.head_input import HeadInput
from anybind_retrieval.metrics import compute_metrics
from anybind_retrieval.ranks import rank_similarities


def made(vectors, modality="image", space="made"):
    vectors = anybind.normalize(np.asarray(vectors, float))
    ids = tuple(map(str, range(len(vectors))))
    return Embeddings(vectors, Space(space, vectors.shape[1]), modality, ids, "one")


def expanded_similarities(query, vectors, neighbours, alpha):
    """Alpha-QE by plain loops in float64."""
    cosines = [sum(a * b for a, b in zip(query, vector, strict=True)) for vector in vectors]
    nearest = sorted(range(len(vectors)), key=lambda row: (-cosines[row], row))[:neighbours]
    weights = {row: max(cosines[row], 0.0) ** alpha for row in nearest}
    total = [own + sum(weight * vectors[row][at] for row, weight in weights.items()) for at, own in enumerate(query)]
    length = sum(value * value for value in total) ** 0.5
    return [sum(a * b for a, b in zip(total, vector, strict=True)) / length for vector in vectors]


@pytest.mark.parametrize(("neighbours", "alpha"), [(3, 3.0), (5, 0.0), (100, 1.5)])
def test_scores_equal_a_float64_reference(neighbours, alpha):
    random = np.random.default_rng(0)
    queries, samples = made(random.normal(size=(4, 8)), "text"), made(random.normal(size=(20, 8)))
    head = Head.find("query-expansion", neighbours=neighbours, alpha=alpha)
    scores = head.score(HeadInput({"image": samples}), queries)
    assert scores.shape == (4, 20)
    rows = samples.vectors.astype(float).tolist()
    expected = [
        expanded_similarities(query, rows, neighbours, alpha) for query in queries.vectors.astype(float).tolist()
    ]
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_it_raises_map_where_right_answers_lie_along_an_arc():
    angles = np.radians(np.arange(10, 80, 10))
    right = np.stack([np.cos(angles), np.sin(angles), 0 * angles, 0 * angles], axis=1)
    away = np.radians(np.arange(42, 60, 3))
    wrong = np.stack([np.cos(away), 0 * away, np.sin(away), 0 * away], axis=1)
    samples, query = made(np.concatenate([right, wrong])), made([[1, 0, 0, 0]])
    groups = np.repeat([0, 1], [len(right), len(wrong)])

    def mean_average_precision(similarities):
        return compute_metrics(rank_similarities(similarities.astype(np.float32), np.array([0]), groups))["mAP@10"]

    before = mean_average_precision(query @ samples)
    after = mean_average_precision(
        Head.find("query-expansion", neighbours=4).score(HeadInput({"image": samples}), query)
    )
    assert after > before + 0.1


def test_a_sample_of_several_rows_has_the_score_of_its_nearest():
    samples, query = made(np.eye(4)[[0, 1, 2]]), made([[1, 0.5, 0, 0]])
    head = Head.find("query-expansion", neighbours=1)
    alone = head.score(HeadInput({"image": samples}), query)[0]
    parts = HeadInput({"image": samples}, rows={"image": np.array([0, 0, 2])})
    np.testing.assert_allclose(head.score(parts, query), [[alone[:2].max(), -1, alone[2]]])


def test_what_it_cannot_rank_is_refused():
    samples, query = made(np.eye(4)), made([[1, 0, 0, 0]])
    with pytest.raises(SpaceMismatch):
        Head.find("query-expansion").score(HeadInput({"image": samples}), made([[1, 0, 0, 0]], space="other"))
    with pytest.raises(BadInput, match="one modality, got image, event"):
        Head.find("query-expansion").score(HeadInput({"image": samples, "event": samples}), query)
    with pytest.raises(BadInput, match="needs event"):
        Head.find("query-expansion", modality="event").score(HeadInput({"image": samples}), query)


@pytest.mark.parametrize("options", [{"neighbours": 0}, {"alpha": -1}, {"neighbours": 1.5}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(BadOption):
        Head.find("query-expansion", **options)


def search(cli, world, *arguments):
    ended = cli("search", "red", "--in", world.folder, "--binding", "colours", "--json", *arguments)
    assert ended.code == 0, ended
    return json.loads(ended.out)["hits"]


def test_search_ranks_by_the_heads_scores(cli, world):
    binder = anybind.load("colours")
    hits = search(cli, world, "--rerank", "query-expansion", "--rerank-option", "neighbours=1")
    plain = {hit["file"]: hit["cosine"] for hit in search(cli, world)}
    files = sorted(plain, key=lambda file: -plain[file])
    inputs = HeadInput({"image": binder.embed("image", files)})
    scores = Head.find("query-expansion", neighbours=1).score(inputs, binder.embed("text", "red"))[0]
    assert {hit["file"]: hit["score"] for hit in hits} == pytest.approx(dict(zip(files, scores, strict=True)), abs=1e-5)
    assert {hit["file"]: hit["cosine"] for hit in hits} == plain
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
    assert [hit["rank"] for hit in hits] == [1, 2, 3]


def test_search_takes_a_saved_head_and_re_ranks_the_first_results_alone(cli, world, tmp_path):
    Head.find("query-expansion", neighbours=2).save(tmp_path / "head.safetensors")
    hits = search(cli, world, "--rerank", tmp_path / "head.safetensors", "--rerank-top", "1", "--top", "2")
    assert [hit["file"] for hit in hits] == [hit["file"] for hit in search(cli, world, "--top", "2")]
    assert all("score" in hit for hit in hits)


def test_search_prints_the_heads_scores_beside_cosines(cli, world):
    said = cli("search", "red", "--in", world.folder, "--binding", "colours", "--rerank", "query-expansion").out
    assert "score" in said
    assert "cosine" in said


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--rerank", "prototypes"), "expected a head for ranking, got 'prototypes'"),
        (("--rerank-option", "alpha=1"), "--rerank names"),
        (("--rerank", "query-expansion", "--rerank-option", "beta=1"), "beta"),
        (("--rerank", "missing.safetensors"), "missing.safetensors"),
    ],
)
def test_a_head_that_search_cannot_use_is_refused(cli, world, arguments, problem):
    ended = cli("search", "red", "--in", world.folder, "--binding", "colours", *arguments)
    assert ended.code != 0
    assert problem in ended.err
