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
PIECE = 64
"""As many are looked at together where what is found is then gone through one by one."""
WITHOUT_SIGN = np.int32(0x7FFFFFFF)
"""All bits of a float32 but its sign."""


def over_rows(call: Callable[[slice], object], rows: int, *, beside_blas: bool = False) -> None:
    """Call with slices that together make up all rows, one for each processor, in threads.

    Args:
        call: what to call.
        rows: how many there are.
        beside_blas: take half of the processors: the threads of BLAS keep theirs busy for a while after each product,
            waiting for another one, and a slice that has to share its processor holds up all.
    """
    parts = max(1, min(rows, (os.cpu_count() or 1) // (2 if beside_blas else 1)))
    edges = [rows * part // parts for part in range(parts + 1)]
    slices = [slice(first, last) for first, last in pairwise(edges)]
    if parts == 1:
        call(slices[0])
        return
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(call, slices))


@kernel
def collect(
    block: np.ndarray,
    first: int,
    margins: np.ndarray,
    best: np.ndarray,
    rows: np.ndarray,
    scores: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Keep every row that may be among a query's k nearest when similarities are known to half a margin.

    A row is let go once k others lie more than a margin above it. Called with block after block of a gallery.

    Args:
        block: (q, n) float32, similarities to the gallery's rows `first`, `first + 1`, ...
        first: the row that the first column belongs to.
        margins: (q,) float32.
        best: (q, k) float32, heaps of the k highest similarities so far, the lowest first; -inf where fewer.
        rows: (q, room) int64, the rows kept.
        scores: (q, room) float32, their similarities.
        counts: (q,) int64, how many are kept; -1 where it would be more than there is room for.
    """
    width = block.shape[1]
    whole = width - width % PIECE
    for i in range(block.shape[0]):
        row, heap, margin, kept = block[i], best[i], margins[i], (rows[i], scores[i])
        for start in range(0, whole, PIECE):
            least = heap[0] - margin
            # 32 bits, here and below, so that a vector holds as many counters as similarities; sums become 64.
            hits = np.int32(0)
            for j in range(PIECE):
                hits = np.int32(hits + (row[start + j] >= least))
            if hits > 0 and counts[i] >= 0:
                counts[i] = _take(row, start, start + PIECE, first, heap, margin, kept, counts[i])
        if counts[i] >= 0:
            counts[i] = _take(row, whole, width, first, heap, margin, kept, counts[i])
        if counts[i] >= 0:
            counts[i] = _still_kept(kept, counts[i], heap[0] - margin)


@kernel
def _take(
    row: np.ndarray,
    start: int,
    stop: int,
    first: int,
    heap: np.ndarray,
    margin: np.float32,
    kept: tuple[np.ndarray, np.ndarray],
    count: int,
) -> int:
    """Look at each similarity of a chunk; how many are kept afterwards, -1 where there is no room for them."""
    rows, scores = kept
    for j in range(start, stop):
        if row[j] < heap[0] - margin:
            continue
        if row[j] > heap[0]:
            _replace_lowest(heap, row[j])
        if count == len(rows):
            count = _still_kept(kept, count, heap[0] - margin)
        if count == len(rows):
            return -1
        rows[count], scores[count] = first + j, row[j]
        count += 1
    return count


@kernel
def _replace_lowest(heap: np.ndarray, value: np.float32) -> None:
    place, child = 0, 1
    while child < len(heap):
        if child + 1 < len(heap) and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[place] = heap[child]
        place, child = child, 2 * child + 1
    heap[place] = value


@kernel
def _still_kept(kept: tuple[np.ndarray, np.ndarray], count: int, least: np.float32) -> int:
    """Move those of `least` or more to the front; how many they are."""
    rows, scores = kept
    number = 0
    for j in range(count):
        if scores[j] >= least:
            rows[number], scores[number] = rows[j], scores[j]
            number += 1
    return number


@kernel(reorder=True)
def rescore(
    queries: np.ndarray,
    vectors: np.ndarray,
    places: np.ndarray,
    counts: np.ndarray,
    scores: np.ndarray,
    order: np.ndarray,
) -> None:
    """The highest similarities of queries (q, d) to some vectors (n, d) each, summed in float64 and rounded once.

    Args:
        queries: (q, d) float32.
        vectors: (n, d) float32.
        places: (q, room) int64, which vectors, ascending.
        counts: (q,) int64, how many of them, at least k; queries with -1 are passed over.
        scores: (q, k) float32, filled: the highest first.
        order: (q, k) int64, filled: where in `places` they stand; of equal ones the first comes first.
    """
    k = scores.shape[1]
    for i in range(len(queries)):
        found = np.empty(max(counts[i], 0), np.float32)
        for j in range(counts[i]):
            vector = vectors[places[i, j]]
            total = 0.0
            for d in range(len(vector)):
                total += np.float64(queries[i, d]) * np.float64(vector[d])
            found[j] = -np.float32(total)
        if len(found):
            order[i] = np.argsort(found, kind="mergesort")[:k]
            scores[i] = -found[order[i]]


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
