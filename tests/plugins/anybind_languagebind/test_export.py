"""Exported encoders of LanguageBind."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import anybind
from anybind_export import export

MODALITIES = ("image", "thermal", "depth", "sound", "video")


@pytest.mark.long
def test_exported_encoders_give_the_same_embeddings(make_checkpoint, tmp_path):
    for modality in MODALITIES:
        make_checkpoint(tmp_path / "models", modality)
    source = f"languagebind:local-dir:{tmp_path / 'models'}"
    report = export(source, tmp_path / "exported")
    assert set(report.card.encoders) == {"text", "event", *MODALITIES}
    binder, exported = anybind.load(source), anybind.load(report.binding)
    image = np.random.default_rng(1).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    samples = {"image": image, "text": ["the duck", "and " * 50], "thermal": anybind.derive("thermal", image)}
    for modality, items in samples.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of truncated texts
            first, second = (each.embed(modality, items) for each in (binder, exported))
        np.testing.assert_allclose(first.vectors, second.vectors, atol=1e-4)
        assert (first.encoder, first.space) == (second.encoder, second.space)
