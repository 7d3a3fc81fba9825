"""Settings of event windows, and the presets of the paper and of its authors' code."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from anybind import AnybindWarning, Binding
from anybind.plugin import BadOption, errors

PAPER = "paper"
WINDOW_FRAMES = 16
"""Window length in frames in the paper."""
THRESHOLD = 25.0
"""Event threshold in the paper, in gray levels of 255."""


@dataclass(frozen=True)
class EventPreset:
    """Published settings of event generation from a video.

    Attributes:
        threshold: smallest difference of a pixel between frames that gives an event, in gray levels of 255.
        clamp: the representation clamps per-pixel event counts at this value; None for the binding's default.
        difference: what frames differ in; see the simulation model `frame-difference`.
        divisor: what the representation divides counts by: `max+1`, as Eq. 1, or `max`.
        direct: frames are fed to the encoder without mean and standard deviation.
    """

    threshold: float
    clamp: float | None
    difference: str = "luma"
    divisor: str = "max+1"
    direct: bool = False


PRESETS = {
    PAPER: EventPreset(THRESHOLD, None),
    "author-readme": EventPreset(10.0, 1.0, "color", "max", direct=True),
    "author-later": EventPreset(THRESHOLD, 16.0, "gray", "max"),
}
"""Presets of the paper, of the README of its authors' code, and of their later project.

The README's frames of 0 and 255 are summed and clamped at 10: one event already reaches the clamp, which is 1 here.
"""
MERGE, DROP = "merge", "drop"


@dataclass(frozen=True)
class WindowSettings:
    """Settings of the event windows of a video.

    A window of n frames has the n - 1 differences between its frames.

    Attributes:
        frames: window length in frames, 2 or more.
        stride: window stride in frames, 1 to `frames`.
        threshold: smallest difference of a pixel between frames that gives an event, in gray levels of 255; above 0.
        difference: what frames differ in: `luma`, `gray` or `color`; see the simulation model `frame-difference`.
        last: last frames that do not fill a window: `merge` them into the window before, or `drop` them.

    Raises:
        BadOption: a number is out of range, or `last` is unknown.
    """

    frames: int = WINDOW_FRAMES
    stride: int = WINDOW_FRAMES
    threshold: float = THRESHOLD
    difference: str = "luma"
    last: str = MERGE

    def __post_init__(self) -> None:
        check_count("frames", self.frames)
        if self.frames < 2:
            raise BadOption("frames: expected at least 2, got 1: events are differences of the frames of a window")
        if self.last not in (MERGE, DROP):
            raise BadOption(f"last: expected {MERGE} or {DROP}, got {self.last!r}")
        check_count("stride", self.stride)
        if self.stride > self.frames:
            raise BadOption(
                f"stride: expected 1 to {self.frames} frames, so that every frame is in a window, got {self.stride}"
            )
        check_number("threshold", self.threshold)
        if not self.threshold:
            raise BadOption("threshold: expected a number above 0, got 0")


def choose_windows(
    preset: str = PAPER,
    threshold: float | None = None,
    frames: int = WINDOW_FRAMES,
    stride: int | None = None,
    last: str = MERGE,
) -> WindowSettings:
    """Return the window settings of a preset.

    Args:
        preset: see `find_preset`.
        threshold: overrides the preset's.
        frames: window length in frames.
        stride: window stride in frames. [default: `frames`]
        last: last frames that do not fill a window: `merge` or `drop`.

    Raises:
        UnknownName: no preset of that name.
        BadOption: a number is out of range, or `last` is unknown.
    """
    settings = find_preset(preset)
    threshold = settings.threshold if threshold is None else threshold
    return WindowSettings(frames, frames if stride is None else stride, threshold, settings.difference, last)


def find_preset(name: str) -> EventPreset:
    """Return the preset of a name; raise `UnknownName` with similar names."""
    if name not in PRESETS:
        raise errors.UnknownName(f"there is no preset {name!r}{errors.suggest_names(name, PRESETS)}")
    return PRESETS[name]


def check_number(name: str, value: object) -> None:
    """Raise `BadOption` unless an option is a finite number of at least 0."""
    if not (isinstance(value, int | float) and math.isfinite(value) and value >= 0):
        raise BadOption(f"{name}: expected a finite number of at least 0, got {value!r}")


def check_count(name: str, value: object) -> None:
    """Raise `BadOption` unless an option is a positive integer."""
    if not (isinstance(value, int) and value > 0):
        raise BadOption(f"{name}: expected a positive integer, got {value!r}")


def apply_preset(binding: Binding, preset: str, clamp: float | None = None) -> tuple[Binding, float | None]:
    """Set the clamp and the normalisation of a preset in a binding's event encoder.

    If the representation has no clamp, a preset's are ignored with a warning.

    Args:
        binding: binding with an event encoder.
        preset: see `find_preset`.
        clamp: overrides the preset's.

    Returns:
        the binding, and the applied clamp; None if there is none.

    Raises:
        UnknownName: no such preset.
        BadOption: `clamp` is out of range or not supported by the binding; see `Binding.with_clamp`.
    """
    settings = find_preset(preset)
    if clamp is not None:
        check_number("clamp", clamp)
        binding = binding.with_clamp("event", clamp)
    elif (clamp := settings.clamp) is not None:
        try:
            binding = binding.with_clamp("event", clamp)
        except BadOption as error:
            message = f"{error}: of the preset {preset!r}, only the threshold and the difference apply"
            warnings.warn(message, AnybindWarning, stacklevel=3)
            return binding, None
    if settings.divisor != EventPreset.divisor:
        use = binding.encoders["event"]
        if use.options.get("representation", PAPER) != PAPER:
            name = use.options["representation"]
            raise BadOption(f"preset: {preset!r} needs frames of the representation {PAPER!r}, got {name!r}")
        frame_options = use.options["options"]
        assert isinstance(frame_options, Mapping)  # with the clamp
        options = {**use.options, "options": {**frame_options, "divisor": settings.divisor}}
        if settings.direct:
            options["direct"] = True
        binding = replace(binding, encoders={**binding.encoders, "event": replace(use, options=options)})
    return binding, clamp


def check_smoothing(smoothing: str, sigma: float, needs: Sequence[str]) -> None:
    """Raise `BadOption` unless `smoothing` is `time`, or `similarity` with a sigma and a head on embeddings."""
    if smoothing not in ("time", "similarity"):
        raise BadOption(f"smoothing: expected time or similarity, got {smoothing!r}")
    if smoothing == "similarity" and not (sigma and needs):
        raise BadOption("smoothing: similarity needs sigma above 0 and a head on embeddings")
