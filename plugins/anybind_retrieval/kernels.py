"""Compiled loops over similarities and stored vectors; they release the GIL, so that threads share the work."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from anybind.plugin import kernel

CHUNK = 256
"""Similarities of a chunk: a constant lets the compiler vectorise the inner loops."""
SIGN_MASK = np.int32(0x7FFFFFFF)
"""All bits of a float32 except its sign."""


def map_row_slices(call: Callable[[slice], object], rows: int) -> None:
    """Call a function with slices that cover all rows, one per processor, in threads."""
    n_slices = max(1, min(rows, os.cpu_count() or 1))
    edges = [rows * number // n_slices for number in range(n_slices + 1)]
    slices = [slice(first, last) for first, last in pairwise(edges)]
    if n_slices == 1:
        call(slices[0])
        return
    with ThreadPoolExecutor(n_slices) as pool:
        list(pool.map(call, slices))


@kernel(reorder=True)
def compare_codes(codes: np.ndarray, query: np.ndarray, scores: np.ndarray) -> None:
    """Compute the cosine similarities of int8 codes with a query, infinite for a damaged row of zeros.

    Args:
        codes: (n, d) int8.
        query: (d,) float32 of norm 1.
        scores: (n,) float32, output.
    """
    for i in range(codes.shape[0]):
        product, squares = np.float32(0), np.float32(0)
        for j in range(codes.shape[1]):
            code = np.float32(codes[i, j])
            product += code * query[j]
            squares += code * code
        scores[i] = product / np.sqrt(squares) if squares > 0 else np.float32(np.inf)


@kernel(reorder=True)
def compare_bits(bits: np.ndarray, sums: np.ndarray, scores: np.ndarray) -> None:
    """Add up the sums of the bytes of each row.

    Args:
        bits: (n, bytes) uint8.
        sums: (bytes, 256) float32, by position and value of a byte.
        scores: (n,) float32, output.
    """
    for i in range(bits.shape[0]):
        total = np.float32(0)
        for j in range(bits.shape[1]):
            total += sums[j, bits[i, j]]
        scores[i] = total


@kernel
def rank_relevant(
    block: np.ndarray,
    bits: np.ndarray,
    groups: np.ndarray,
    starts: np.ndarray,
    columns: np.ndarray,
    tolerance: np.float32,
    ranks: np.ndarray,
) -> None:
    """Compute the ranks of each query's first relevant samples, irrelevant samples first among equals.

    If several samples are relevant, a first pass over a row computes a bound of each chunk, and later passes read only
    chunks that may hold a similarity as high as that of a relevant sample.

    Args:
        block: (q, n) float32, similarities of queries to the whole gallery, every row contiguous.
        bits: the same memory as int32.
        groups: (q,) int64, the relevant group of each query.
        starts: (groups + 1,) int64, start of each group in `columns`.
        columns: (n,) int64, columns sorted by group.
        tolerance: similarities that differ by no more are equal.
        ranks: (q, depth) int64, output: column j holds the rank of the j-th relevant sample, from 1; 0 if there is
            none and, after the first column, if the rank is above depth.
    """
    depth = ranks.shape[1]
    highest = np.empty(depth, np.float32)
    values = np.empty(np.max(starts[1:] - starts[:-1]), np.float32)
    bounds = np.full(block.shape[1] // CHUNK, np.nan, np.float32)
    for i in range(block.shape[0]):
        row, relevant = block[i], columns[starts[groups[i]] : starts[groups[i] + 1]]
        if len(relevant) > 1:
            _compute_bounds(bits[i], bounds.view(np.int32))
        else:
            bounds[:] = np.nan
        relevant_values = values[: len(relevant)]
        highest[0] = _gather_values(row, relevant, relevant_values)
        ranks[i] = 0
        ranks[i, 0] = 1 + _count_irrelevant(row, bounds, relevant_values, highest[0] - tolerance)
        if ranks[i, 0] >= depth or len(relevant) == 1:
            continue
        for j in range(1, _select_highest(relevant_values, highest)):
            rank = j + 1 + _count_irrelevant(row, bounds, relevant_values, highest[j] - tolerance)
            if rank > depth:
                break
            ranks[i, j] = rank


@kernel
def _compute_bounds(bits: np.ndarray, bounds: np.ndarray) -> None:
    """Compute the largest magnitude of each whole chunk, NaN for a chunk with a NaN.

    Bits without the sign are ordered as the floats are, with NaN above infinity; a maximum of floats that may be NaN
    is not vectorised.
    """
    for c in range(len(bounds)):
        largest = np.int32(0)
        for j in range(CHUNK):
            largest = np.int32(max(largest, np.int32(bits[c * CHUNK + j] & SIGN_MASK)))
        bounds[c] = largest


@kernel
def _gather_values(row: np.ndarray, relevant: np.ndarray, values: np.ndarray) -> np.float32:
    """Copy the similarities of the relevant samples into `values`; return the highest."""
    best = np.float32(-np.inf)
    for j in range(len(relevant)):
        values[j] = row[relevant[j]]
        best = values[j] if values[j] > best else best
    return best


@kernel
def _count_irrelevant(row: np.ndarray, bounds: np.ndarray, relevant_values: np.ndarray, least: np.float32) -> int:
    """Count the irrelevant samples with a similarity of at least `least`, or NaN."""
    n_relevant = 0
    for value in relevant_values:
        n_relevant += not value < least
    total = 0
    for c in range(len(bounds)):
        if bounds[c] < least:
            continue
        count = np.int32(0)
        for j in range(CHUNK):
            count = np.int32(count + (not row[c * CHUNK + j] < least))
        total += int(count)
    for j in range(len(bounds) * CHUNK, len(row)):
        total += not row[j] < least
    return total - n_relevant


@kernel
def _select_highest(values: np.ndarray, highest: np.ndarray) -> int:
    """Copy the highest values into `highest`, in descending order, NaN as -inf; return their number."""
    number = 0
    for each in values:
        value = each if each == each else np.float32(-np.inf)
        if number == len(highest):
            if not value > highest[number - 1]:
                continue
            number -= 1
        position = number
        while position > 0 and highest[position - 1] < value:
            highest[position] = highest[position - 1]
            position -= 1
        highest[position] = value
        number += 1
    return number


@kernel
def compute_average_precisions(ranks: np.ndarray, n_relevant: np.ndarray, k: int, values: np.ndarray) -> None:
    """Compute the average precision of each query among the first k into `values` (q,); see `compute_metrics`.

    Args:
        ranks: (q, depth) int64, as filled by `rank_relevant`.
        n_relevant: (q,) int64, number of relevant samples.
        k: cutoff; at most depth, or relevant samples are missed.
        values: (q,) float64, output.
    """
    for i in range(len(ranks)):
        total = 0.0
        for j in range(ranks.shape[1]):
            if 0 < ranks[i, j] <= k:
                total += (j + 1) / ranks[i, j]
        values[i] = total / min(k, n_relevant[i])
