"""Modalities: inferring that of a sample, and deriving one from another."""

from __future__ import annotations

import numpy as np
import pytest

import anybind
from anybind.modality import infer_modality

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def test_the_modality_of_a_sample_is_inferred():
    assert infer_modality("a duck") == "text"
    assert infer_modality(IMAGE) == "image"
    assert infer_modality(anybind.derive("event", IMAGE)) == "event"
    with pytest.raises(anybind.BadInput, match="a dict is a sample of no installed modality"):
        infer_modality({})


def test_a_sample_of_the_target_modality_is_returned_unchanged():
    assert anybind.derive("image", IMAGE) is IMAGE


def test_an_underivable_modality_raises_with_the_sources():
    with pytest.raises(anybind.BadInput, match=r"no event can be made from text \(only from image, video\)"):
        anybind.derive("event", "a duck")
    with pytest.raises(anybind.BadInput, match=r"no image can be made from text \(from nothing else\)"):
        anybind.derive("image", "a duck")
