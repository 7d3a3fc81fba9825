"""`kernel`: compiles loops with numba, and caches the machine code if the folder is writable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def kernel(function: Callable[..., Any] | None = None, /, *, reorder: bool = False) -> Callable[..., Any]:
    """Decorate a function, with or without options, to be compiled by numba and run without the interpreter lock.

    It is compiled at its first call. The machine code is cached beside the module, or in the user's cache folder
    (`NUMBA_CACHE_DIR` sets another); if neither is writable, each process compiles it again. For modules that a spec
    with an extra targets, since core does not depend on numba.

    Args:
        function: the function.
        reorder: allow another order of sums (always the same one), which vectorised loops need.
    """
    if function is None:
        return lambda function: kernel(function, reorder=reorder)
    import numba

    options: dict[str, Any] = {"nogil": True, "fastmath": {"reassoc", "contract"} if reorder else False}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # "cannot cache function: no locator available"
        return numba.njit(**options)(function)
