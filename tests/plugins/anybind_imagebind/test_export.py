"""Exported encoders of ImageBind."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import anybind
from anybind import Binding
from anybind_export import export


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:the weights of")
def test_exported_encoders_give_the_same_embeddings(weights, architectures, tmp_path):
    encoders = {
        modality: Binding.configure(f"imagebind-{modality}", weights=weights, architecture=architectures[modality])
        for modality in ("text", "image", "sound", "depth")
    }
    encoders["event"] = Binding.configure("event-encoder", image_encoder="@image", representation="paper")
    source = Binding("small", encoders, space="imagebind")
    report = export(source, tmp_path / "exported")
    binder, exported = anybind.load(source), anybind.load(report.binding)
    random = np.random.default_rng(1)
    images = [random.integers(0, 256, (60, 90, 3), dtype=np.uint8) for _ in range(3)]
    samples = {"image": images, "text": ["a duck", "two words " * 50], "event": [anybind.derive("event", images[0])]}
    for modality, items in samples.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of truncated texts
            first, second = (each.embed(modality, items) for each in (binder, exported))
        np.testing.assert_allclose(first.vectors, second.vectors, atol=1e-4)
        assert (first.encoder, first.space) == (second.encoder, second.space)
    assert {name: part.gate.samples for name, part in report.card.encoders.items()} == dict.fromkeys(encoders, 64)
    assert report.card.encoders["sound"].options == {"clips": "pytorchvideo"}
    assert report.card.encoders["image"].licence == "CC-BY-NC-SA-4.0"
