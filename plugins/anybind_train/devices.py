"""Where training runs, as Lightning Fabric sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anybind.plugin import BadOption

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def make_fabric(precision: str, device: str, **options: Any) -> Fabric:
    """A Fabric on a device.

    Args:
        precision: as Fabric names it: `32-true`, `bf16-mixed`, ...
        device: as torch names it (`cpu`, `cuda`, `cuda:1`, `mps`), or `auto`.
        options: of Fabric: `devices`, which a device with a number has no use for, `num_nodes`, `strategy`.

    Raises:
        BadOption: there is no such device, precision or strategy here.
    """
    from lightning_fabric import Fabric  # takes a second, which a task that trains nothing would wait for

    kind, _, number = device.partition(":")
    try:
        chosen = {"devices": 1} | options | ({"devices": [int(number)]} if number and kind != "cpu" else {})
        return Fabric(accelerator=kind, precision=precision, **chosen)  # pyright: ignore[reportArgumentType]
    except Exception as error:  # Fabric has its own errors for what it does not know or cannot reach
        told = " ".join(str(error).split())[:200]
        raise BadOption(f"cannot train on {device} with {options.get('strategy', 'one process')}: {told}") from error
