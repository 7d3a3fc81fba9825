"""How films are turned into what towers see of them: as the paper, and as its authors' code, does it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

from anybind import AnybindWarning, Binding
from anybind.plugin import BadOption, Encoder, EncoderSpec, errors, find_part

PAPER = "paper"


@dataclass(frozen=True)
class Preset:
    """What is fixed about events of films.

    Attributes:
        threshold: gray levels, of 255, by which a pixel must differ from the frame before it to fire.
        clamp: largest count of events of a pixel that the representation tells apart; None: as the binding has it.
    """

    threshold: float
    clamp: float | None


PRESETS = {PAPER: Preset(25, None), "author-readme": Preset(10, 10), "author-later": Preset(25, 16)}
"""The paper's, that of the description of the authors' code, and that of their later project."""


def find_preset(name: str) -> Preset:
    """The preset of that name; raises `UnknownName` with those there are."""
    if name not in PRESETS:
        raise errors.UnknownName(f"there is no preset {name!r}{errors.nearest(name, PRESETS)}")
    return PRESETS[name]


def bind_events(binding: Binding, preset: str, clamp: float | None = None) -> tuple[Binding, float | None]:
    """The binding, its events counted up to the clamp that applies, and that clamp; None where there is none.

    Where the binding takes no clamp, that of a preset is left out with a warning.

    Args:
        binding: whose representation of events takes the clamp.
        preset: how films become events; see `find_preset`.
        clamp: in place of the preset's.

    Raises:
        UnknownName: no such preset.
        BadOption: a clamp is given that the binding does not take; see `with_clamp`.
    """
    fixed = find_preset(preset).clamp
    if clamp is not None:
        return with_clamp(binding, clamp), clamp
    if fixed is None:
        return binding, None
    try:
        return with_clamp(binding, fixed), fixed
    except BadOption as error:
        told = f"{error}: of the preset {preset!r}, only its threshold applies"
        warnings.warn(told, AnybindWarning, stacklevel=3)
        return binding, None


def with_clamp(binding: Binding, clamp: float) -> Binding:
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
        raise BadOption(f"{error}, in the binding {binding.name!r}") from error
    clamped = replace(use, options=options)
    return replace(binding, encoders={**binding.encoders, "event": clamped})
