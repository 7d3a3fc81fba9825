"""Tokens merged to words, for any tokenizer."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from anybind import AnybindWarning

MORE = "x"
"""A word put behind a text to see where the text ends."""


def word_spans(tokens_of: Callable[[str], npt.ArrayLike], text: str) -> list[tuple[str, int, int]]:
    """The words of a text, and the tokens from a first up to a last, not included, that each became.

    Words are what white space parts. Where a word begins is found by what the tokens of the words before it and those
    of the whole text have in common, so the tokenizer may be any that treats words one by one and in order. Words that
    were cut off for want of room have no tokens.

    Args:
        tokens_of: a text to its token numbers, (length,), with the marks of start and end and padding if there are any.
        text: not blank.
    """
    words = text.split()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnybindWarning)  # of cut texts, which the tower itself warns of
        whole = _numbers(tokens_of(text))
        before = [_numbers(tokens_of(" ".join(words[:count]))) for count in range(len(words))]
        longer = _numbers(tokens_of(f"{text.rstrip()} {MORE}"))
    starts = [_in_common(whole, each) for each in before]
    end = _in_common(whole, longer)
    if end == len(whole):  # full: the text ends at the mark that an empty text has where words begin
        mark = before[0][starts[0] : starts[0] + 1]
        end = max(np.flatnonzero(np.isin(whole, mark)).tolist(), default=end)
    borders = [*(min(start, end) for start in starts), end]
    return [(word, first, last) for word, (first, last) in zip(words, itertools.pairwise(borders), strict=True)]


def _numbers(tokens: npt.ArrayLike) -> np.ndarray:
    return np.asarray(tokens).reshape(-1)


def _in_common(whole: np.ndarray, other: np.ndarray) -> int:
    """How many tokens both begin with."""
    length = min(len(whole), len(other))
    differ = np.flatnonzero(whole[:length] != other[:length])
    return int(differ[0]) if len(differ) else length
