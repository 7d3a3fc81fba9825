"""`kernel`: loops that numba compiles, at their first call, with machine code cached on disk."""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, update_wrapper
from types import ModuleType
from typing import Any

from anybind.errors import MissingExtra

SMALL = 1 << 21
"""Default number of elements in all that a kernel's version in NumPy handles in a process."""
_LOCK = threading.RLock()
"""Held while a kernel is created: threads share kernels."""
_n_early = 0
"""Number of open blocks of `compile_early`."""


class Kernel:
    """A function that numba compiles at its first call; see `kernel`."""

    def __init__(
        self, function: Callable[..., Any], vectorised: Callable[..., object] | None, limit: int, reorder: bool
    ) -> None:
        update_wrapper(self, function)
        self.py_func = function
        self.vectorised, self._limit = vectorised, limit
        self._reorder = reorder
        self._compiled: Any = None
        self._n_small = 0

    def __call__(self, *arguments: Any) -> Any:
        if self._compiled is not None:
            return self._compiled(*arguments)
        if self.vectorised is not None:
            self._n_small += arguments[0].size
            if (self._n_small <= self._limit and not _n_early) or not _has_numba():
                return self.vectorised(*arguments)
        return self.compile()(*arguments)

    def compile(self) -> Any:
        """Return numba's function, created once; raise `MissingExtra` without numba."""
        with _LOCK:
            if self._compiled is None:
                numba = _import_numba()
                fastmath = {"reassoc", "contract"} if self._reorder else False
                options: dict[str, object] = {"nogil": True, "fastmath": fastmath}
                try:
                    self._compiled = numba.njit(cache=True, **options)(self.py_func)
                except RuntimeError:  # "cannot cache function: no locator available"
                    self._compiled = numba.njit(**options)(self.py_func)
        return self._compiled

    @property
    def _numba_type_(self) -> object:
        """The type by which numba resolves calls of this kernel in another."""
        return self.compile()._numba_type_


def kernel(
    function: Callable[..., Any] | None = None,
    /,
    *,
    vectorised: Callable[..., object] | None = None,
    limit: int = SMALL,
    reorder: bool = False,
) -> Callable[..., Any]:
    """Decorate a function, with or without options, to be compiled by numba and run without the interpreter lock.

    numba is imported, and the function compiled, at its first call. The machine code is cached beside the module, or in
    the user's cache folder (`NUMBA_CACHE_DIR` sets another); if neither is writable, each process compiles it again.
    For plugins with an extra that has numba, on which core does not depend.

    A call raises `MissingExtra` where numba is needed and not installed.

    Args:
        function: the function.
        vectorised: the same in NumPy, with equal results, since importing numba takes longer than small inputs. It
            is called until the process has given it more than `limit` elements, and always without numba.
        limit: elements of the first argument, an array, in all calls of `vectorised`.
        reorder: allow another order of sums (always the same one), which vectorised loops need.
    """
    if function is None:
        return lambda function: Kernel(function, vectorised, limit, reorder)
    return Kernel(function, vectorised, limit, reorder)


@contextmanager
def compile_early() -> Iterator[None]:
    """Compile kernels at their first call inside the block, in all threads, however small their input.

    For programs in which a loop must not be compiled, or loaded from the cache, in between: they call all that they
    need once, before they start. Without numba, the versions in NumPy are used.
    """
    global _n_early
    with _LOCK:
        _n_early += 1
    try:
        yield
    finally:
        with _LOCK:
            _n_early -= 1


def _has_numba() -> bool:
    return importlib.util.find_spec("numba") is not None


@cache
def _import_numba() -> ModuleType:
    """Import numba; on a terminal, its first compilation (not a load from the cache) prints a line to stderr."""
    try:
        import numba
    except ModuleNotFoundError as error:
        raise MissingExtra("compiled loops need the package 'numba': pip install 'anybind[events]'") from error

    if sys.stderr.isatty():
        from numba.core import event

        class Announcer(event.Listener):
            announced = False

            def on_start(self, event: object) -> None:
                if not self.announced:
                    self.announced = True
                    sys.stderr.writelines(["compiling loops for this machine, once: later runs use the cache\n"])

            def on_end(self, event: object) -> None:
                pass

        event.register("numba:compile", Announcer())
    return numba
