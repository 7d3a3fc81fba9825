"""Token spans of words for any tokenizer."""

from __future__ import annotations

import warnings

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anybind import AnybindWarning
from anybind_explain.words import find_word_spans

START, END, PAD = 1, 2, 0


def tokenize_pairs(text: str, context: int = 30) -> np.ndarray:
    """Tokenize by two letters per token, between start and end token, truncated and padded."""
    tokens = [
        3 + int.from_bytes(word[start : start + 2].encode(), "big")
        for word in text.split()
        for start in range(0, len(word), 2)
    ]
    if len(tokens) > context - 2:
        warnings.warn("text cut", AnybindWarning, stacklevel=2)
    tokens = tokens[: context - 2]
    return np.array([START, *tokens, END] + [PAD] * (context - 2 - len(tokens)))


words = st.lists(st.text("abc,", min_size=1, max_size=5), min_size=1, max_size=5)


@given(words, st.sampled_from([" ", "  ", "\t", "\n "]))
def test_each_word_has_its_tokens(word_list, gap):
    spans = find_word_spans(tokenize_pairs, gap.join(word_list) + gap)
    assert [word for word, _, _ in spans] == word_list
    boundaries = [1, *np.cumsum([(len(word) + 1) // 2 for word in word_list]) + 1]
    assert [first for _, first, _ in spans] == boundaries[:-1]
    assert [last for _, _, last in spans] == boundaries[1:]


def test_truncated_words_have_no_tokens():
    assert find_word_spans(lambda text: tokenize_pairs(text, 5), "ab abcd abcd ab") == [
        ("ab", 1, 2),
        ("abcd", 2, 4),
        ("abcd", 4, 4),
        ("ab", 4, 4),
    ]


def test_spans_of_the_encoders_tokenizers_are_contiguous(tiny, mini):
    text = "a photo of a duckling's beak"
    for encoder in (tiny.encoder("text"), mini.encoder("text")):
        spans = find_word_spans(encoder.preprocess, text)
        lengths = [last - first for _, first, last in spans]
        assert spans[0][1] == 1
        assert lengths[:4] == [1, 1, 1, 1]
        assert lengths[4] > 1
        assert [each[1] for each in spans[1:]] == [each[2] for each in spans[:-1]]
