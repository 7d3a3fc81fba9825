"""Event counts on white, cropped to what moves: the frames of `mini`'s event encoder."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np

from anybind.plugin import BadOption, Representation
from anybind_events.representations.activity import (
    Box,
    count_window_events,
    find_active_box,
    find_dense_window,
)
from anybind_events.representations.frames import (
    allocate_frames,
    check_cells,
    check_positive,
    compute_nonzero_percentile,
)
from anybind_events.representations.kernels import count_inside, count_polarities, draw_counts_on_white
from anybind_events.stream import EventStream

MIN_PART_US = 75_000
"""Mean duration of the parts of a divided recording, at least; a window of 100 ms stays whole."""


@dataclass(frozen=True)
class CountImage(Representation):
    """ON, total and OFF counts on white, (3, height, width) float32 in [0, 1]: 1 - min(count / limit, 1).

    Counts keep edges sharp where a reconstruction blurs them, and a threshold of contrast scales all of them alike. The
    limit is a percentile of the total counts of active pixels. By default the frame is the square region of activity,
    whose sides depend on the recording, and of a long recording only the densest window is counted: over more events
    per pixel a moving edge becomes an area. A recording without events is all 1.

    Attributes:
        percentile: of the counts of pixels with events, above 0 and at most 100.
        crop: crop to the region of activity, see `find_active_box`.
        margin: width added on each side of that region, as a fraction of its side.
        density: events of the window per pixel of that region, above 0; None for the whole recording.
    """

    percentile: float = 90.0
    crop: bool = True
    margin: float = 0.1
    density: float | None = 0.9
    name: ClassVar[str] = "count-image"

    def __post_init__(self) -> None:
        object.__setattr__(self, "percentile", check_positive("percentile", self.percentile, 100.0))
        if not isinstance(self.crop, bool):
            raise BadOption(f"crop: expected true or false, got {self.crop!r}")
        if not isinstance(self.margin, int | float) or not 0 <= self.margin <= 1:
            raise BadOption(f"margin: expected a number from 0 to 1, got {self.margin!r}")
        if self.density is not None:
            object.__setattr__(self, "density", check_positive("density", self.density))

    @property
    def settings(self) -> Mapping[str, object]:
        return {"representation": self.name, **asdict(self)}

    def find_region(self, sample: EventStream) -> tuple[float, float, float, float]:
        box, width, height = self._find_box(sample), sample.width, sample.height
        return box.left / width, box.top / height, (box.left + box.width) / width, (box.top + box.height) / height

    def _find_box(self, sample: EventStream) -> Box:
        check_cells(3, sample.height, sample.width)
        return find_active_box(sample, self.margin) if self.crop else Box(0, 0, sample.width, sample.height)

    def draw_windows(self, sample: EventStream, limit: int) -> list[np.ndarray]:
        """Draw the densest window of each of at most `limit` parts with equally many events.

        There are no more parts than windows of that density, and none shorter than 75 ms on average: in less time, what
        moves moves in one direction, and another part of it shows no other edges.
        """
        box = self._find_box(sample)
        if self.density is None:
            return [self._draw(sample, box)]
        duration_us = int(sample.t[-1] - sample.t[0]) if len(sample) else 0
        n_dense = int(count_inside(sample.x, sample.y, *box) / count_window_events(box, self.density))
        n_parts = max(1, min(limit, n_dense, duration_us // MIN_PART_US))
        edges = np.linspace(0, len(sample), n_parts + 1).astype(np.int64).tolist()
        return [self._draw(sample.slice_events(*part), box) for part in itertools.pairwise(edges)]

    def __call__(self, sample: EventStream) -> np.ndarray:
        """Draw the counts of a recording."""
        return self._draw(sample, self._find_box(sample))

    def _draw(self, sample: EventStream, box: Box) -> np.ndarray:
        """Draw the counts of the densest window inside a box."""
        if self.density is not None:
            first, last = find_dense_window(sample, box, self.density)
            sample = sample.slice_events(first, last)
        counts = np.zeros(2 * sample.width * sample.height, np.uint32)
        low = np.zeros(counts.size, np.uint8)
        count_polarities(sample.x, sample.y, sample.p, sample.width, counts, low)
        planes = box.cut(counts.reshape(2, sample.height, sample.width))
        limit = compute_nonzero_percentile(np.ascontiguousarray(planes.sum(axis=0, dtype=np.uint32)), self.percentile)
        frame = allocate_frames((3, *planes.shape[1:]))
        draw_counts_on_white(planes, max(limit, 1.0), frame)
        return frame
