"""Modalities: which one a sample is of, and deriving one from another."""

from __future__ import annotations

import numpy as np
import pytest

import anybind
from anybind.modality import infer_modality

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def test_a_sample_in_memory_tells_its_modality():
    assert infer_modality("a duck") == "text"
    assert infer_modality(PICTURE) == "image"
    assert infer_modality(anybind.derive("event", PICTURE)) == "event"
    with pytest.raises(anybind.BadInput, match="a dict is a sample of no installed modality"):
        infer_modality({})


def test_a_sample_of_the_modality_itself_is_returned_as_it_is():
    assert anybind.derive("image", PICTURE) is PICTURE


def test_what_cannot_be_derived_is_refused_with_what_can():
    with pytest.raises(anybind.BadInput, match=r"no event can be made from text \(only from image, video\)"):
        anybind.derive("event", "a duck")
    with pytest.raises(anybind.BadInput, match=r"no image can be made from text \(from nothing else\)"):
        anybind.derive("image", "a duck")
