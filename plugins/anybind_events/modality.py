"""The modality `event`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Sized

import numpy as np

from anybind.plugin import BadInput, BadOption, Modality, samples, windows
from anybind_events.augmentation import EventAugmentation
from anybind_events.filter import filter_events
from anybind_events.interchange import from_structured, is_structured
from anybind_events.stream import EventStream, concatenate_streams
from anybind_events.time_range import select_times
from anybind_events.windows import LONG_US, crop_region, divide_stream


class Event(Modality[EventStream]):
    """The modality of event-camera recordings: `EventStream` samples with at least one event.

    Structured arrays with the fields x, y, t, p are accepted too; their sensor size is the smallest common one that
    contains all events (`anybind_events.from_structured` takes the size as arguments).
    """

    name = "event"
    sample_type = "an EventStream or a structured array"
    intensity = "event rate, events per second"

    def accepts(self, item: object) -> bool:
        return isinstance(item, EventStream) or is_structured(item)

    def as_sample(self, item: object) -> EventStream:
        if is_structured(item):
            self.check(item)
            return from_structured(item)
        return super().as_sample(item)

    def make(
        self,
        x: np.ndarray,
        y: np.ndarray,
        t: np.ndarray,
        p: np.ndarray,
        width: int,
        height: int,
        notes: Mapping[str, int] | None = None,
    ) -> EventStream:
        return EventStream(x, y, t, p, width, height, notes or {})

    def check(self, sample: Sized) -> None:
        if not len(sample):
            raise BadInput("the recording is empty: it has no events")

    def show(self, sample: EventStream) -> np.ndarray:
        """Draw the middle third of the recording: ON events red and OFF events blue, on white.

        Over the whole duration, a scene that moves to and fro would give ON and OFF events everywhere.
        """
        sample = self.as_sample(sample)
        start = int(sample.t[0]) + sample.duration_us // 3
        return draw_recording(select_times(sample, start, start + max(1, sample.duration_us // 3)))

    def show_window(self, sample: EventStream) -> np.ndarray:
        return draw_recording(sample)

    def split(self, sample: EventStream, options: windows.WindowOptions) -> Iterator[windows.SampleWindow[EventStream]]:
        """Divide a recording into windows, views of it; see `anybind_events.windows.divide_stream`.

        Filters process the whole recording first. By default, recordings of more than 0.6 s have windows of a length
        chosen by content, and shorter ones are one window. Windows of noise alone have the inactivity `nothing moved`,
        those without events `no events`. Behind filters, something must have moved before them, too.
        """
        from anybind_events.activity import measure_activity  # loads numba

        start, end = options.resolve_range(windows.MICROSECONDS)
        duration = min(sample.duration_us + 1, sample.duration_us + 1 if end is None else end) - (start or 0)
        default = windows.AUTO if options.stride or duration > LONG_US else windows.WHOLE
        is_whole = options.roi is None and start is None and end is None and not options.filters
        filtered = filter_events(sample, options.filters)
        for start_us, end_us, events in divide_stream(filtered, options, default=default, recording=sample):
            view = crop_region(events, options.roi)
            whole = is_whole and len(view) == len(sample)
            inactivity = "no events"
            if len(view):
                moved = measure_activity(view).moved
                if moved and options.filters:  # noise that a filter thins out looks like motion
                    origin = int(sample.t[0])
                    unfiltered = select_times(sample, origin + start_us, origin + end_us)
                    moved = measure_activity(crop_region(unfiltered, options.roi)).moved
                inactivity = "" if moved else "nothing moved"
            rate = len(view) / max(1, end_us - start_us) * 1e6
            yield windows.SampleWindow(sample if whole else view, start_us, end_us, whole, inactivity, rate)

    def augment(
        self,
        sample: EventStream,
        /,
        *,
        seed: int,
        flip_time: float = 0.5,
        flip_horizontally: float = 0.5,
        shift: int = 20,
        smallest_crop: float = 0.45,
        near_noise: float = 0.1,
        uniform_noise: float = 0.0,
        drop: float = 0.0,
        slice_events: int = 0,
        grid: int = 0,
        point_noise: Sequence[int] = (),
    ) -> EventStream:
        """Augment a recording at random for training; see `EventAugmentation` for the options."""
        return EventAugmentation(
            flip_time=flip_time,
            flip_horizontally=flip_horizontally,
            shift=shift,
            smallest_crop=smallest_crop,
            near_noise=near_noise,
            uniform_noise=uniform_noise,
            drop=drop,
            slice_events=slice_events,
            grid=grid,
            point_noise=point_noise,
        )(sample, seed)

    def derivation(self, source: str) -> Mapping[str, object]:
        """Return the name and settings of the simulation."""
        # Deferred import: it loads numba, which only a simulation needs.
        from anybind_events.simulation.models import find_model
        from anybind_events.simulation.saccades import saccade_settings

        model = find_model(source)
        settings = saccade_settings() if model.name == "saccades" else model.defaults
        return {"simulation": model.name, **settings}

    def derive(
        self,
        sample: np.ndarray | samples.VideoSample,
        source: str,
        *,
        seed: int,
        model: str | Sequence[str] | None = None,
        vary: bool = False,
        **options: object,
    ) -> EventStream:
        """Simulate an event recording of an image, scanned by three saccades or moving, or of a video.

        A uniform image or a static video gives no events.

        Args:
            sample: an `image` or a `video`; see `VideoSample`.
            source: modality of the sample, `image` or `video`.
            seed: seed of all randomness.
            model: `saccades` (the default) or `motion` for an image; `frame-difference` (as in the paper, the default)
                or `contrast` for a video. Of a list of names one is drawn by the seed; repeat a name for a larger
                share.
            vary: draw the options of an image's model that are not given from the seed, to train on many sensors.
            options: options of the model, such as `threshold`, by name; of a list, each applies to the models that have
                it.

        Raises:
            BadInput: the video cannot be decoded completely.
            BadOption: unknown model or option for this source, or an invalid value.
        """
        from anybind_events.simulation.models import draw_model, find_model

        if model is None or isinstance(model, str):
            simulation = find_model(source, model)
        else:
            simulation, options = draw_model(source, model, seed, options)
        if not vary:
            return concatenate_streams(list(simulation.simulate(sample, seed, options)))
        if simulation.simulate_varied is None or not isinstance(sample, np.ndarray):
            raise BadOption(f"vary: expected the source image, got {source}")
        return simulation.simulate_varied(sample, seed, simulation.check_options(options))


def draw_recording(stream: EventStream) -> np.ndarray:
    """Draw a recording: (height, width, 3) uint8, ON events red, OFF events blue, on white.

    The 99th percentile of the non-zero counts has full colour.
    """
    # Deferred import: it loads numba.
    from anybind_events.representations.images import ColorScale, draw_red_blue
    from anybind_events.representations.polarity_histogram import PolarityHistogram

    off_counts, on_counts = counts = PolarityHistogram()(stream)
    return draw_red_blue(off_counts, on_counts, ColorScale.from_frames([counts]).full_scale)
