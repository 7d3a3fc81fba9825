"""Where training runs, as Lightning Fabric sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anybind.plugin import BadOption

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def make_fabric(precision: str, device: str, *, devices: int = 1, num_nodes: int = 1, strategy: str = "auto") -> Fabric:
    """A Fabric on a device.

    Args:
        precision: as Fabric names it: `32-true`, `bf16-mixed`, ...
        device: as torch names it (`cpu`, `cuda`, `cuda:1`, `mps`), or `auto`.
        devices: processes on each machine; a device with a number has one.
        num_nodes: machines.
        strategy: as Fabric names it: `auto`, `ddp`, ...

    Raises:
        BadOption: there is no such device, precision or strategy here.
    """
    from lightning_fabric import Fabric  # takes a second, which a task that trains nothing would wait for

    kind, _, number = device.partition(":")
    try:
        chosen = [int(number)] if number and kind != "cpu" else devices
        return Fabric(
            accelerator=kind,
            strategy=strategy,
            devices=chosen,
            num_nodes=num_nodes,
            precision=precision,  # pyright: ignore[reportArgumentType]
        )
    except Exception as error:  # Fabric has its own errors for what it does not know or cannot reach
        told = " ".join(str(error).split())[:200]
        raise BadOption(f"cannot train on {device} with the strategy {strategy}: {told}") from error
