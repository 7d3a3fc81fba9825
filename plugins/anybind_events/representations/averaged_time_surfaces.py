"""HATS: histograms of averaged time surfaces (Sironi et al., 2018)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from anybind.plugin import BadOption, kernel
from anybind_events.representations.frames import EventFrames, check_minimum, check_positive
from anybind_events.stream import EventStream


@dataclass(frozen=True)
class AveragedTimeSurfaces(EventFrames):
    """Time surfaces of the events of each cell of `cell` x `cell` pixels, averaged over the events of the cell.

    The surface of event i, at offset z of at most `radius` pixels in x and y, sums over the earlier events j of the
    same cell and polarity at the pixel of i plus z (Sironi et al., 2018):

        T_i(z, q) = sum_j exp(-(t_i - t_j) / tau)  if q is the polarity of i, else 0,   t_i - window <= t_j < t_i
        h_C(z, q) = 1 / |C| sum_{i in C} T_i(z, q),  |C| the number of events of cell C, OFF and ON

    The array has a patch of (2 radius + 1)^2 values for each cell, in the place of the cell; channel 0 is OFF, 1 ON.
    Values are 0 or more; with `gray`, in [0, 1]. Cells at the right and the lower border may be smaller. A call also
    uses 32 bytes a pixel, and time in proportion to the events times (2 radius + 1)^2.

    Attributes:
        cell: K, the side of a cell in pixels.
        radius: R, the largest offset in pixels.
        tau: time constant in microseconds.
        window: age in microseconds above which an event has no effect; None for no limit.
        gray: one channel, the sum of OFF and ON over its largest value, which an image encoder accepts.
    """

    name: ClassVar[str] = "hats"
    cell: int = 10
    radius: int = 3
    tau: float = 100_000.0
    window: float | None = None
    gray: bool = False

    def __post_init__(self) -> None:
        check_minimum(1, "cell", self.cell)
        check_minimum(0, "radius", self.radius)
        object.__setattr__(self, "tau", check_positive("tau", self.tau))
        if self.window is not None:
            object.__setattr__(self, "window", check_positive("window", self.window))
        if not isinstance(self.gray, bool):
            raise BadOption(f"gray: expected true or false, got {self.gray!r}")

    def compute_shape(self, width: int, height: int) -> tuple[int, int, int]:
        side = 2 * self.radius + 1
        rows, columns = -(-height // self.cell), -(-width // self.cell)
        return 1 if self.gray else 2, rows * side, columns * side

    def fill_frame(self, stream: EventStream, frame: np.ndarray) -> None:
        window = math.inf if self.window is None else self.window
        add_surfaces(
            stream.x, stream.y, stream.t, stream.p, stream.width, stream.height, self.cell, self.radius, self.tau,
            window, frame,
        )  # fmt: skip
        if self.gray and (largest := frame.max()) > 0:
            frame /= largest


@kernel
def add_surfaces(
    x: np.ndarray,
    y: np.ndarray,
    t: np.ndarray,
    p: np.ndarray,
    width: int,
    height: int,
    cell: int,
    radius: int,
    tau: float,
    window: float,
    frame: np.ndarray,
) -> None:
    """Add the averaged surfaces to a frame of zeros, (1 or 2, rows * side, columns * side).

    Each pixel has the decayed sum of its events, and the time that the sum is of. Events enter it when time has
    advanced, and leave it at the end of the window.
    """
    side = 2 * radius + 1
    sums = np.zeros((2, height, width))
    times = np.zeros((2, height, width), np.int64)
    counts = np.zeros((frame.shape[1] // side, frame.shape[2] // side), np.int64)
    entering, leaving = 0, 0
    for i in range(len(t)):
        now = t[i]
        while t[entering] < now:
            q, row, column = int(p[entering]), y[entering], x[entering]
            decay = math.exp(-(t[entering] - times[q, row, column]) / tau)
            sums[q, row, column] = sums[q, row, column] * decay + 1.0
            times[q, row, column] = t[entering]
            entering += 1
        while t[leaving] < now - window:
            q, row, column = int(p[leaving]), y[leaving], x[leaving]
            sums[q, row, column] -= math.exp(-(times[q, row, column] - t[leaving]) / tau)
            leaving += 1
        q, row, column = int(p[i]), int(y[i]), int(x[i])
        top, left = row // cell * cell, column // cell * cell
        counts[row // cell, column // cell] += 1
        channel = q if frame.shape[0] == 2 else 0
        for v in range(max(row - radius, top), min(row + radius + 1, top + cell, height)):
            for u in range(max(column - radius, left), min(column + radius + 1, left + cell, width)):
                if sums[q, v, u] > 0:
                    value = sums[q, v, u] * math.exp(-(now - times[q, v, u]) / tau)
                    place = row // cell * side + v - row + radius, column // cell * side + u - column + radius
                    frame[channel, place[0], place[1]] += np.float32(value)
    for channel in range(frame.shape[0]):
        for v in range(frame.shape[1]):
            for u in range(frame.shape[2]):
                if counts[v // side, u // side]:
                    frame[channel, v, u] /= np.float32(counts[v // side, u // side])
