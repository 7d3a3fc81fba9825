"""Modalities: inferring that of a sample, and deriving one from another."""

from __future__ import annotations

import numpy as np
import pytest

import anybind
from anybind.errors import BadOption, PluginError
from anybind.modality import Modality, find_modality, infer_modality
from anybind.spec import ModalitySpec
from anybind_media.text import Text

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


def test_a_modality_that_fails_affects_no_other(registry, add_plugin):
    class Failing(Text):
        def accepts(self, item):
            raise ValueError("a bug")

    class Unfinished(Modality):
        name = "a-unfinished"

    globals().update(Failing=Failing, Unfinished=Unfinished)
    add_plugin(
        registry,
        ModalitySpec(name="a-failing", summary="s", target=f"{__name__}:Failing"),
        ModalitySpec(name="text", summary="s", target="anybind_media.text:Text"),
        ModalitySpec(name="a-unfinished", summary="s", target=f"{__name__}:Unfinished"),
    )
    assert infer_modality("a duck") == "text"
    with pytest.raises(PluginError, match="modality 'a-unfinished' of test-dist cannot be created: TypeError"):
        find_modality("a-unfinished")


def test_an_array_of_no_modality_is_named_by_type_and_shape():
    with pytest.raises(
        anybind.BadInput, match=r"a float64 array of shape \(2, 2\) is a sample of no installed modality"
    ):
        infer_modality(np.zeros((2, 2)))


@pytest.mark.parametrize("seed", [-1, 1.5, "0", True])
def test_a_seed_that_is_no_integer_of_at_least_0_raises(seed):
    with pytest.raises(BadOption, match="the seed must be an integer of 0 or more"):
        anybind.derive("event", IMAGE, seed=seed)
