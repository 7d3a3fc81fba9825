"""`prefetch`: applies a function to items in worker threads, ahead of their use, with results in order."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from anybind import memory

A = TypeVar("A")
B = TypeVar("B")


def prefetch(
    function: Callable[[A], B],
    items: Iterable[A],
    *,
    workers: int | None = None,
    queue_size: int = 64,
    compute_inline: Callable[[A], B | None] | None = None,
) -> Generator[B]:
    """Apply a function to items in worker threads and yield the results in the order of the items.

    Functions that decode files share a budget of memory: see `anybind.memory`.

    An error of the function or the iterable is raised in place of its result, after all earlier results, and waits for
    running calls. Closing the generator cancels waiting calls; it does not wait for running ones.

    Args:
        function: called in worker threads, for several items at a time.
        items: iterated in the calling thread: `queue_size` items at the start, then one for each result.
        workers: number of threads. [default: the number of CPU cores, at most 8]
        queue_size: number of items in the queue, at least 1.
        compute_inline: called in the calling thread before an item is submitted to a worker; a result that is not None
            replaces the function's, for items that take less time than a thread switch.
    """
    source = iter(items)
    # An item's own worker threads are not accounted: they could wait for the memory that their item holds.
    is_nested = memory.is_accounted()

    def call(item: A) -> B:
        if is_nested:
            return function(item)
        with memory.account_item():
            return function(item)

    queue: deque[Future[B] | tuple[B]] = deque()
    pool = ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1))

    def submit_next() -> None:
        nonlocal source
        try:
            item = next(source)
            result = None if compute_inline is None else compute_inline(item)
        except StopIteration:
            return
        except Exception as error:
            failed: Future[B] = Future()
            failed.set_exception(error)
            queue.append(failed)
            source = iter(())
        else:
            queue.append(pool.submit(call, item) if result is None else (result,))

    # The garbage collector may close an abandoned generator at any moment, also while its thread holds the lock that
    # joining a thread needs (`threading._shutdown_locks_lock`): what closes it must not wait.
    is_closed, is_ending = False, sys.is_finalizing  # at the interpreter's end the names of modules are gone
    try:
        for _ in range(queue_size):
            submit_next()
        while queue:
            future = queue.popleft()
            submit_next()
            yield future[0] if isinstance(future, tuple) else future.result()
    except GeneratorExit:
        is_closed = True
        raise
    finally:
        if not is_ending():  # then the interpreter has joined the threads
            pool.shutdown(wait=not is_closed, cancel_futures=True)
