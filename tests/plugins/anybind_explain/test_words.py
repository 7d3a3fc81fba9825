"""Tokens to words, whatever the tokenizer."""

from __future__ import annotations

import warnings

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anybind import AnybindWarning
from anybind_explain.words import word_spans

START, END, PAD = 1, 2, 0


def pieces(text: str, context: int = 30) -> np.ndarray:
    """A toy tokenizer: two letters a token, between marks, cut and padded."""
    numbers = [
        3 + int.from_bytes(word[at : at + 2].encode(), "big") for word in text.split() for at in range(0, len(word), 2)
    ]
    if len(numbers) > context - 2:
        warnings.warn("text cut", AnybindWarning, stacklevel=2)
    numbers = numbers[: context - 2]
    return np.array([START, *numbers, END] + [PAD] * (context - 2 - len(numbers)))


words = st.lists(st.text("abc,", min_size=1, max_size=5), min_size=1, max_size=5)


@given(words, st.sampled_from([" ", "  ", "\t", "\n "]))
def test_each_word_has_the_tokens_that_it_became(given_words, gap):
    spans = word_spans(pieces, gap.join(given_words) + gap)
    assert [word for word, _, _ in spans] == given_words
    borders = [1, *np.cumsum([(len(word) + 1) // 2 for word in given_words]) + 1]
    assert [first for _, first, _ in spans] == borders[:-1]
    assert [last for _, _, last in spans] == borders[1:]


def test_words_that_were_cut_off_have_no_tokens():
    assert word_spans(lambda text: pieces(text, 5), "ab abcd abcd ab") == [
        ("ab", 1, 2),
        ("abcd", 2, 4),
        ("abcd", 4, 4),
        ("ab", 4, 4),
    ]


def test_the_towers_tokenizers_part_words_so(tiny, mini):
    text = "a photo of a duckling's beak"
    for tower in (tiny.encoder("text"), mini.encoder("text")):
        spans = word_spans(tower.preprocess, text)
        lengths = [last - first for _, first, last in spans]
        assert spans[0][1] == 1
        assert lengths[:4] == [1, 1, 1, 1]
        assert lengths[4] > 1
        assert [each[1] for each in spans[1:]] == [each[2] for each in spans[:-1]]
