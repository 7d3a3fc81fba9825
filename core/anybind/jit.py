"""`kernel`: compiles loops by numba, once a machine where it can keep what it compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def kernel(function: Callable[..., Any] | None = None, /, *, reorder: bool = False) -> Callable[..., Any]:
    """A decorator, used with or without options: the function compiled by numba, without the interpreter's lock.

    It is compiled at its first call. What was compiled is kept beside the module, or in the user's cache folder
    (`NUMBA_CACHE_DIR` names another); where neither can be written, it is compiled anew in each process. For modules
    that a spec with an extra targets, since the core itself does without numba.

    Args:
        function: the function.
        reorder: sums may be taken in another order than written (always the same one), which vector loops need.
    """
    if function is None:
        return lambda function: kernel(function, reorder=reorder)
    import numba

    options: dict[str, Any] = {"nogil": True, "fastmath": {"reassoc", "contract"} if reorder else False}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # "cannot cache function: no locator available"
        return numba.njit(**options)(function)
