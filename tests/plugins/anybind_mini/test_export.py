"""Exported encoders of `mini`, with its adapter in the graphs."""

from __future__ import annotations

import numpy as np
import pytest

import anybind
from anybind.plugin import modalities
from anybind_export import export


@pytest.mark.slow
def test_exported_encoders_give_the_same_embeddings_in_the_common_space(tmp_path):
    report = export("mini", tmp_path / "exported", fold_adapters=True)
    source, exported = anybind.load("mini"), anybind.load(report.binding)
    assert not exported.binding.adapters
    random = np.random.default_rng(1)
    images = [random.integers(0, 256, (60, 90, 3), dtype=np.uint8) for _ in range(3)]
    depth = modalities.make_sample("depth", random.uniform(1, 9, (60, 80)).astype(np.float32), fx=70.0)
    sounds = [
        modalities.make_sample("sound", random.normal(0, 0.1, (1, n)).astype(np.float32), 16_000)
        for n in (9_000, 90_000)
    ]
    samples = {
        "text": ["a duck", "A photo of two ducks.", "word " * 9], "image": images, "depth": [depth], "sound": sounds,
        "event": [anybind.derive("event", image, seed=0) for image in images],
    }  # fmt: skip
    for modality, items in samples.items():
        first, second = (each.embed(modality, items) for each in (source, exported))
        np.testing.assert_allclose(first.vectors, second.vectors, atol=1e-4)
        assert (first.encoder, first.space, first.logit_scale) == (second.encoder, second.space, second.logit_scale)
    assert exported.encoder("text").prompt_templates == source.encoder("text").prompt_templates
    assert exported.encoder("image").reader_options == source.encoder("image").reader_options
