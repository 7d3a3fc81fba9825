"""Sensor sizes and offsets of times in HDF5 files: attributes and single numbers beside the events."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from anybind.plugin import BadInput

if TYPE_CHECKING:
    import h5py


def parse_size(attributes: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the sensor size from the attributes of the formats."""
    if "width" in attributes and "height" in attributes:
        return int(attributes["width"]), int(attributes["height"])
    if "sensor_resolution" in attributes:
        height, width = np.ravel(attributes["sensor_resolution"])[:2].tolist()
        return int(width), int(height)
    text = attributes.get("geometry", "")
    geometry = re.fullmatch(r"(\d+)x(\d+)", text.decode(errors="replace") if isinstance(text, bytes) else str(text))
    return (int(geometry[1]), int(geometry[2])) if geometry else None


def read_size(group: h5py.Group) -> tuple[int, int] | None:
    """Return the sensor size from datasets beside the events: `width` and `height`, or M3ED's `calib/resolution`."""
    names = ("calib/resolution",) if "calib/resolution" in group else ("width", "height")
    if not all(name in group and cast(type, group.get(name, getclass=True)).__name__ == "Dataset" for name in names):
        return None
    numbers = np.concatenate([np.ravel(cast("h5py.Dataset", group[name])[()]) for name in names])
    return (int(numbers[0]), int(numbers[1])) if numbers.size == 2 and numbers.dtype.kind in "iu" else None


def read_offset(dataset: h5py.Dataset) -> int:
    """Return an offset of times in microseconds; raise `BadInput` for a fraction, which is in another unit."""
    offset = np.ravel(dataset[()])[0]
    if offset != int(offset):
        raise BadInput(f"t_offset: expected whole microseconds, got {offset}")
    return int(offset)
