"""Calibration by modality and the test for weak matches, on random embeddings."""

from __future__ import annotations

import json

import numpy as np
import pytest

import anybind
from anybind_retrieval.calibration import BACKGROUND_TEXTS, Background, estimate_background
from anybind_retrieval.index import IndexCard, IndexedEncoder, IndexEntry
from anybind_retrieval.lance_index import LanceIndex, LanceIndexWriter

DIM = 64


def draw_vectors(count, seed, offset=0.0):
    """Draw random unit vectors; an offset moves them to a region of their own."""
    vectors = np.random.default_rng(seed).standard_normal((count, DIM))
    vectors[:, 0] += offset
    return anybind.normalize(vectors)


def test_background_is_robust_against_relevant_files():
    random = np.random.default_rng(0)
    cosines = np.concatenate([random.normal(0.2, 0.05, 950), np.full(50, 0.9)])
    background = Background.from_cosines(cosines, 1000)
    assert background.center == pytest.approx(0.2, abs=0.01)
    assert background.spread == pytest.approx(0.05, rel=0.1)
    assert background.calibrate(0.9) == pytest.approx(0.7, abs=0.01)
    assert background.compute_z(0.9) == pytest.approx(14, rel=0.1)


def test_the_best_of_irrelevant_files_is_weak_in_95_percent_of_searches():
    files, queries = draw_vectors(500, 0), draw_vectors(1000, 1)
    background = estimate_background(files, draw_vectors(64, 2), queries[0], len(files), same_modality=False)
    best = (queries @ files.T).max(axis=1)
    assert np.mean([background.is_weak(cosine) for cosine in best]) == pytest.approx(
        0.95, abs=0.04
    )  # lighter tails than normal


def test_equal_similarities_are_weak():
    background = Background.from_cosines(np.full(20, 0.3), 20)
    assert (background.compute_z(0.3), background.is_weak(0.3)) == (0.0, True)


def test_calibrated_scores_of_modalities_in_different_regions_are_comparable():
    query = draw_vectors(1, 0, offset=8)[0]
    queries = draw_vectors(64, 1, offset=8)
    medians = []
    for seed, offset in ((2, 8), (3, 0)):
        files = draw_vectors(200, seed, offset)
        background = estimate_background(files, queries, query, len(files), same_modality=False)
        medians.append((np.median(files @ query), background.calibrate(float(np.median(files @ query)))))
    assert medians[0][0] - medians[1][0] > 0.3
    assert abs(medians[0][1] - medians[1][1]) < 0.06


def test_background_of_the_own_modality_is_that_of_the_query():
    files, query = draw_vectors(40, 0), draw_vectors(1, 1)[0]
    expected = Background.from_cosines(files.astype(float) @ query.astype(float), 40)
    assert estimate_background(files, files, query, 40, same_modality=True) == expected
    assert estimate_background(files, files[:9], query, 40, same_modality=False) == expected
    assert estimate_background(files[:9], files[:9], query, 9, same_modality=True) is None


def test_background_texts_are_different():
    assert len(set(BACKGROUND_TEXTS)) == 64


def test_sample_of_a_large_database_is_spread_over_all_rows(tmp_path):
    vectors = anybind.normalize(np.stack([np.linspace(1, 2, 640), np.linspace(2, 1, 640)], axis=1))
    encoders = {name: IndexedEncoder(name, "e") for name in ("image", "text")}
    card = IndexCard("b", anybind.Space("s", 2), encoders)
    writer = LanceIndexWriter(str(tmp_path / "i.lance"), card, None)
    for name, values in (("text", vectors[:5]), ("image", vectors)):
        writer.add(name, [IndexEntry(f"/{number}", 1, 1) for number in range(len(values))], values)
    writer.finish(card)
    index = LanceIndex(str(tmp_path / "i.lance"))
    sample = index.sample_vectors("image", 64)
    assert sample.shape == (64, 2)
    quantiles = [np.quantile(rows[:, 0], [0, 0.5, 1]) for rows in (sample, vectors)]
    np.testing.assert_allclose(*quantiles, atol=0.03)
    assert len(index.sample_vectors("text", 64)) == 5


