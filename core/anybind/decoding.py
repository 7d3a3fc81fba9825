"""`DecodingPool`: processes that read and preprocess files, for readers that hold the interpreter lock."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from anybind.errors import BadOption, PluginError
from anybind.item import Item
from anybind.ranks import rebuild_error, serialize_error

if TYPE_CHECKING:
    from anybind.encoder import Encoder

GUARD = 'a script needs `if __name__ == "__main__":`'
MAX_POOLS = 4
"""Number of cached pools: one for each modality of a dataset."""


class DecodingPool:
    """Processes that load one encoder, for its preprocessing.

    They are started, not forked: a forked process hangs in libraries with threads of their own, such as Polars.
    """

    def __init__(self, load_encoder: Callable[[], Encoder], workers: int) -> None:
        """Start no process yet: the first file does."""
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(load_encoder,))

    def prepare(self, item: Item, derive_seed: int | None) -> object:
        """Read and preprocess the file of an item in a process, and wait for it.

        Raises:
            AnybindError: as the reader or the encoder raises it.
            PluginError: a process ended.
        """
        from concurrent.futures.process import BrokenProcessPool

        plain = replace(item, source=Path(os.fspath(item.source)), partners={}, notes={})  # without a reader
        try:
            error, prepared = self._pool.submit(_prepare_item, plain, derive_seed).result()
        except BrokenProcessPool as failure:
            _forget_pool(self)
            raise PluginError(f"a decoding process ended: {GUARD}, and memory must suffice for all") from failure
        if error is not None:
            raise rebuild_error(*error)
        return _to_tensors(prepared)

    def close(self) -> None:
        """End the processes after the files that they read."""
        self._pool.shutdown(wait=False)


_pools: OrderedDict[tuple[bytes, int], DecodingPool] = OrderedDict()
_lock = threading.Lock()


def open_pool(load_encoder: Callable[[], Encoder], workers: int) -> DecodingPool:
    """Return the processes for an encoder; the last few pools are cached, since each start takes seconds.

    Args:
        load_encoder: called in each process; sent there, and a part of the key, so a `partial` of a function.
        workers: number of processes.

    Raises:
        BadOption: the binding holds objects that cannot be sent to a process, or the script has no guard.
    """
    from multiprocessing import process, reduction

    if getattr(process.current_process(), "_inheriting", False):  # as `multiprocessing.spawn` tests it
        raise BadOption(f"processes that decode files cannot start here: {GUARD}")
    try:
        key = bytes(reduction.ForkingPickler.dumps(load_encoder)), workers
    except Exception as error:
        raise BadOption("the binding holds objects that cannot be sent to decoding processes; use threads") from error
    with _lock:
        if key not in _pools:
            _pools[key] = DecodingPool(load_encoder, workers)
        _pools.move_to_end(key)
        while len(_pools) > MAX_POOLS:
            _pools.popitem(last=False)[1].close()
        return _pools[key]


def _forget_pool(pool: DecodingPool) -> None:
    """Start processes again at the next call."""
    with _lock:
        for key in [key for key, each in _pools.items() if each is pool]:
            del _pools[key]


_encoder: Encoder | None = None
"""The encoder of a worker process."""


def _start_worker(load_encoder: Callable[[], Encoder]) -> None:
    """Load the encoder in a worker process, on the CPU and one thread."""
    global _encoder
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the run
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = "1"
    _encoder = load_encoder()
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _end_with_parent() -> None:
    import multiprocessing
    from multiprocessing import connection

    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _prepare_item(item: Item, derive_seed: int | None) -> tuple[tuple[str, str] | None, object]:
    """Return the error of an item, or its encoder input.

    Tensors travel as arrays: torch would send handles of shared memory, of which a process may have too few.
    """
    from anybind.loading import Loader
    from anybind.modality import find_modality

    assert _encoder is not None
    loaded = Loader(find_modality(_encoder.modality), _encoder, derive_seed)((0, item))
    if loaded.error is not None:
        return serialize_error(loaded.error), None
    return None, _to_arrays(loaded.prepared)


@dataclass(frozen=True)
class _Tensor:
    array: np.ndarray


def _to_arrays(value: object) -> object:
    """Replace torch tensors in lists, tuples and dicts by arrays."""
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(map(_to_arrays, value))
    if isinstance(value, dict):
        return {key: _to_arrays(each) for key, each in value.items()}
    if "torch" in sys.modules and isinstance(value, sys.modules["torch"].Tensor):
        return _Tensor(value.numpy())  # pyright: ignore[reportAttributeAccessIssue]
    return value


def _to_tensors(value: object) -> object:
    """Undo `_to_arrays`."""
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(map(_to_tensors, value))
    if isinstance(value, dict):
        return {key: _to_tensors(each) for key, each in value.items()}
    return sys.modules["torch"].from_numpy(value.array) if isinstance(value, _Tensor) else value
