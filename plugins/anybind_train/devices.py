"""Devices, processes and precision of training, through Lightning Fabric."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from anybind.plugin import BadInput, BadOption, loops

if TYPE_CHECKING:
    from lightning_fabric import Fabric

LOST_PROCESS = re.compile(r"closed by peer|reset by peer|remote process exited")
"""Messages of gloo and NCCL in a process that waits for one that has ended."""


def make_fabric(precision: str, device: str, *, devices: int = 1, num_nodes: int = 1, strategy: str = "auto") -> Fabric:
    """Make a Fabric.

    Args:
        precision: a precision of Fabric: `32-true`, `bf16-mixed`, ...
        device: torch device (`cpu`, `cuda`, `cuda:1`, `mps`), or `auto`.
        devices: processes on each machine, one a device; a device with an index has one.
        num_nodes: machines.
        strategy: a strategy of Fabric: `auto`, `ddp`, ...

    Raises:
        BadOption: the device, the precision or the strategy is not available.
    """
    from lightning_fabric import Fabric  # takes a second, which tasks without training need not wait for

    accelerator, _, index = device.partition(":")
    try:
        return Fabric(
            accelerator=accelerator,
            strategy=strategy,
            devices=[int(index)] if index and accelerator != "cpu" else devices,
            num_nodes=num_nodes,
            precision=precision,  # pyright: ignore[reportArgumentType]
        )
    except Exception as error:  # Fabric has errors of its own for unknown names and missing devices
        reason = " ".join(str(error).split())[:200]
        raise BadOption(f"cannot train on {device} (strategy {strategy}, {precision}): {reason}") from error


@contextmanager
def explain_lost_process() -> Iterator[None]:
    """Raise `BadInput` where another process of the run has ended, with the error that says why."""
    try:
        yield
    except RuntimeError as error:
        if not LOST_PROCESS.search(str(error)):
            raise
        raise BadInput("another process of the run has ended: see its error") from error


@contextmanager
def tuned_cpu(optimiser: torch.optim.Optimizer) -> Iterator[None]:
    """Speed up training on the CPU inside the block: no denormal numbers; freed memory is kept for the next step.

    Gradients that vanish become denormal numbers, on which processors are about a hundred times slower. Freed
    activations return to the system by default, and are then cleared page by page at every step. Threads that torch
    started before the block keep denormal numbers.

    Batches of recordings differ in their number of windows, so memory is limited after each step of the optimiser.
    """
    flushed_before = float(torch.tensor(1e-39) * 0.5) == 0
    with loops.keep_freed_memory() as limit_memory:
        torch.set_flush_denormal(True)
        hook = optimiser.register_step_post_hook(lambda *_: limit_memory())
        try:
            yield
        finally:
            hook.remove()
            torch.set_flush_denormal(flushed_before)
