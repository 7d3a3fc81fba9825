"""Simulation models by name, with a common interface."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anybind.plugin import BadInput, BadOption, errors, samples
from anybind_events.simulation.motion import SENSOR, Motion, simulate_motion
from anybind_events.simulation.saccades import EASED, EASED_SENSOR, IDEAL_SENSOR, Saccades, simulate_saccades
from anybind_events.simulation.sensor_model import SensorModel
from anybind_events.simulation.variation import (
    simulate_varied_eased,
    simulate_varied_motion,
    simulate_varied_saccades,
    split_options,
)
from anybind_events.simulation.video import VideoSensor, contrast, frame_difference
from anybind_events.stream import EventStream


@dataclass(frozen=True)
class SimulationModel:
    """A simulation model.

    Attributes:
        name: name of the model.
        source: modality of its input.
        function: takes a sample, the option sets and named options; returns one stream, or yields one per frame.
        option_sets: dataclasses of options, with the model's defaults.
        simulate_varied: simulates with random options but for the given ones: sample, seed, options. None: not offered.
    """

    name: str
    source: str
    function: Callable[..., EventStream | Iterator[EventStream]]
    option_sets: tuple[Motion | Saccades | VideoSensor | SensorModel, ...] = ()
    simulate_varied: Callable[[np.ndarray, int, Mapping[str, object]], EventStream] | None = None

    @functools.cached_property
    def defaults(self) -> dict[str, object]:
        """The default of every option, with the seed if the model has one."""
        parameters = list(inspect.signature(self.function).parameters.values())[1 + len(self.option_sets) :]
        in_sets = {name: value for option_set in self.option_sets for name, value in vars(option_set).items()}
        return in_sets | {each.name: each.default for each in parameters}

    def check_options(self, options: Mapping[str, object]) -> dict[str, object]:
        """Return the options that are not None; raise `BadOption` for one that the model does not have."""
        given = {name: value for name, value in options.items() if value is not None}
        for name in given:
            if name not in self.defaults:
                raise BadOption(
                    f"the simulation {self.name!r} has no option {name}{errors.suggest_names(name, self.defaults)}"
                )
        return given

    def settings(self, seed: int, options: Mapping[str, object]) -> dict[str, object]:
        """Return all options: the given ones (not None), the seed if the model has one, and defaults.

        Raises:
            BadOption: the model has no such option.
        """
        return self.defaults | ({"seed": seed} if "seed" in self.defaults else {}) | self.check_options(options)

    def simulate(
        self, sample: np.ndarray | samples.VideoSample, seed: int, options: Mapping[str, object]
    ) -> Iterator[EventStream]:
        """Yield the events as they are simulated: one stream for an image, one per frame for a video."""
        settings = self.settings(seed, options)
        in_sets = {name for each in self.option_sets for name in vars(each)}
        others = {name: value for name, value in settings.items() if name not in in_sets}
        events = self.function(sample, *split_options(settings, self.option_sets), **others)
        yield from (events,) if isinstance(events, EventStream) else events


MODELS = (
    SimulationModel("saccades", "image", simulate_saccades, (Saccades(), IDEAL_SENSOR), simulate_varied_saccades),
    SimulationModel("eased-saccades", "image", simulate_saccades, (EASED, EASED_SENSOR), simulate_varied_eased),
    SimulationModel("motion", "image", simulate_motion, (Motion(), SENSOR), simulate_varied_motion),
    SimulationModel("frame-difference", "video", frame_difference),
    SimulationModel("contrast", "video", contrast, (VideoSensor(), SensorModel())),
)
"""The first model of each source is its default."""


def draw_model(
    source: str, names: Sequence[str], seed: int, options: Mapping[str, object]
) -> tuple[SimulationModel, dict[str, object]]:
    """Draw one of several models by the seed, each name with the same probability; return it with its options.

    Raises:
        BadInput, BadOption: as `find_model`, for each of the names; there is none; or no model has one of the options.
    """
    if not names:
        raise BadOption("model: expected at least one name")
    models = [find_model(source, name) for name in names]
    for name in options:
        if not any(name in model.defaults for model in models):
            models[0].check_options({name: options[name]})
    model = models[int(np.random.default_rng([seed, len(names)]).integers(len(names)))]
    return model, {name: value for name, value in options.items() if name in model.defaults}


def find_model(source: str, name: str | None = None) -> SimulationModel:
    """Return the model of that name for a modality, or the modality's default.

    Raises:
        BadInput: no model simulates events from that modality.
        BadOption: unknown model, or a model for another modality.
    """
    models = {model.name: model for model in MODELS if model.source == source}
    if not models:
        raise BadInput(f"no model simulates events from {source}")
    if name is not None and name not in models:
        raise BadOption(f"no simulation {name!r} of {source}{errors.suggest_names(name, models)}")
    return models[name] if name is not None else next(iter(models.values()))
