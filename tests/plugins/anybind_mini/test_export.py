"""Exported encoders of `mini`; `make bench-inference` exports all of them."""

from __future__ import annotations

import numpy as np
import pytest

import anybind
from anybind.plugin import modalities
from anybind_export import export


@pytest.mark.long
def test_exported_encoders_give_the_same_embeddings(tmp_path):
    report = export("mini", tmp_path / "exported", modalities=["text", "sound"])
    source, exported = anybind.load("mini"), anybind.load(report.binding)
    random = np.random.default_rng(1)
    sounds = [
        modalities.make_sample("sound", random.normal(0, 0.1, (1, n)).astype(np.float32), 16_000)
        for n in (9_000, 90_000)
    ]
    for modality, items in {"text": ["a duck", "A photo of two ducks.", "word " * 9], "sound": sounds}.items():
        first, second = (each.embed(modality, items) for each in (source, exported))
        np.testing.assert_allclose(first.vectors, second.vectors, atol=1e-4)
        assert (first.encoder, first.space, first.logit_scale) == (second.encoder, second.space, second.logit_scale)
    assert exported.encoder("text").prompt_templates == source.encoder("text").prompt_templates
