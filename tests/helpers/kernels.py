"""Which version of a kernel runs: the loop that numba compiles, or the one in NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from anybind.jit import Kernel


@contextmanager
def run_kernels(*, compiled: bool) -> Iterator[None]:
    """Run only compiled kernels inside the block, or only those in NumPy where there are such."""

    def call(kernel: Kernel, *arguments: Any) -> Any:
        return (kernel.compile() if compiled or kernel.vectorised is None else kernel.vectorised)(*arguments)

    with mock.patch.object(Kernel, "__call__", call):
        yield
