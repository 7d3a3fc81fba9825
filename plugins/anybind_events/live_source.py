"""The kind `source`: `SourceSpec` and `LiveSource`, events as they happen; other plugins may import it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from anybind.plugin import errors, kinds
from anybind_events.filter import Filters

if TYPE_CHECKING:
    from anybind_events.stream import EventStream

DROPS = OLDEST, NEWEST, BLOCK = "oldest", "newest", "block"
"""What becomes of events that arrive faster than they are used: see `LiveSource.windows`."""


class SourceStalled(errors.BadInput):
    """A live source that has sent nothing for too long."""


@dataclass(frozen=True, kw_only=True)
class SourceSpec(kinds.Spec):
    """A live source of events. Target: a `LiveSource` class, or a function of its options that returns one."""

    kind: ClassVar[str] = "source"


@dataclass(frozen=True)
class SourceCounts:
    """What has arrived from a source so far.

    Attributes:
        events: events that arrived, also those that were dropped.
        dropped: events that were dropped, since the queue was full or they had waited too long.
        queued: events that wait.
        backwards: events whose time was raised to that of the event before.
        jumps: times that the clock jumped, by more than 10 s forward or 1 s back; windows begin anew.
        notes: counts of what the source repaired or dropped, such as `outside`, by name.
    """

    events: int = 0
    dropped: int = 0
    queued: int = 0
    backwards: int = 0
    jumps: int = 0
    notes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class LiveWindow:
    """A window of what a source sends.

    Attributes:
        events: its events, which never change afterwards.
        start_us, end_us: its times, start <= t < end, in microseconds after the first event of the source.
        inactivity: why there is nothing to recognise, `nothing moved` or `no events`; empty otherwise.
        event_rate: events per second of the source's clock.
        arrival_s: when the chunk arrived that completed the window, in seconds of `time.monotonic`.
        counts: what has arrived so far.
    """

    events: EventStream
    start_us: int
    end_us: int
    inactivity: str
    event_rate: float
    arrival_s: float
    counts: SourceCounts


class LiveSource(ABC):
    """A source of events as they happen. Its options are its constructor's arguments; it can be started once."""

    @property
    @abstractmethod
    def settings(self) -> Mapping[str, object]:
        """All options, JSON-like."""

    def prepare(self) -> tuple[int, int] | None:
        """Import, compile and read what `chunks` needs, before it is called: the first chunks then take no longer.

        Returns:
            (width, height) of the sensor in pixels; None if only the data tell.

        Raises:
            BadInput: as `chunks`.
        """
        return None

    @abstractmethod
    def chunks(self) -> Iterator[EventStream]:
        """Yield what the sensor sends, in chunks as they arrive; called in a thread of its own.

        Each chunk is an `EventStream` of the sensor's size, with times on one clock, which goes on from chunk to chunk.
        A chunk without events says that the device works and nothing happened; without any chunk for a while, a source
        counts as stalled. `notes` of a chunk are counts of what was repaired or dropped since the one before.

        Raises:
            BadInput: the device is missing, or sends what cannot be decoded.
        """

    def close(self) -> None:  # noqa: B027 (many sources need none)
        """Release the device, and make a waiting `chunks` return, if possible; called from another thread."""

    def windows(
        self,
        length: str | int | float = "100ms",
        stride: str | int | float = "",
        *,
        queue: str | int | float = "1s",
        drop: str = OLDEST,
        timeout: float = 10.0,
        filters: Filters = (),
        warm_up: Callable[[LiveWindow], object] | None = None,
    ) -> Iterator[LiveWindow]:
        """Divide what the source sends into windows, each as soon as it is complete.

        Windows begin at the first event, then every stride, as those of `EventStream.windows`, so that a recording that
        is replayed gives the same windows; the last one may be shorter. They begin anew where the clock jumps.

        The source starts with the first `next`, after two made-up windows, which are not counted: what runs for the
        first time takes longer.

        Args:
            length: a duration (`"100ms"`, or microseconds) or a number of events (`"5000ev"`).
            stride: from the start of a window to that of the next, in the same unit. [default: the length]
            queue: time that events may wait until they are used: a duration, or microseconds. It also holds at most
                4,194,304 events.
            drop: `oldest`: drop what has waited longest, so that answers stay up to date; `newest`: drop what arrives;
                `block`: drop nothing and let the source wait, for files.
            timeout: seconds without a chunk after which the source counts as stalled; 0 to wait for ever.
            filters: applied to the chunks as they arrive, in the thread of the source, see
                `anybind_events.filter_events`; only with windows of a duration, which unfiltered events determine.
            warm_up: called with the made-up windows, to do what is done with a window of the source.

        Raises:
            BadOption, UnknownName: an invalid option, or no such filter.
            SourceStalled: nothing arrived for `timeout` seconds.
            BadInput: as `chunks`.
        """
        from anybind_events.live.windowing import iterate_windows

        return iterate_windows(self, length, stride, queue, drop, timeout, filters, warm_up)
