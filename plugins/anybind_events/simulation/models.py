"""Simulation models by name, with a common interface."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from anybind.plugin import BadInput, BadOption, errors, samples
from anybind_events.simulation.saccades import simulate_saccades
from anybind_events.simulation.video import contrast, frame_difference
from anybind_events.stream import EventStream


@dataclass(frozen=True)
class SimulationModel:
    """A simulation model.

    Attributes:
        name: name of the model.
        source: modality of its input.
        function: takes a sample and named options; returns one stream, or yields one per frame.
    """

    name: str
    source: str
    function: Callable[..., EventStream | Iterator[EventStream]]

    @functools.cached_property
    def defaults(self) -> dict[str, object]:
        """The default of every option, with the seed if the model has one."""
        return {
            name: each.default
            for name, each in inspect.signature(self.function).parameters.items()
            if each.default is not each.empty
        }

    def settings(self, seed: int, options: Mapping[str, object]) -> dict[str, object]:
        """Return all options: the given ones (not None), the seed if the model has one, and defaults.

        Raises:
            BadOption: the model has no such option.
        """
        settings = {name: value for name, value in options.items() if value is not None}
        for name in settings:
            if name not in self.defaults:
                raise BadOption(
                    f"the simulation {self.name!r} has no option {name}{errors.suggest_names(name, self.defaults)}"
                )
        return self.defaults | ({"seed": seed} if "seed" in self.defaults else {}) | settings

    def simulate(
        self, sample: np.ndarray | samples.VideoSample, seed: int, options: Mapping[str, object]
    ) -> Iterator[EventStream]:
        """Yield the events as they are simulated: one stream for an image, one per frame for a video."""
        events = self.function(sample, **self.settings(seed, options))
        yield from (events,) if isinstance(events, EventStream) else events


MODELS = (
    SimulationModel("saccades", "image", simulate_saccades),
    SimulationModel("frame-difference", "video", frame_difference),
    SimulationModel("contrast", "video", contrast),
)
"""The first model of each source is its default."""


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
