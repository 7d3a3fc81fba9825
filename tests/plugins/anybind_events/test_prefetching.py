"""Requests for cache lines in kernels."""

from __future__ import annotations

import numba
import numpy as np

from anybind.plugin import kernel
from anybind_events.prefetching import prefetch_element


@kernel
def add_ahead(cells: np.ndarray, ahead: int, counts: np.ndarray) -> None:
    for i in range(len(cells)):
        prefetch_element(counts, cells[i] + ahead)
        counts[cells[i]] += 1


def test_requested_elements_are_unchanged_also_at_invalid_indices():
    cells = np.array([1, 2, 2], np.uint32)
    for ahead in (0, 64, 1 << 40, -(1 << 40)):
        counts = np.zeros(4, np.uint32)
        add_ahead(cells, ahead, counts)
        assert counts.tolist() == [0, 1, 2, 0]


def test_a_request_becomes_an_instruction():
    function = numba.njit(add_ahead.py_func)  # not from the cache, which has no intermediate code
    function(np.zeros(1, np.uint32), 0, np.zeros(1, np.uint32))
    (code,) = function.inspect_llvm().values()
    assert "call void @llvm.prefetch" in code


def test_a_request_outside_kernels_has_no_effect():
    counts = np.zeros(4, np.uint32)
    prefetch_element(counts, 100)
    assert not counts.any()
