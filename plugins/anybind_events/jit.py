"""`kernel`: compiles loops over events by numba, once a machine where it can keep what it compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled at its first call, without the interpreter's lock.

    What was compiled is kept beside the module, or in the user's cache folder (`NUMBA_CACHE_DIR` names
    another); where neither can be written, it is compiled anew in each process.
    """
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # "cannot cache function: no locator available"
        return numba.njit(nogil=True)(function)
