"""Devices, processes and precision of training, through Lightning Fabric."""

from __future__ import annotations

import ctypes
import sys
from typing import TYPE_CHECKING

import torch

from anybind.plugin import BadOption

if TYPE_CHECKING:
    from lightning_fabric import Fabric

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Parameters of glibc's mallopt."""
KEPT_MEMORY = 1 << 30
"""Bytes of freed memory that a training process keeps for its next step."""


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


def tune_cpu() -> None:
    """Speed up training on the CPU in this process: no denormal numbers, and freed memory is kept for the next step.

    Gradients that vanish become denormal numbers, on which processors are about a hundred times slower. Freed
    activations return to the system by default, and are then cleared page by page at every step. Threads that torch
    started before the call keep denormal numbers.
    """
    torch.set_flush_denormal(True)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:  # glibc's; musl has none
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TOP_PAD, KEPT_MEMORY // 8)
        mallopt(M_TRIM_THRESHOLD, KEPT_MEMORY)
