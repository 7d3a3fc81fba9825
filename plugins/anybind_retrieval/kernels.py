"""Loops over similarities that no array operation does well; they hold no lock, so that threads share the work."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from anybind.plugin import kernel

CHUNK = 256
"""Similarities that are looked at together: a number known beforehand makes vector loops of the innermost."""
WITHOUT_SIGN = np.int32(0x7FFFFFFF)
"""All bits of a float32 but its sign."""


def over_rows(call: Callable[[slice], object], rows: int) -> None:
    """Call with slices that together make up all rows, one for each processor, in threads."""
    parts = max(1, min(rows, os.cpu_count() or 1))
    edges = [rows * part // parts for part in range(parts + 1)]
    slices = [slice(first, last) for first, last in pairwise(edges)]
    if parts == 1:
        call(slices[0])
        return
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(call, slices))


@kernel
def ranks_of_right(
    block: np.ndarray,
    bits: np.ndarray,
    groups: np.ndarray,
    starts: np.ndarray,
    columns: np.ndarray,
    tolerance: np.float32,
    ranks: np.ndarray,
) -> None:
    """Ranks of each query's first right answers when all that is as similar as a right one comes before it.

    Where several answers are right, a row is read once for a bound of every chunk, and then looked at only where
    something may be as high as a right answer.

    Args:
        block: (q, n) float32, similarities of queries to the whole gallery, every row contiguous.
        bits: the same memory as int32.
        groups: (q,) int64, which group of columns is right for a query.
        starts: (groups + 1,) int64, where each group begins in `columns`.
        columns: (n,) int64, columns by group.
        tolerance: similarities that differ by no more than this count as equal.
        ranks: (q, depth) int64, filled: column j holds the rank of the right answer that comes j-th, from 1 on; 0
            where there is none, and behind the first column also where the rank is above depth.
    """
    depth = ranks.shape[1]
    highest = np.empty(depth, np.float32)
    values = np.empty(np.max(starts[1:] - starts[:-1]), np.float32)
    bounds = np.full(block.shape[1] // CHUNK, np.nan, np.float32)
    for i in range(block.shape[0]):
        row, right = block[i], columns[starts[groups[i]] : starts[groups[i] + 1]]
        if len(right) > 1:
            _bound(bits[i], bounds.view(np.int32))
        else:
            bounds[:] = np.nan
        of_right = values[: len(right)]
        highest[0] = _take_right(row, right, of_right)
        ranks[i] = 0
        ranks[i, 0] = 1 + _wrong_from(row, bounds, of_right, highest[0] - tolerance)
        if ranks[i, 0] >= depth or len(right) == 1:
            continue
        for j in range(1, _highest_of(of_right, highest)):
            rank = j + 1 + _wrong_from(row, bounds, of_right, highest[j] - tolerance)
            if rank > depth:
                break
            ranks[i, j] = rank


@kernel
def _bound(bits: np.ndarray, bounds: np.ndarray) -> None:
    """The largest magnitude in each whole chunk, or what is no number where the chunk holds such.

    It is found in the bits of the floats, since without their signs these are ordered as the floats are, NaN above
    infinity; vector loops find no largest float where there may be NaN.
    """
    for c in range(len(bounds)):
        largest = np.int32(0)
        for j in range(CHUNK):
            largest = np.int32(max(largest, np.int32(bits[c * CHUNK + j] & WITHOUT_SIGN)))
        bounds[c] = largest


@kernel
def _take_right(row: np.ndarray, right: np.ndarray, values: np.ndarray) -> np.float32:
    """The similarities of the right answers, into `values`; returns the highest."""
    best = np.float32(-np.inf)
    for j in range(len(right)):
        values[j] = row[right[j]]
        best = values[j] if values[j] > best else best
    return best


@kernel
def _wrong_from(row: np.ndarray, bounds: np.ndarray, of_right: np.ndarray, least: np.float32) -> int:
    """How many wrong answers have a similarity of `least` or more, or none that is a number."""
    right = 0
    for value in of_right:
        right += not value < least
    total = 0
    for c in range(len(bounds)):
        if bounds[c] < least:
            continue
        part = np.int32(0)
        for j in range(CHUNK):
            part = np.int32(part + (not row[c * CHUNK + j] < least))
        total += int(part)
    for j in range(len(bounds) * CHUNK, len(row)):
        total += not row[j] < least
    return total - right


@kernel
def _highest_of(values: np.ndarray, highest: np.ndarray) -> int:
    """Fill in the highest values, in descending order, -inf for what is no number; how many there are."""
    number = 0
    for each in values:
        value = each if each == each else np.float32(-np.inf)
        if number == len(highest):
            if not value > highest[number - 1]:
                continue
            number -= 1
        place = number
        while place > 0 and highest[place - 1] < value:
            highest[place] = highest[place - 1]
            place -= 1
        highest[place] = value
        number += 1
    return number


@kernel
def average_precisions(ranks: np.ndarray, right: np.ndarray, cut: int, values: np.ndarray) -> None:
    """Average precision of each query among the first `cut`, into `values` (q,); see `metrics_of`.

    Args:
        ranks: (q, depth) int64, as `ranks_of_right` fills it.
        right: (q,) int64, how many answers are right.
        cut: at most depth, if all that is right is to count.
        values: (q,) float64.
    """
    for i in range(len(ranks)):
        total = 0.0
        for j in range(ranks.shape[1]):
            if 0 < ranks[i, j] <= cut:
                total += (j + 1) / ranks[i, j]
        values[i] = total / min(cut, right[i])