def search(cli, *arguments):
    process = cli("search", *arguments, "--json", "--binding", "colours:sound")
    assert process.code == 0, process
    return json.loads(process.out)


@pytest.fixture
def colour_galleries(media):
    """Twelve images and twelve sounds: one of each modality is blue, the others yellow images and red sounds."""
    for number in range(9):
        media.write_image(f"{number}.png", "yellow")
    for number in range(12):
        media.write_sound(f"{number}.wav", "red" if number else "blue")
    return media


@pytest.fixture
def unrelated_texts(monkeypatch):
    """Background texts of one colour each, as the encoder of these tests has no other words."""
    monkeypatch.setattr(
        "anybind_retrieval.searching.BACKGROUND_TEXTS", ("red", "green", "a red thing", "green and red") * 4
    )


@pytest.mark.usefixtures("unrelated_texts")
def test_hits_have_calibrated_scores_and_weak_matches_are_marked(cli, colour_galleries, tmp_path):
    arguments = ("blue", "--in", colour_galleries.folder, "--top-k", "3")
    results = search(cli, *arguments, "-o", "p.html")
    best = {hit["modality"]: hit for hit in results["hits"] if hit["rank"] == 1}
    assert [best[name]["file"].rpartition("/")[2] for name in ("image", "sound")] == ["blue.png", "0.wav"]
    assert all(hit["calibrated"] < hit["cosine"] for hit in best.values())
    last = results["hits"][2]
    assert (last["modality"], last["rank"], last["weak"]) == ("image", 3, True)
    table = cli("search", *arguments, "--binding", "colours:sound").out
    assert "weak: not better than chance for its modality" in table
    n_weak = sum(hit["weak"] for hit in results["hits"])
    assert (tmp_path / "p.html").read_text().count("weak match</span>") == n_weak


def test_sound_query_has_a_background_for_many_files_only(cli, media):
    for number in range(12):
        media.write_sound(f"{number}.wav", "red")
    query = media.write_sound("query.wav", "blue")
    hits = search(cli, query, "--in", media.folder, "--top-k", "1")["hits"]
    assert [(hit["modality"], hit["z"] is None) for hit in hits] == [("image", False), ("sound", False)]
    for number in range(5):
        (media.folder / f"{number}.wav").unlink()
    hits = search(cli, query, "--in", media.folder, "--top-k", "1")["hits"]
    assert [(hit["calibrated"], hit["z"], hit["weak"]) for hit in hits] == [(None, None, False)] * 2


def test_mixed_ranking_is_by_calibrated_score_or_by_cosine(cli, colour_galleries, tmp_path):
    arguments = ("blue", "--in", colour_galleries.folder, "--top-k", "24", "--mixed")
    for option, score in (("--calibrate", "calibrated"), ("--no-calibrate", "cosine")):
        results = search(cli, *arguments, option, "-o", "p.html")
        assert [hit["rank"] for hit in results["hits"]] == list(range(1, 25))
        scores = [hit[score] for hit in results["hits"]]
        assert scores == sorted(scores, reverse=True)
        assert {hit["modality"] for hit in results["hits"][:2]} == {"image", "sound"}
    assert "all modalities" in (tmp_path / "p.html").read_text()


def test_files_databases_and_folders_are_calibrated_equally(cli, colour_galleries, tmp_path):
    hits = []
    for location in ("i.safetensors", "i.lance"):
        assert cli("index", colour_galleries.folder, "-o", location, "--binding", "colours:sound").code == 0
        hits.append(search(cli, "red", "--in", location, "--mixed")["hits"])
    assert hits[0] == hits[1]
