"""From a video to windows of events: settings, the presets of the paper and its authors' code, and their checks."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace

from anybind import AnybindWarning, Binding
from anybind.plugin import BadOption, Encoder, EncoderSpec, errors, find_part

PAPER = "paper"
WINDOW_FRAMES = 16
"""Frames of a window in the paper."""
THRESHOLD = 25.0
"""Gray levels, of 255, in the paper."""


@dataclass(frozen=True)
class EventPreset:
    """Published settings of the events of a video.

    Attributes:
        threshold: gray levels, of 255, by which a pixel must differ from the frame before it to fire.
        clamp: the representation clamps per-pixel event counts at this value; None: as the binding has it.
    """

    threshold: float
    clamp: float | None


PRESETS = {
    PAPER: EventPreset(THRESHOLD, None),
    "author-readme": EventPreset(10.0, 10.0),
    "author-later": EventPreset(THRESHOLD, 16.0),
}
"""The paper's, that of the description of the authors' code, and that of their later project."""


@dataclass(frozen=True)
class WindowSettings:
    """How a video is split into windows of events.

    Attributes:
        frames: frames of a window, 1 or more.
        stride: frames from the beginning of a window to that of the next, 1 to `frames`.
        threshold: gray levels, of 255, by which a pixel must differ from the frame before it to fire; above 0.

    Raises:
        BadOption: a number out of its range.
    """

    frames: int = WINDOW_FRAMES
    stride: int = WINDOW_FRAMES
    threshold: float = THRESHOLD

    def __post_init__(self) -> None:
        check_count("frames", self.frames)
        check_count("stride", self.stride)
        if self.stride > self.frames:
            raise BadOption(
                f"the stride must be 1 to {self.frames} frames, so that every frame is in a window; got {self.stride}"
            )
        check_number("threshold", self.threshold)
        if not self.threshold:
            raise BadOption("threshold must be a finite number above 0, got 0")


def choose_windows(
    preset: str = PAPER, threshold: float | None = None, frames: int = WINDOW_FRAMES, stride: int | None = None
) -> WindowSettings:
    """The window settings of a preset.

    Args:
        preset: see `find_preset`.
        threshold: in place of the preset's.
        frames: frames of a window.
        stride: frames from one window to the next. [default: `frames`]

    Raises:
        UnknownName: no preset of that name.
        BadOption: a number out of its range.
    """
    chosen = find_preset(preset).threshold if threshold is None else threshold
    return WindowSettings(frames, frames if stride is None else stride, chosen)


def find_preset(name: str) -> EventPreset:
    """The preset of that name; raises `UnknownName` with the nearest ones."""
    if name not in PRESETS:
        raise errors.UnknownName(f"there is no preset {name!r}{errors.suggest_names(name, PRESETS)}")
    return PRESETS[name]


def check_number(name: str, value: object) -> None:
    """Raise `BadOption` unless an option is a finite number, 0 or more."""
    if not (isinstance(value, int | float) and math.isfinite(value) and value >= 0):
        raise BadOption(f"{name} must be a finite number, 0 or more, got {value!r}")


def check_count(name: str, value: object) -> None:
    """Raise `BadOption` unless an option is a whole number above 0."""
    if not (isinstance(value, int) and value > 0):
        raise BadOption(f"{name} must be a whole number above 0, got {value!r}")


def apply_preset(binding: Binding, preset: str, clamp: float | None = None) -> tuple[Binding, float | None]:
    """Clamp the event counts of a binding's representation.

    Where the binding takes no clamp, that of a preset is left out with a warning.

    Args:
        binding: its event encoder's representation takes the clamp.
        preset: see `find_preset`.
        clamp: in place of the preset's.

    Returns:
        the binding, and the clamp that applies; None where there is none.

    Raises:
        UnknownName: no such preset.
        BadOption: a clamp is given that makes no sense or that the binding does not take; see `with_clamp`.
    """
    fixed = find_preset(preset).clamp
    if clamp is not None:
        check_number("clamp", clamp)
        return set_clamp(binding, clamp), clamp
    if fixed is None:
        return binding, None
    try:
        return set_clamp(binding, fixed), fixed
    except BadOption as error:
        told = f"{error}: of the preset {preset!r}, only its threshold applies"
        warnings.warn(told, AnybindWarning, stacklevel=3)
        return binding, None


def set_clamp(binding: Binding, clamp: float) -> Binding:
    """The binding, its events counted up to a clamp. No tower is loaded.

    Raises:
        BadOption: the binding embeds no events, or by a representation that takes no clamp.
    """
    if "event" not in binding.encoders:
        raise BadOption(f"the binding {binding.name!r} embeds no events, of which there could be a clamp")
    use = binding.encoders["event"]
    encoder = find_part(EncoderSpec, use.name).load()
    if not (isinstance(encoder, type) and issubclass(encoder, Encoder)):
        raise BadOption(f"the event encoder {use.name!r} of the binding {binding.name!r} takes no clamp")
    try:
        options = encoder.with_clamp(use.options, clamp)
    except BadOption as error:
        raise BadOption(f"the binding {binding.name!r}: {error}") from error
    clamped = replace(use, options=options)
    return replace(binding, encoders={**binding.encoders, "event": clamped})
