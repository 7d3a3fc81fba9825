"""Event filters by other packages, for `filters_rate.py`: dv-processing, eventcv and evlab."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import dv_processing as dv
import eventcv
import evlab.filters
import evlab.formats
import numpy as np

from anybind_events.stream import EventStream

SLOW_EVENTS = 100_000
"""Events for evlab, whose loops run in Python."""
Calls = dict[str, tuple[Callable[[], Any], int]]
"""By package: a call, and the number of events that it filters."""


class PeerInputs:
    """A recording in the input format of each peer."""

    def __init__(self, stream: EventStream) -> None:
        """Convert the recording."""
        self.size, self.events = (stream.width, stream.height), len(stream)
        self.dv = make_dv_store(stream)
        columns = (stream.x, stream.y, stream.t, stream.p)
        table = np.stack([column.astype(np.int64) for column in columns], axis=1)
        self.eventcv = eventcv.from_numpy(table, time_unit="us", sensor_size=self.size)
        part = stream.head(SLOW_EVENTS)
        self.evlab_events = len(part)
        records = np.empty(len(part), evlab.formats.EVENT_DTYPE)
        for name in "xytp":
            records[name] = getattr(part, name)
        self.evlab = evlab.formats.EventData(records, *self.size, {})

    def list_calls(self, duration_us: int, period_us: int, region: tuple[int, int, int, int]) -> dict[str, Calls]:
        """Return the calls of the peers by our filter's name."""
        duration = datetime.timedelta(microseconds=duration_us)
        noise = dv.noise
        return {
            "background-activity": {
                "dv-processing": self._run_dv(lambda: noise.BackgroundActivityNoiseFilter(self.size, duration)),
                "eventcv": (lambda: self.eventcv.background_activity_filter(duration_us), self.events),
                "evlab": (
                    lambda: evlab.filters.background_activity_filter(self.evlab, duration_us), self.evlab_events,
                ),
            },
            "refractory": {
                "dv-processing": self._run_dv(lambda: noise.LowPassFilter(self.size, 1e6 / period_us)),
                "eventcv": (lambda: self.eventcv.refractory_filter(period_us), self.events),
                "evlab": (lambda: evlab.filters.refractory_filter(self.evlab, period_us), self.evlab_events),
            },
            "hot-pixel": {"eventcv": (lambda: self.eventcv.hot_pixel_filter(), self.events)},
            "region": {
                "dv-processing": self._run_dv(lambda: dv.EventRegionFilter(region)),
                "eventcv": (lambda: self.eventcv.crop(*region), self.events),
            },
            "polarity": {
                "dv-processing": self._run_dv(lambda: dv.EventPolarityFilter(True)),
                "eventcv": (lambda: self.eventcv.filter_polarity(True), self.events),
            },
        }  # fmt: skip

    def _run_dv(self, create: Callable[[], Any]) -> tuple[Callable[[], Any], int]:
        def run() -> object:
            chosen = create()  # its state is that of one recording
            chosen.accept(self.dv)
            return chosen.generateEvents()

        return run, self.events


def make_dv_store(stream: EventStream) -> Any:
    """Return the events as dv-processing's store."""
    store = dv.EventStore()
    push = store.push_back
    for event in zip(stream.t.tolist(), stream.x.tolist(), stream.y.tolist(), stream.p.tolist(), strict=True):
        push(*event)
    return store


def filter_noise_by_dv(store: Any, size: tuple[int, int], duration_us: int) -> EventStream:
    """Return the events that dv-processing's background activity filter keeps."""
    chosen = dv.noise.BackgroundActivityNoiseFilter(size, datetime.timedelta(microseconds=duration_us))
    chosen.accept(store)
    output = chosen.generateEvents()
    x, y = np.asarray(output.coordinates()).reshape(-1, 2).astype(np.uint16).T
    return EventStream(x, y, np.asarray(output.timestamps()), np.asarray(output.polarities()).astype(bool), *size)
