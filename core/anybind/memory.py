"""A memory budget of the worker threads of `prefetch`: readers reserve the bytes of a sample before decoding it."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from anybind.errors import BadOption

DEFAULT_MB = 512
VARIABLE = "ANYBIND_MEMORY_BUDGET"
"""Environment variable of the budget in MiB."""


class MemoryBudget:
    """A budget of bytes shared by threads. A reservation beyond the whole budget is granted when nothing else is.

    Attributes:
        limit: the budget in bytes.
        used: bytes of granted reservations.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.used = limit, 0
        self._waiting: deque[object] = deque()  # first come, first served: a large item does not wait for ever
        self._changed = threading.Condition()

    def acquire(self, n_bytes: int, wait: bool = True) -> None:
        """Reserve bytes, after waiting until they fit; without `wait`, at once."""
        ticket = object()
        with self._changed:
            if wait:
                self._waiting.append(ticket)
                self._changed.wait_for(lambda: self._waiting[0] is ticket and self._fits(n_bytes))
                self._waiting.popleft()
            self.used += n_bytes
            self._changed.notify_all()

    def release(self, n_bytes: int) -> None:
        """Return reserved bytes."""
        with self._changed:
            self.used -= n_bytes
            self._changed.notify_all()

    def _fits(self, n_bytes: int) -> bool:
        return not self.used or self.used + n_bytes <= self.limit


class _ItemReservation(threading.local):
    """The bytes that the item of this thread holds; None outside of `account_item`."""

    n_bytes: int | None = None


_item = _ItemReservation()
_lock = threading.Lock()
_budget: MemoryBudget | None = None


def get_budget() -> MemoryBudget:
    """Return this process's budget: 512 MiB, or the MiB in `$ANYBIND_MEMORY_BUDGET`.

    Raises:
        BadOption: the variable is not a positive integer.
    """
    global _budget
    with _lock:
        if _budget is None:
            value = os.environ.get(VARIABLE) or str(DEFAULT_MB)
            if not value.isdecimal() or int(value) < 1:
                raise BadOption(f"{VARIABLE}: expected MiB, an integer of at least 1, got {value!r}")
            _budget = MemoryBudget(int(value) << 20)
        return _budget


def reserve_memory(n_bytes: int) -> None:
    """Reserve bytes for the sample that a worker thread of `prefetch` is about to decode.

    Waits while samples of other threads fill the budget; the reservation ends with the call of the worker's function.
    Readers call this once, when they have read the header. Outside of such threads nothing is reserved.
    """
    if _item.n_bytes is None:
        return
    # An item that already holds memory must not wait: two such items would wait for each other.
    get_budget().acquire(n_bytes, wait=not _item.n_bytes)
    _item.n_bytes += n_bytes


def is_accounted() -> bool:
    """Return whether the current thread runs an item whose reservations are accounted."""
    return _item.n_bytes is not None


@contextmanager
def account_item() -> Iterator[None]:
    """Account the reservations of the current thread inside the block to one item, and return them at its end."""
    _item.n_bytes = 0
    try:
        yield
    finally:
        reserved, _item.n_bytes = _item.n_bytes, None
        if reserved:
            get_budget().release(reserved)
