"""Memory and compiled loops of programs that run long."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from anybind.jit import Kernel
from anybind.plugin import kernel, loops


@pytest.fixture
def total() -> Kernel:
    """Return a sum whose version in NumPy counts its calls."""

    def add_in_numpy(values: np.ndarray) -> float:
        calls.append(len(values))
        return float(values.sum())

    calls: list[int] = []

    @kernel(vectorised=add_in_numpy)
    def add(values: np.ndarray) -> float:
        total = 0.0
        for value in values:
            total += value
        return total

    add.calls = calls  # pyright: ignore[reportFunctionMemberAccess]
    return add  # pyright: ignore[reportReturnType]


def test_small_inputs_are_compiled_inside_the_block_and_stay_so(total: Kernel) -> None:
    values = np.arange(5.0)
    assert total(values) == 10.0
    with loops.compile_early():
        assert total(values) == 10.0
    assert total(values) == 10.0
    assert total.calls == [5]  # pyright: ignore[reportAttributeAccessIssue]


def test_without_numba_the_version_in_numpy_is_used(total: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anybind.jit._has_numba", lambda: False)
    with loops.compile_early():
        assert total(np.arange(5.0)) == 10.0
    assert total.calls == [5]  # pyright: ignore[reportAttributeAccessIssue]


COUNT_FAULTS = """
import resource
import numpy as np
from anybind.plugin import loops

def count_faults(call):
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    call()
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before

n_bytes = 1 << 26
with loops.keep_freed_memory():
    first = count_faults(lambda: loops.touch_memory(n_bytes))
    later = count_faults(lambda: np.ones(n_bytes // 2, np.uint8))
print(first, later)
"""


@pytest.mark.skipif(sys.platform != "linux" or "MALLOC_ARENA_MAX" in os.environ, reason="glibc's defaults")
def test_touched_memory_is_cleared_once() -> None:
    # A process of its own: the heap of one that ran many tests has holes that fit the second array better.
    run = subprocess.run([sys.executable, "-c", COUNT_FAULTS], capture_output=True, text=True, check=True)
    first, later = map(int, run.stdout.split())
    assert first > 0
    assert later < first / 4 + 10
