"""Words: tokens as open_clip makes them, and a warning where a text is cut."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from open_clip import tokenize

from anybind import AnybindWarning
from anybind_imagebind.text_encoder import ImageBindTextEncoder


@pytest.fixture(scope="module")
def text(weights: str, architectures: Any) -> ImageBindTextEncoder:
    return ImageBindTextEncoder(weights, architecture=architectures["text"])


@pytest.mark.parametrize("words", ["a dog", "", "A  Dog &amp; cat\n", "naïve café", "🦆"])
def test_tokens_are_clips(text: ImageBindTextEncoder, words: str) -> None:
    assert np.array_equal(text.preprocess(words), tokenize([words])[0])


def test_vectors_depend_on_no_batch(text: ImageBindTextEncoder) -> None:
    prepared = [text.preprocess(words) for words in ("a dog", "a photo of a cat on a mat", "rain")]
    together = text.encode(prepared)
    alone = np.concatenate([text.encode([each]) for each in prepared])
    assert np.abs(together[0] - together[1]).max() > 1e-3
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)


def test_a_text_that_just_fits_is_not_cut(text: ImageBindTextEncoder) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert text.preprocess("dog " * 75)[-1] == 49407


def test_a_text_that_is_cut_says_where_and_keeps_the_mark_of_its_end(text: ImageBindTextEncoder) -> None:
    with pytest.warns(AnybindWarning, match=r"text cut to 77 tokens: kept up to '.*dog dog', dropped 'cat duck'"):
        tokens = text.preprocess("dog " * 75 + "cat duck")
    assert tokens[-1] == 49407


def test_the_scale_is_at_most_100_as_in_training(text: ImageBindTextEncoder) -> None:
    assert text.logit_scale == 100
