"""Event representations by other packages, for `events_rate.py`: tonic and evlib."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from anybind_events.stream import EventStream

if TYPE_CHECKING:
    import polars

BINS, TAU = 5, 50_000
"""Bins of voxel grids, and time constant of time surfaces in microseconds."""
Calls = dict[str, Callable[[], Any]]


@dataclass(frozen=True)
class PeerInputs:
    """A recording in the input format of each peer."""

    size: tuple[int, int]
    duration: int
    start: int
    tonic: np.ndarray
    evlib: polars.DataFrame

    @classmethod
    def convert(cls, stream: EventStream) -> PeerInputs:
        """Convert a recording."""
        import polars

        records = np.empty(len(stream), dtype=[("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "i1")])
        for name in "xytp":
            records[name] = getattr(stream, name)
        frame = polars.DataFrame(
            {
                "x": stream.x.astype(np.int16),
                "y": stream.y.astype(np.int16),
                "t": polars.Series(stream.t).cast(polars.Duration("us")),
                "polarity": stream.p.astype(np.int8),
            }
        )
        return cls((stream.width, stream.height), stream.duration_us, int(stream.t[0]), records, frame)

    def list_calls(self) -> dict[str, Calls]:
        """Return the call of each peer for each output.

        A count over both polarities is the sum of the peers' counts, which is not timed. Tonic and evlib drop events at
        the very end of a time window, and spread voxels over 0 to bins instead of 0 to bins - 1. Faery renders images
        of decays, and returns no arrays.
        """
        import evlib.representations as evlib
        import tonic.transforms

        width, height = self.size
        sensor = (width, height, 2)
        shape: dict[str, Any] = {"height": height, "width": width}
        window: dict[str, Any] = {"dt": float(self.duration), "tau": float(TAU)}
        slots: dict[str, Any] = {"n_slices": 1, "n_polarities": 2, "start_t": float(self.start)}
        image = tonic.transforms.ToImage(sensor)
        voxels = tonic.transforms.ToVoxelGrid(sensor, BINS)
        surface = tonic.transforms.ToTimesurface(sensor, dt=self.duration, tau=TAU)

        def make_evlib_frame() -> np.ndarray:
            counts = evlib.create_event_frame(self.evlib, n_time_bins=1, **shape)
            return evlib.densify_event_frame(counts, n_time_bins=1, n_polarities=2, **shape)

        def make_evlib_voxels() -> np.ndarray:
            grid = evlib.create_voxel_grid(self.evlib, n_time_bins=BINS, **shape)
            return evlib.densify_voxel_grid(grid, n_time_bins=BINS, **shape)

        def make_evlib_surface() -> np.ndarray:
            last = evlib.create_time_surface(self.evlib, **window, **shape)
            return evlib.densify_time_surface(last, **slots, **window, **shape)

        return {
            "counts": {"tonic": lambda: image(self.tonic), "evlib": make_evlib_frame},
            "voxels": {"tonic": lambda: voxels(self.tonic), "evlib": make_evlib_voxels},
            "surface": {"tonic": lambda: surface(self.tonic), "evlib": make_evlib_surface},
        }


def check_counts(frame: np.ndarray, histogram: np.ndarray, peers: PeerInputs) -> None:
    """Check that our counts equal tonic's."""
    counts = peers.list_calls()["counts"]["tonic"]()
    total = counts.sum(axis=0)
    assert np.array_equal(histogram, counts)
    assert np.allclose(frame[0], total / (total.max() + 1))
