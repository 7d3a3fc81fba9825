"""Calibration by modality and the test for weak matches, on random similarities."""

from __future__ import annotations

import numpy as np
import pytest

import anybind
from anybind_retrieval.calibration import Background, estimate_backgrounds
from anybind_retrieval.index import IndexCard, IndexedEncoder, IndexEntry
from anybind_retrieval.lance_index import LanceIndex, LanceIndexWriter


def test_background_is_robust_against_relevant_files():
    random = np.random.default_rng(0)
    cosines = np.concatenate([random.normal(0.2, 0.05, 950), np.full(50, 0.9)])
    background = Background.from_cosines(cosines, 1000)
    assert background.center == pytest.approx(0.2, abs=0.01)
    assert background.spread == pytest.approx(0.05, rel=0.1)
    assert background.calibrate(0.9) == pytest.approx(0.7, abs=0.01)
    assert background.compute_z(0.9) == pytest.approx(14, rel=0.1)


def test_the_best_of_irrelevant_files_is_weak_in_95_percent_of_searches():
    random = np.random.default_rng(0)
    weak = []
    for _ in range(1000):
        cosines = random.normal(0, 0.1, 500)
        weak.append(Background.from_cosines(cosines, 500).is_weak(cosines.max()))
    assert np.mean(weak) == pytest.approx(0.95, abs=0.03)


def test_equal_similarities_are_weak():
    background = Background.from_cosines(np.full(20, 0.3), 20)
    assert (background.compute_z(0.3), background.is_weak(0.3)) == (0.0, True)


def test_small_modalities_have_the_background_of_all():
    small, large = np.full(3, 0.9), np.linspace(0, 0.4, 41)
    pooled, own = estimate_backgrounds([small, large], [3, 41])
    assert own == Background.from_cosines(large, 41)
    assert pooled == Background.from_cosines(np.concatenate([small, large]), 44)
    assert estimate_backgrounds([small, small], [3, 3]) == [None, None]


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
    np.testing.assert_allclose(
        np.quantile(sample[:, 0], [0, 0.5, 1]), np.quantile(vectors[:, 0], [0, 0.5, 1]), atol=0.03
    )
    assert len(index.sample_vectors("text", 64)) == 5
