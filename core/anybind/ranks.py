"""Several processes as one: what `torchrun` starts, its ranks, share the work and agree on what came of it.

Each process that `torchrun` starts has a rank from 0 and knows the world size, how many there are. Without it there is
one process, of rank 0, and everything here does nothing. Values go between ranks as JSON or as numbers, so that none
of them unpickles what another one sent.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import numpy as np

from anybind import errors
from anybind.errors import AnybindError, BadInput, BadOption

T = TypeVar("T")
_single_process: ContextVar[bool] = ContextVar("_alone", default=False)


def _get_distributed() -> Any:
    """The module torch.distributed where several processes are at work together; torch is not imported to see that."""
    dist = sys.modules.get("torch.distributed")
    if _single_process.get() or dist is None or not dist.is_available() or not dist.is_initialized():
        return None
    return dist if dist.get_world_size() > 1 else None


def get_rank() -> int:
    """Number of this process among those that work together, from 0; 0 when it is alone."""
    dist = _get_distributed()
    return 0 if dist is None else dist.get_rank()


def get_world_size() -> int:
    """How many processes work together; 1 when this one is alone."""
    dist = _get_distributed()
    return 1 if dist is None else dist.get_world_size()


def join(device: str = "cpu") -> bool:
    """Join the other processes that `torchrun` started, unless that is done or there are none.

    Args:
        device: where towers will run. `cuda` becomes the GPU of this process's number on its machine, and ranks talk
            by NCCL; by Gloo on any other.

    Returns:
        whether it did; then `stop` leaves them again.

    Raises:
        BadInput: the others cannot be reached.
        BadOption: there are fewer GPUs than processes on this machine.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or "RANK" not in os.environ:
        return False
    import torch

    dist = torch.distributed
    if not dist.is_available() or dist.is_initialized():
        return False
    on_cuda = device.partition(":")[0] == "cuda"
    try:
        if on_cuda:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("nccl" if on_cuda else "gloo")
    except (RuntimeError, ValueError, AssertionError) as error:  # torch raises each of them
        message = " ".join(str(error).split())[:160]
        if on_cuda and not dist.is_initialized():
            raise BadOption(f"each process of torchrun needs a GPU of its own: {message}") from error
        raise BadInput(f"cannot join the other processes of torchrun: {message}") from error
    return True


def leave() -> None:
    """Leave the processes that `start` joined."""
    dist = sys.modules.get("torch.distributed")
    if dist is not None and dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


@contextmanager
def single_process() -> Iterator[None]:
    """A context in which this process shares nothing with the others, for what only some of them do."""
    token = _single_process.set(True)
    try:
        yield
    finally:
        _single_process.reset(token)


def gather(value: object) -> list[Any]:
    """What each rank gave, by rank, on all of them, once all have given it; JSON-like: tuples come back as lists."""
    return [json.loads(each) for each in _gather_bytes(json.dumps(value).encode())]


def gather_rows(rows: np.ndarray) -> list[np.ndarray]:
    """The (n, d) float32 rows that each rank gave, by rank, on all of them; n may differ, d may not."""
    own = np.ascontiguousarray(rows, np.float32)
    return [np.frombuffer(each, np.float32).reshape(-1, own.shape[1]) for each in _gather_bytes(own.tobytes())]


def broadcast(value: object) -> Any:
    """What rank 0 gave, on all ranks; JSON-like, so tuples come back as lists. What the others give is not used."""
    return gather(value if get_rank() == 0 else None)[0]


def run_collectively(work: Callable[[], T]) -> T:
    """Do this rank's part of a work; an error of any rank is raised on all, so that none waits for one that has failed.

    Nothing in the work may wait for the other ranks.

    Raises:
        AnybindError, RuntimeError: the error of the first rank that has one: its own there, and on the others one of
            the same message.
    """
    result: Any = None
    failure: Exception | None = None
    try:
        result = work()
    except Exception as error:
        failure = error
    failures = gather(None if failure is None else serialize_error(failure))
    for number, each in enumerate(failures):
        if each is not None:
            raise (failure if failure is not None and number == get_rank() else rebuild_error(*each))
    return result


def serialize_error(error: Exception) -> tuple[str, str]:
    """An error as kind and message, for the other ranks."""
    return type(error).__name__, str(error) or type(error).__name__


def rebuild_error(kind: str, message: str) -> Exception:
    """An error that another rank described: of its own kind where that is one of anybind's."""
    error_class = getattr(errors, kind, None)
    if isinstance(error_class, type) and issubclass(error_class, AnybindError):
        return error_class(message)
    return RuntimeError(message)


def _gather_bytes(data: bytes) -> list[bytes]:
    dist = _get_distributed()
    if dist is None:
        return [data]
    torch = sys.modules["torch"]
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    length = torch.tensor([len(data)], dtype=torch.int64, device=device)
    lengths = [torch.zeros_like(length) for _ in range(dist.get_world_size())]
    dist.all_gather(lengths, length)
    counts = [int(each.item()) for each in lengths]
    # All of one length, as all_gather wants them.
    own = torch.zeros(max(1, *counts), dtype=torch.uint8, device=device)
    own[: len(data)] = torch.from_numpy(np.frombuffer(bytearray(data), np.uint8)).to(device)
    received = [torch.empty_like(own) for _ in counts]
    dist.all_gather(received, own)
    return [each[:count].cpu().numpy().tobytes() for each, count in zip(received, counts, strict=True)]
