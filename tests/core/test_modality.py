"""Modalities: which one a sample is of, and deriving one from another."""

from __future__ import annotations

import numpy as np
import pytest

import anybind
from anybind.modality import modality_of

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def test_a_sample_in_memory_tells_its_modality():
    assert modality_of("a duck") == "text"
    assert modality_of(PICTURE) == "image"
    assert modality_of(anybind.derive("event", PICTURE)) == "event"
    with pytest.raises(anybind.BadInput, match="a dict is a sample of no installed modality"):
        modality_of({})


def test_a_sample_of_the_modality_itself_is_returned_as_it_is():
    assert anybind.derive("image", PICTURE) is PICTURE


def test_what_cannot_be_derived_is_refused_with_what_can():
    with pytest.raises(anybind.BadInput, match=r"no event can be made from text \(only from image, video\)"):
        anybind.derive("event", "a duck")
    with pytest.raises(anybind.BadInput, match=r"no image can be made from text \(from nothing else\)"):
        anybind.derive("image", "a duck")
