"""The modality `event`."""

from __future__ import annotations

from collections.abc import Mapping, Sized

import numpy as np

from anybind.plugin import BadInput, BadOption, Modality, samples
from anybind_events.augment import Augment
from anybind_events.interchange import from_structured, is_structured
from anybind_events.stream import EventStream, concatenate_streams


class Event(Modality[EventStream]):
    """A recording of an event camera: an `EventStream` with at least one event.

    A structured array with the fields x, y, t, p is taken as one too; its sensor size is the smallest in use that
    holds all events (`anybind_events.from_structured` takes it as arguments).
    """

    name = "event"

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
            raise BadInput("the recording is empty: it holds no events")

    def show(self, sample: EventStream) -> np.ndarray:
        """The middle third of the recording: rises in red and falls in blue on white.

        Over the whole of it, a scene that moves to and fro would rise and fall everywhere alike.
        """
        sample = self.as_sample(sample)
        start = int(sample.t[0]) + sample.duration_us // 3
        return red_blue_frame(sample.between(start, start + max(1, sample.duration_us // 3)))

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
    ) -> EventStream:
        """The recording changed at random, as training wants it; see `Augment` for what the options mean."""
        return Augment(
            flip_time=flip_time,
            flip_horizontally=flip_horizontally,
            shift=shift,
            smallest_crop=smallest_crop,
            near_noise=near_noise,
            uniform_noise=uniform_noise,
            drop=drop,
        )(sample, seed)

    def derivation(self, source: str) -> Mapping[str, object]:
        """The simulation's name and settings."""
        # Loads numba: when something is simulated, and not with the modality.
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
        model: str | None = None,
        vary: bool = False,
        **options: object,
    ) -> EventStream:
        """What an event camera would record of a picture that it scans by three saccades, or of a film.

        Of one even gray that does not change, that is nothing.

        Args:
            sample: an `image` or a `video`; see `VideoSample`.
            source: which of the two.
            seed: of all chance in it.
            model: of a picture `saccades`; of a film `frame-difference` (as in the paper, the default) or `contrast`.
            vary: draw the options of `saccades` that are not given from the seed, for training on many sensors.
            options: options of the model, such as its `threshold`, by name.

        Raises:
            BadInput: the picture cannot be scanned, or the film not be played to its end.
            BadOption: a model or an option that there is not for this source, or that makes no sense.
        """
        from anybind_events.simulation.models import find_model
        from anybind_events.simulation.saccades import varied

        chosen = find_model(source, model)
        if vary and chosen.name != "saccades":
            raise BadOption(f"vary is for pictures, not for {source}")
        drawn = varied(seed) if vary else {}
        return concatenate_streams(list(chosen.simulate(sample, seed, drawn | options)))


def red_blue_frame(stream: EventStream) -> np.ndarray:
    """A picture of a recording for people: (height, width, 3) uint8, rises red, falls blue, on white.

    Colour is full at the 99th percentile of the counts of pixels that have any.
    """
    # Compiled loops, as of the simulations.
    from anybind_events.representations.pictures import Tone, red_blue_picture
    from anybind_events.representations.polarity_histogram import PolarityHistogram

    falls, rises = counts = PolarityHistogram()(stream)
    return red_blue_picture(falls, rises, Tone.of([counts]).full)
