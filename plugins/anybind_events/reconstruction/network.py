"""Reconstruction by a network: an ONNX file like E2VID (Rebecq et al., 2019), with or without recurrent states."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from anybind.plugin import BadInput, export
from anybind_events.reconstruction.reconstructor import Reconstructor
from anybind_events.representations.voxel_grid import VoxelGrid
from anybind_events.stream import EventStream

MULTIPLE = 32
"""Sides of images for networks of any size are padded to multiples of this: networks halve them several times."""
DIRECTIONS = {"in", "out", "input", "output", "prev", "previous", "next", "new", "old"}
"""Words in which the names of a state's input and output may differ, as in `state_in_0` and `state_out_0`."""
_FRACTION = re.compile(r"(?:floor\()?\s*(\w+)\s*(?:/+\s*(\d+))?\s*\)?")


class ReconstructionNetwork(Reconstructor):
    """An ONNX network from voxel grids to images.

    Inputs: the voxel grid, (1, bins, height, width) float32, standardised as `VoxelGrid(normalise=True)`; and any
    number of recurrent states. Outputs: the image, (1, 1, height, width) or (1, height, width), in [0, 1], and the new
    states. The input and the output of a state have equal names but for one of the words in, out, input, output, prev,
    previous, next, new or old: `state_in_0` and `state_out_0`. States start with 0.

    Height and width are fixed, or symbolic; a dimension of a state is a number, or a fraction of a symbolic one by its
    name, such as `height/8`. Smaller recordings are padded at the right and bottom with 0.
    """

    def __init__(self, path: str | os.PathLike[str], width: int, height: int) -> None:
        """Load a network for the recordings of a sensor.

        Args:
            path: the ONNX file.
            width, height: size of the sensor.

        Raises:
            BadInput: the file cannot be read, its inputs and outputs are others, or it is for smaller sensors.
            MissingExtra: onnxruntime is not installed.
        """
        self._path, self._size = Path(path), (height, width)
        self._network = export.OnnxNetwork(path)
        inputs, outputs = self._network.shapes
        self._states = self._pair_states(list(inputs), list(outputs))
        self._input = self._find_only("input for events", "4 dimensions (1, bins, height, width)", inputs, 4)
        self._output = self._find_only("output image", "3 or 4 dimensions (1, 1, height, width)", outputs, 3, 4)
        _, bins, *sides = inputs[self._input]
        if not isinstance(bins, int):
            raise BadInput(f"{self._path}: the number of bins of {self._input!r} is not fixed: {bins!r}")
        self._voxels = VoxelGrid(bins=bins, normalise=True)
        self._padded = tuple(self._resolve_side(*pair) for pair in zip(sides, self._size, strict=True))
        symbols = {name: size for name, size in zip(sides, self._padded, strict=True) if isinstance(name, str)}
        self._values = {
            name: np.zeros([self._resolve_dimension(name, *pair, symbols) for pair in enumerate(shape)], np.float32)
            for name, shape in inputs.items()
            if name in self._states
        }

    @property
    def settings(self) -> Mapping[str, object]:
        return {"method": "network", "model": self._path.name, "bins": self._voxels.bins, "states": len(self._states)}

    def reconstruct(self, window: EventStream, end_us: int) -> np.ndarray:
        height, width = self._size
        grid = np.zeros((1, self._voxels.bins, *self._padded), np.float32)
        grid[0, :, :height, :width] = self._voxels(window)
        outputs = self._network.run({self._input: grid, **self._values})
        self._values = {name: outputs[output] for name, output in self._states.items()}
        image = outputs[self._output]
        if image.shape[-2:] != self._padded or image.size != math.prod(self._padded):
            expected = "x".join(map(str, (1, 1, *self._padded)))
            raise BadInput(f"{self._path}: expected an image of {expected}, got {'x'.join(map(str, image.shape))}")
        image = image.reshape(self._padded)[:height, :width]
        return np.clip(np.nan_to_num(image.astype(np.float32)), 0.0, 1.0)

    def _pair_states(self, inputs: list[str], outputs: list[str]) -> dict[str, str]:
        """Return the output of each state by its input."""
        by_name: dict[str, list[str]] = {}
        for name in outputs:
            by_name.setdefault(_strip_direction(name), []).append(name)
        pairs = {name: by_name.get(stripped, []) for name in inputs if (stripped := _strip_direction(name))}
        return {name: matches[0] for name, matches in pairs.items() if len(matches) == 1}

    def _find_only(self, what: str, expected: str, shapes: Mapping[str, tuple], *dimensions: int) -> str:
        states = {*self._states, *self._states.values()}
        names = [name for name, shape in shapes.items() if name not in states and len(shape) in dimensions]
        others = [name for name in shapes if name not in states and name not in names]
        if len(names) != 1 or others:
            ports = ", ".join(f"{name} {list(shapes[name])}" for name in (*names, *others)) or "none"
            raise BadInput(
                f"{self._path}: expected one {what} of {expected} beside the states, which have an input and an output"
                f" of one name but for in and out; got {ports}"
            )
        return names[0]

    def _resolve_side(self, size: int | str | None, sensor: int) -> int:
        if not isinstance(size, int):
            return math.ceil(sensor / MULTIPLE) * MULTIPLE
        if size < sensor:
            height, width = self._size
            raise BadInput(
                f"{self._path}: the network is for sides of {size} pixels, the sensor has {width}x{height}; crop or"
                " rescale the recording"
            )
        return size

    def _resolve_dimension(self, name: str, axis: int, size: int | str | None, symbols: Mapping[str, int]) -> int:
        if isinstance(size, int):
            return size
        if axis == 0:
            return 1  # the batch
        fraction = _FRACTION.fullmatch(size or "")
        if fraction is None or fraction[1] not in symbols:
            names = ", ".join(symbols) or "none"
            raise BadInput(
                f"{self._path}: the size of axis {axis} of the state {name!r} is unknown ({size!r}): expected a number,"
                f" or a fraction of a dimension of the events such as height/8 (named there: {names})"
            )
        return symbols[fraction[1]] // int(fraction[2] or 1)


def _strip_direction(name: str) -> str:
    """Return a name without the words that tell the input of a state from its output."""
    words = [word for word in re.split(r"[^A-Za-z0-9]+", name) if word]
    return "_".join(word for word in words if word.lower() not in DIRECTIONS)
