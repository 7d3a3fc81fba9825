"""The ways to simulate events, by name, and how to call them alike."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from anybind.plugin import BadInput, BadOption, errors, samples
from anybind_events.simulation.film import contrast, frame_difference
from anybind_events.simulation.saccades import simulate_saccades
from anybind_events.stream import EventStream


@dataclass(frozen=True)
class Model:
    """A way to simulate events.

    Attributes:
        name: as users give it.
        source: the modality that it starts from.
        function: takes a sample and options by name; gives one stream, or one a frame.
    """

    name: str
    source: str
    function: Callable[..., EventStream | Iterator[EventStream]]

    @functools.cached_property
    def defaults(self) -> dict[str, object]:
        """Every option, the seed included where there is one, and its default."""
        return {
            name: each.default
            for name, each in inspect.signature(self.function).parameters.items()
            if each.default is not each.empty
        }

    def settings(self, seed: int, options: Mapping[str, object]) -> dict[str, object]:
        """All options as they will be: those given (not None), the seed where it matters, and defaults.

        Raises:
            BadOption: an option that this way of simulating does not take.
        """
        given = {name: value for name, value in options.items() if value is not None}
        for name in given:
            if name not in self.defaults:
                raise BadOption(
                    f"the simulation {self.name!r} takes no {name}{errors.suggest_names(name, self.defaults)}"
                )
        return self.defaults | ({"seed": seed} if "seed" in self.defaults else {}) | given

    def simulate(
        self, sample: np.ndarray | samples.VideoSample, seed: int, options: Mapping[str, object]
    ) -> Iterator[EventStream]:
        """The events: one stream of a picture, of a film one a frame, as they are made."""
        made = self.function(sample, **self.settings(seed, options))
        yield from (made,) if isinstance(made, EventStream) else made


MODELS = (
    Model("saccades", "image", simulate_saccades),
    Model("frame-difference", "video", frame_difference),
    Model("contrast", "video", contrast),
)
"""The first of each source is its default."""


def find_model(source: str, name: str | None = None) -> Model:
    """The model of that name for a modality, or the modality's default.

    Raises:
        BadInput: nothing simulates events from that modality.
        BadOption: no such model, or one for another modality.
    """
    able = {model.name: model for model in MODELS if model.source == source}
    if not able:
        raise BadInput(f"no events can be simulated from {source}")
    if name is not None and name not in able:
        raise BadOption(f"there is no simulation {name!r} from {source}{errors.suggest_names(name, able)}")
    return able[name] if name is not None else next(iter(able.values()))
