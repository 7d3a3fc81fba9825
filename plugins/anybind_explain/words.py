"""Token spans of words, for any tokenizer."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from anybind import AnybindWarning

SUFFIX = "x"
"""A word appended to a text, which marks the end of the text's tokens."""


def find_word_spans(tokenize: Callable[[str], npt.ArrayLike], text: str) -> list[tuple[str, int, int]]:
    """Find the words of a text, split at white space, and the first and last (exclusive) token of each.

    A word starts after the tokens that the text and its prefix before the word have in common: this holds for any
    tokenizer that encodes words separately and in order. Words beyond the context length have no tokens.

    Args:
        tokenize: maps a text to its token ids, (length,), with start and end tokens and padding, if any.
        text: not blank.
    """
    words = text.split()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnybindWarning)  # the encoder itself warns of truncated texts
        tokens = _flatten(tokenize(text))
        prefixes = [_flatten(tokenize(" ".join(words[:count]))) for count in range(len(words))]
        longer = _flatten(tokenize(f"{text.rstrip()} {SUFFIX}"))
    starts = [_count_common_tokens(tokens, each) for each in prefixes]
    end = _count_common_tokens(tokens, longer)
    if end == len(tokens):  # full context: find the end token, which follows the start token in an empty text
        end_token = prefixes[0][starts[0] : starts[0] + 1]
        end = max(np.flatnonzero(np.isin(tokens, end_token)).tolist(), default=end)
    boundaries = [*(min(start, end) for start in starts), end]
    return [(word, first, last) for word, (first, last) in zip(words, itertools.pairwise(boundaries), strict=True)]


def _flatten(tokens: npt.ArrayLike) -> np.ndarray:
    return np.asarray(tokens).reshape(-1)


def _count_common_tokens(tokens: np.ndarray, other: np.ndarray) -> int:
    """Count the leading tokens that both have in common."""
    length = min(len(tokens), len(other))
    differences = np.flatnonzero(tokens[:length] != other[:length])
    return int(differences[0]) if len(differences) else length
