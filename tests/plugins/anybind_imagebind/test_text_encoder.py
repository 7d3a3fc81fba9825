"""The text encoder: open_clip's tokens, and a warning for truncated texts."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from open_clip import tokenize

from anybind import AnybindWarning
from anybind_imagebind.text_encoder import ImageBindTextEncoder


@pytest.fixture(scope="module")
def text_encoder(weights: str, architectures: Any) -> ImageBindTextEncoder:
    return ImageBindTextEncoder(weights, architecture=architectures["text"])


@pytest.mark.parametrize("text", ["a dog", "", "A  Dog &amp; cat\n", "naïve café", "🦆"])
def test_tokens_equal_open_clips(text_encoder: ImageBindTextEncoder, text: str) -> None:
    assert np.array_equal(text_encoder.preprocess(text), tokenize([text])[0])


def test_embeddings_do_not_depend_on_the_batch(text_encoder: ImageBindTextEncoder) -> None:
    inputs = [text_encoder.preprocess(text) for text in ("a dog", "a photo of a cat on a mat", "rain")]
    batched = text_encoder.encode(inputs)
    single = np.concatenate([text_encoder.encode([each]) for each in inputs])
    assert np.abs(batched[0] - batched[1]).max() > 1e-3
    np.testing.assert_allclose(batched, single, rtol=0, atol=1e-5)


def test_a_text_of_the_maximum_length_is_not_truncated(text_encoder: ImageBindTextEncoder) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert text_encoder.preprocess("dog " * 75)[-1] == 49407


def test_a_truncated_text_warns_and_keeps_the_end_token(text_encoder: ImageBindTextEncoder) -> None:
    with pytest.warns(AnybindWarning, match=r"text truncated to 77 tokens: kept up to '.*dog dog', dropped 'cat duck'"):
        tokens = text_encoder.preprocess("dog " * 75 + "cat duck")
    assert tokens[-1] == 49407


def test_the_logit_scale_is_at_most_100_as_in_training(text_encoder: ImageBindTextEncoder) -> None:
    assert text_encoder.logit_scale == 100
