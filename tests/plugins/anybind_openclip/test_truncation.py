"""Texts longer than the context of 16: 14 tokens between the start and end tokens."""

from __future__ import annotations

import re
import string
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anybind import AnybindWarning
from anybind_openclip.encoders import OpenClipTextEncoder

NUMBER_WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
WORD_LIST = [*NUMBER_WORDS, "red", "green", "blue", "black", "white", "grey", "pink", "brown"]


def collect_warnings(text_encoder: OpenClipTextEncoder, sample: str) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        text_encoder.preprocess(sample)
    return [str(each.message) for each in caught if issubclass(each.category, AnybindWarning)]


def test_the_truncation_warning_quotes_the_end_of_the_kept_and_the_start_of_the_dropped_text(
    text_encoder: OpenClipTextEncoder,
) -> None:
    sample = " ".join(WORD_LIST)
    with pytest.warns(AnybindWarning, match="truncated to 16 tokens") as caught:
        text_encoder.preprocess(sample)
    match = re.search(r"kept up to '(.*)', dropped '(.*)'", str(caught[0].message))
    assert match is not None
    prefix, suffix = match.groups()
    assert " ".join(WORD_LIST[:14]).endswith(prefix)
    assert prefix.endswith("red green blue black")
    assert suffix.split()[:2] == ["white", "grey"]
    assert prefix + suffix in sample


def test_a_truncated_text_has_the_embedding_of_the_kept_text(text_encoder: OpenClipTextEncoder, reference: Any) -> None:
    with pytest.warns(AnybindWarning):
        inputs = text_encoder.preprocess(" ".join(WORD_LIST))
    np.testing.assert_allclose(
        text_encoder.encode([inputs]), reference.embed_texts([" ".join(WORD_LIST[:14])]), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize(
    ("sample", "n_tokens"),
    [
        (" ".join(WORD_LIST[:14]), 14),
        (" ".join(WORD_LIST[:15]), 15),
        (" ".join([*WORD_LIST[:13], "xylophonically"]), 17),  # truncated within the last word
        ("qxzj" * 20, 80),  # a single word
        ("\u01c6" * 6, 18),  # a Croatian letter of two bytes, normalised to three letters: 12 bytes
        ("internationally representative photographs", 3),
        ("  a   text   with   much   space   between   its   words   ", 8),
        ("cats &amp; dogs &amp; birds &amp; bees", 7),
        ("cats&amp;dogs&amp;birds&amp;", 6),
        ("a duck on a lake \x01", 5),
        ("日本 東京 大阪", 11),
    ],
)
def test_only_texts_of_more_than_14_tokens_warn(
    text_encoder: OpenClipTextEncoder, reference: Any, sample: str, n_tokens: int
) -> None:
    assert len(reference.tokenizer.encode(sample)) == n_tokens
    assert len(collect_warnings(text_encoder, sample)) == int(n_tokens > 14)


WORDS = st.one_of(st.sampled_from(WORD_LIST), st.text(string.ascii_letters + string.digits + "'-,.!&éüß", min_size=1))


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(words=st.lists(WORDS, min_size=1, max_size=30))
@example(words=WORD_LIST[:14])
@example(words=WORD_LIST[:15])
@example(words=[*WORD_LIST[:12], "o'clock's"])
def test_a_warning_is_issued_if_and_only_if_open_clips_tokenizer_drops_tokens(
    text_encoder: OpenClipTextEncoder, reference: Any, words: list[str]
) -> None:
    sample = " ".join(words)
    dropped = len(reference.tokenizer.encode(sample)) > text_encoder.context_length - 2
    assert len(collect_warnings(text_encoder, sample)) == int(dropped)
