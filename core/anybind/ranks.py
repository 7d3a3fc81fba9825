"""Collective operations of the processes that `torchrun` starts.

Each process has a rank from 0, and the world size is their number. Without `torchrun` there is one process, of rank 0,
and the functions do nothing. Values are exchanged as JSON or as arrays, so that no rank unpickles data of another.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from anybind import errors
from anybind.errors import AnybindError, BadInput, BadOption

T = TypeVar("T")
_single_process: ContextVar[bool] = ContextVar("_alone", default=False)


def _get_distributed() -> ModuleType | None:
    """Return the module torch.distributed if there are several processes, else None, without importing torch."""
    dist = sys.modules.get("torch.distributed")
    if _single_process.get() or dist is None or not dist.is_available() or not dist.is_initialized():
        return None
    return dist if dist.get_world_size() > 1 else None


def get_rank() -> int:
    """Return the rank of this process; 0 for a single process."""
    dist = _get_distributed()
    return 0 if dist is None else dist.get_rank()


def get_world_size() -> int:
    """Return the number of processes; 1 for a single process."""
    dist = _get_distributed()
    return 1 if dist is None else dist.get_world_size()


def join(device: str = "cpu") -> bool:
    """Join the process group of `torchrun`, unless this process has joined or is a single process.

    Args:
        device: torch device of the encoders. With `cuda`, the process uses the GPU of its local rank, and the group
            uses NCCL; with any other device, Gloo.

    Returns:
        whether this call joined the group; `leave` leaves it.

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
    """Leave the process group that `join` joined."""
    dist = sys.modules.get("torch.distributed")
    if dist is not None and dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


@contextmanager
def single_process() -> Iterator[None]:
    """Treat this process as a single process inside the block, for work of some ranks only."""
    token = _single_process.set(True)
    try:
        yield
    finally:
        _single_process.reset(token)


def gather(value: object) -> list[Any]:
    """Gather a JSON-like value of each rank on all ranks, by rank; tuples become lists."""
    return [json.loads(each) for each in _gather_bytes(json.dumps(value).encode())]


def gather_rows(rows: np.ndarray) -> list[np.ndarray]:
    """Gather the (n, d) float32 rows of each rank on all ranks, by rank; n may differ, d may not."""
    own = np.ascontiguousarray(rows, np.float32)
    return [np.frombuffer(each, np.float32).reshape(-1, own.shape[1]) for each in _gather_bytes(own.tobytes())]


def broadcast(value: object) -> Any:
    """Return the JSON-like value of rank 0 on all ranks; tuples become lists. Values of other ranks are ignored."""
    return gather(value if get_rank() == 0 else None)[0]


def run_collectively(work: Callable[[], T]) -> T:
    """Run a function on every rank; an error of any rank is raised on all, so that no rank waits for a failed one.

    The function must not wait for other ranks.

    Raises:
        AnybindError, RuntimeError: the error of the first failed rank: the original there, and on other ranks one with
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
    """Convert an error to its class name and message, for other ranks."""
    return type(error).__name__, str(error) or type(error).__name__


def rebuild_error(kind: str, message: str) -> Exception:
    """Create an error from a class name and message of another rank: an `AnybindError` or a `RuntimeError`."""
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
    # all_gather needs tensors of one length.
    own = torch.zeros(max(1, *counts), dtype=torch.uint8, device=device)
    own[: len(data)] = torch.from_numpy(np.frombuffer(bytearray(data), np.uint8)).to(device)
    received = [torch.empty_like(own) for _ in counts]
    dist.all_gather(received, own)
    return [each[:count].cpu().numpy().tobytes() for each, count in zip(received, counts, strict=True)]
