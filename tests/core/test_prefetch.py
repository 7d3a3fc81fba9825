"""Prefetching: order, queue size, errors, cancellation."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time

import pytest

from anybind.prefetch import prefetch


def test_results_are_in_order_and_the_queue_has_its_size():
    taken, results = [], []

    def items():
        for number in range(40):
            taken.append(number)
            yield number

    def work(number):
        time.sleep(0.001 * (number % 3))
        return number * number

    for result in prefetch(work, items(), workers=4, queue_size=5):
        results.append(result)
        assert len(taken) <= len(results) + 5
    assert results == [number * number for number in range(40)]


def test_an_error_of_the_function_is_raised_at_its_item():
    def work(number):
        if number == 3:
            raise KeyError(number)
        return number

    coming = prefetch(work, range(10), workers=2, queue_size=4)
    assert [next(coming) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError):
        next(coming)


def test_an_error_of_the_iterable_is_raised_after_the_results_before_it():
    def items():
        yield from range(3)
        raise KeyError("the source ended")

    results = []
    with pytest.raises(KeyError):
        results.extend(prefetch(str, items(), workers=2, queue_size=10))
    assert results == ["0", "1", "2"]


def test_closing_cancels_waiting_calls():
    begun, gate = [], threading.Event()

    def work(number):
        begun.append(number)
        gate.wait(5)
        return number

    coming = prefetch(
        work, range(100), workers=2, queue_size=20, compute_inline=lambda number: number if number == 0 else None
    )
    assert next(coming) == 0
    gate.set()
    coming.close()
    assert len(begun) < 20


def test_inline_results_use_no_thread():
    threads = set()

    def work(number):
        threads.add(threading.current_thread())
        return number

    results = prefetch(
        work, range(9), workers=2, queue_size=3, compute_inline=lambda number: None if number % 3 else -number
    )
    assert list(results) == [0, 1, 2, -3, 4, 5, -6, 7, 8]
    assert threading.main_thread() not in threads


def test_an_endless_iterable_is_iterated_lazily_and_its_threads_end_after_closing():
    before = set(threading.enumerate())
    coming = prefetch(str, itertools.count(), workers=2, queue_size=4)
    assert [next(coming) for _ in range(5)] == list("01234")
    threads = set(threading.enumerate()) - before
    coming.close()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_an_error_waits_for_running_calls():
    before = set(threading.enumerate())

    def work(number):
        if number == 0:
            raise KeyError(number)
        time.sleep(0.05)

    with pytest.raises(KeyError):
        list(prefetch(work, range(3), workers=3, queue_size=3))
    assert set(threading.enumerate()) <= before


def test_closing_does_not_wait():
    # The garbage collector closes what was abandoned, also in the moments in which a wait would never end.
    running, gate = threading.Event(), threading.Event()

    def work(number):
        running.set()
        return gate.wait(60)

    coming = prefetch(
        work, range(9), workers=1, queue_size=2, compute_inline=lambda number: True if not number else None
    )
    assert next(coming)
    assert running.wait(60)
    closer = threading.Thread(target=coming.close)
    closer.start()
    closer.join(30)
    still_waits = closer.is_alive()
    gate.set()
    assert not still_waits


def test_an_abandoned_generator_is_collected_while_the_lock_of_joins_is_held():
    script = """
import gc, threading
from anybind.prefetch import prefetch

def abandon():
    coming = prefetch(str, range(100), workers=2, queue_size=4)
    next(coming)
    cycle = [coming]
    cycle.append(cycle)

gc.disable()
abandon()
lock = getattr(threading, "_shutdown_locks_lock", threading.Lock())  # Python 3.11 and 3.12
with lock:
    gc.collect()
print("collected")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout == "collected\n", done.stderr
