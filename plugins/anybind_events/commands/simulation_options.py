"""The options of all simulation models as parameters of a command; defaults come from the models."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Annotated

import typer

from anybind_events.simulation.models import MODELS

HELP: Mapping[str, str] = {
    "threshold": "Contrast threshold in log units; for frame-difference in gray levels, 0 to 255.",
    "difference": "Difference of frames: luma, gray, color.",
    "mismatch": "Standard deviation of pixel thresholds in log units.",
    "refractory_us": "Refractory period in microseconds.",
    "leak_hz": "Leak: ON events per pixel and second at rest.",
    "bandwidth_hz": "Photoreceptor's cut-off at full light in Hz; lower in the dark; 0: unlimited.",
    "shot_hz": "Background activity in the dark: events per pixel and second.",
    "dark_ratio": "Background activity in the dark over that at full light, 1 or more.",
    "hot_pixels": "Number of hot pixels.",
    "hot_hz": "Median rate of a hot pixel, events per second.",
    "hot_spread": "Standard deviation of the natural log of the rates of hot pixels.",
    "dead_pixels": "Number of pixels without events.",
    "flicker_hz": "Frequency of a flickering region in Hz; 0: none.",
    "flicker_contrast": "Peak-to-peak flicker in log units.",
    "flicker_share": "Area share of the flickering region, 0 to 1.",
    "max_rate": "Largest rate that is read out, events per second; 0: unlimited.",
    "random_reference": "Begin with a random reference in each pixel.",
    "width": "Width in pixels, 8 to 4096: of the sensor; for saccades, of the field that the image is scaled to fit.",
    "height": "Height in pixels, as the width. 0: size of the video.",
    "pixels_per_degree": "Amplitude of saccades in pixels per degree.",
    "turn_degrees": "Rotation of saccades in degrees.",
    "speed": "Speed profile: constant, eased; for motion also random, oscillating.",
    "motion": "Motion: translate, rotate, scale, shear, turn (in depth), mixed.",
    "amplitude": "How far a corner of the image moves, about, in pixels.",
    "direction_degrees": "Direction of the translation, from right to down.",
    "jitter": "Trembling of the hand: standard deviation in pixels.",
    "duration_us": "Duration in microseconds.",
    "moving": "What moves: object, background (with texture), both.",
    "background": "full: the image fills the sensor; or it lies on: plain (its border's level), gray, texture.",
    "object_scale": "Longer side of the image over the sensor's shorter one, above 0 to 1; full: over what fits.",
    "position_x": "Horizontal position of the object in the free space, 0 to 1.",
    "position_y": "Vertical position of the object in the free space, 0 to 1.",
}
"""Help text of each option, without its models and default."""


def list_option_parameters() -> list[inspect.Parameter]:
    """Return a keyword parameter for each option of a simulation model, None by default, with its help text."""
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[_find_type(name) | None, typer.Option(help=f"{help} {_describe_models(name)}")],
        )
        for name, help in HELP.items()
    ]


def _find_type(name: str) -> type:
    """Return the type of an option's values; a number whose default is computed is a float."""
    default = next(model.defaults[name] for model in MODELS if name in model.defaults)
    return float if default is None else type(default)


def _describe_models(name: str) -> str:
    """Return the models that have an option, unless all have it, and its default by model."""
    defaults = {model.name: model.defaults[name] for model in MODELS if name in model.defaults}
    models = "" if len(defaults) > 3 else f"({', '.join(defaults)}) "
    names: dict[str, list[str]] = {}
    for model, value in defaults.items():
        names.setdefault("at random" if value is None else f"{value}".lower(), []).append(model)
    usual = max(names, key=lambda value: len(names[value]))
    others = [f"{value} for {', '.join(models)}" for value, models in names.items() if value != usual]
    return f"{models}[default: {'; '.join([usual, *others])}]"
