"""The ranking head `query-expansion`: against a float64 reference, on an arc of samples, and in `anybind search`."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import anybind
from anybind import BadInput, Embeddings, Space
from anybind.errors import BadOption, SpaceMismatch
from anybind.head import Head
from anybind.head_input import HeadInput
from anybind_retrieval.metrics import compute_metrics
from anybind_retrieval.ranks import rank_similarities


def make_embeddings(vectors, modality="image", space="made"):
    vectors = anybind.normalize(np.asarray(vectors, float))
    ids = tuple(map(str, range(len(vectors))))
    return Embeddings(vectors, Space(space, vectors.shape[1]), modality, ids, "one")


def compute_expanded_similarities(query, vectors, neighbours, alpha):
    """Alpha-QE by plain loops in float64."""
    cosines = [sum(a * b for a, b in zip(query, vector, strict=True)) for vector in vectors]
    nearest = sorted(range(len(vectors)), key=lambda row: (-cosines[row], row))[:neighbours]
    weights = {row: max(cosines[row], 0.0) ** alpha for row in nearest}
    total = [x + sum(weight * vectors[row][d] for row, weight in weights.items()) for d, x in enumerate(query)]
    length = sum(value * value for value in total) ** 0.5
    return [sum(a * b for a, b in zip(total, vector, strict=True)) / length for vector in vectors]


@pytest.mark.parametrize(("neighbours", "alpha"), [(3, 3.0), (5, 0.0), (100, 1.5)])
def test_scores_equal_a_float64_reference(neighbours, alpha):
    random = np.random.default_rng(0)
    queries, samples = make_embeddings(random.normal(size=(4, 8)), "text"), make_embeddings(random.normal(size=(20, 8)))
    head = Head.find("query-expansion", neighbours=neighbours, alpha=alpha)
    scores = head.score(HeadInput({"image": samples}), queries)
    assert scores.shape == (4, 20)
    rows = samples.vectors.astype(float).tolist()
    expected = [
        compute_expanded_similarities(query, rows, neighbours, alpha)
        for query in queries.vectors.astype(float).tolist()
    ]
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_expansion_raises_map_if_relevant_samples_lie_along_an_arc():
    angles = np.radians(np.arange(10, 80, 10))
    relevant = np.stack([np.cos(angles), np.sin(angles), 0 * angles, 0 * angles], axis=1)
    other_angles = np.radians(np.arange(42, 60, 3))
    others = [np.cos(other_angles), 0 * other_angles, np.sin(other_angles), 0 * other_angles]
    irrelevant = np.stack(others, axis=1)
    samples, query = make_embeddings(np.concatenate([relevant, irrelevant])), make_embeddings([[1, 0, 0, 0]])
    groups = np.repeat([0, 1], [len(relevant), len(irrelevant)])

    def compute_map(similarities):
        return compute_metrics(rank_similarities(similarities.astype(np.float32), np.array([0]), groups))["mAP@10"]

    before = compute_map(query @ samples)
    after = compute_map(Head.find("query-expansion", neighbours=4).score(HeadInput({"image": samples}), query))
    assert after > before + 0.1


def test_sample_with_several_rows_has_the_largest_score():
    samples, query = make_embeddings(np.eye(4)[[0, 1, 2]]), make_embeddings([[1, 0.5, 0, 0]])
    head = Head.find("query-expansion", neighbours=1)
    alone = head.score(HeadInput({"image": samples}), query)[0]
    grouped = HeadInput({"image": samples}, rows={"image": np.array([0, 0, 2])})
    np.testing.assert_allclose(head.score(grouped, query), [[alone[:2].max(), -1, alone[2]]])


def test_other_spaces_and_several_modalities_are_refused():
    samples, query = make_embeddings(np.eye(4)), make_embeddings([[1, 0, 0, 0]])
    with pytest.raises(SpaceMismatch):
        Head.find("query-expansion").score(
            HeadInput({"image": samples}), make_embeddings([[1, 0, 0, 0]], space="other")
        )
    with pytest.raises(BadInput, match="one modality, got image, event"):
        Head.find("query-expansion").score(
            HeadInput({"image": samples, "event": replace(samples, modality="event")}), query
        )
    with pytest.raises(BadInput, match="needs event"):
        Head.find("query-expansion", modality="event").score(HeadInput({"image": samples}), query)


@pytest.mark.parametrize("options", [{"neighbours": 0}, {"alpha": -1}, {"neighbours": 1.5}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(BadOption):
        Head.find("query-expansion", **options)


def search(cli, media, *arguments):
    process = cli("search", "red", "--in", media.folder, "--binding", "colours", "--json", *arguments)
    assert process.code == 0, process
    return json.loads(process.out)["hits"]


def test_search_ranks_by_the_scores_of_the_head(cli, media):
    binder = anybind.load("colours")
    hits = search(cli, media, "--rerank", "query-expansion", "--rerank-option", "neighbours=1")
    plain = {hit["file"]: hit["cosine"] for hit in search(cli, media)}
    files = sorted(plain, key=lambda file: -plain[file])
    inputs = HeadInput({"image": binder.embed("image", files)})
    scores = Head.find("query-expansion", neighbours=1).score(inputs, binder.embed("text", "red"))[0]
    assert {hit["file"]: hit["score"] for hit in hits} == pytest.approx(dict(zip(files, scores, strict=True)), abs=1e-5)
    assert {hit["file"]: hit["cosine"] for hit in hits} == plain
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
    assert [hit["rank"] for hit in hits] == [1, 2, 3]


def test_search_re_ranks_only_the_first_results_with_a_saved_head(cli, media, tmp_path):
    Head.find("query-expansion", neighbours=2).save(tmp_path / "head.safetensors")
    hits = search(cli, media, "--rerank", tmp_path / "head.safetensors", "--rerank-top-k", "1", "--top-k", "2")
    assert [hit["file"] for hit in hits] == [hit["file"] for hit in search(cli, media, "--top-k", "2")]
    assert all("score" in hit for hit in hits)


def test_table_has_head_scores_and_cosines(cli, media):
    table = cli("search", "red", "--in", media.folder, "--binding", "colours", "--rerank", "query-expansion").out
    assert "score" in table
    assert "cosine" in table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rerank", "prototypes"), "expected a head for ranking, got 'prototypes'"),
        (("--rerank-option", "alpha=1"), "--rerank-option needs a ranking head"),
        (("--rerank", "query-expansion", "--rerank-option", "beta=1"), "beta"),
        (("--rerank", "missing.safetensors"), "missing.safetensors"),
    ],
)
def test_invalid_ranking_head_is_refused(cli, media, arguments, message):
    process = cli("search", "red", "--in", media.folder, "--binding", "colours", *arguments)
    assert process.code != 0
    assert message in process.err
