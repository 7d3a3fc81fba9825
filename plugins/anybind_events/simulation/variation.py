"""Random options of simulations, to train on many sensors, scenes and movements."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from anybind_events.simulation.motion import SENSOR, Motion, simulate_counted_motion
from anybind_events.simulation.saccades import (
    EASED,
    EASED_SENSOR,
    IDEAL_SENSOR,
    Saccades,
    draw_saccade_options,
    simulate_saccades,
)
from anybind_events.stream import EventStream

MIN_ACTIVITY = 0.3
"""Fewest events per pixel of the object, background activity not counted, before options are drawn again."""
MAX_ATTEMPTS = 5
ATTEMPT_GAIN = 1.5
"""Factor of the amplitude and divisor of the threshold at each attempt after the first."""
MIN_THRESHOLD = 0.1
LAST_SHOT_HZ = 1.0
PASTED_SHARE = 0.5
"""Share of recordings that show an object before a background; images fill the view of the others."""
Draw = Callable[[np.random.Generator], Any]


def uniform(low: float, high: float) -> Draw:
    """Return a draw from a uniform distribution."""
    return lambda rng: float(rng.uniform(low, high))


def log_uniform(low: float, high: float) -> Draw:
    """Return a draw from a distribution that is uniform on a log scale."""
    return lambda rng: float(np.exp(rng.uniform(np.log(low), np.log(high))))


def choose(shares: Mapping[str, float]) -> Draw:
    """Return a draw of a name with these shares, which sum to 1."""
    return lambda rng: str(rng.choice(list(shares), p=list(shares.values())))


def sometimes(share: float, draw: Draw) -> Draw:
    """Return a draw that is 0 but for this share."""
    return lambda rng: draw(rng) if rng.random() < share else 0.0


DRAWS: Mapping[str, Draw] = {
    "motion": choose({"translate": 0.3, "rotate": 0.1, "scale": 0.1, "shear": 0.05, "turn": 0.15, "mixed": 0.3}),
    "speed": choose({"constant": 0.2, "eased": 0.3, "random": 0.3, "oscillating": 0.2}),
    "moving": choose({"object": 0.7, "background": 0.05, "both": 0.25}),
    "position_x": uniform(0, 1),
    "position_y": uniform(0, 1),
    "jitter": sometimes(0.6, log_uniform(0.2, 3.0)),
    "duration_us": lambda rng: round(np.exp(rng.uniform(np.log(60_000), np.log(400_000)))),
    "threshold": uniform(0.1, 0.4),
    "mismatch": uniform(0.0, 0.06),
    "refractory_us": sometimes(0.5, log_uniform(50, 2000)),
    "leak_hz": uniform(0.0, 0.3),
    "bandwidth_hz": sometimes(0.5, log_uniform(100, 1000)),
    "shot_hz": uniform(0.0, 5.0),
    "dark_ratio": uniform(1.0, 4.0),
    "hot_pixels": lambda rng: int(rng.poisson(1)),
    "hot_hz": log_uniform(100, 2000),
    "dead_pixels": lambda rng: int(rng.poisson(1)),
}
"""How each option of `motion` is drawn that does not depend on others; ranges are our choices."""
SHORT_SIDE = (40, 170)
"""Range of the sensor view's shorter side, in pixels."""
AMPLITUDE = (0.03, 0.25)
"""Range of the amplitude, over the sensor's shorter side; log-uniform."""
MIN_AMPLITUDE = 2.0
ASPECTS = (1, 4 / 3, 3 / 4, 16 / 9)
BACKGROUNDS = {"plain": 0.7, "gray": 0.15, "texture": 0.15}
OBJECT_SCALE = (0.25, 1.0)
MIN_OBJECT = 24
"""Smallest longer side of an object, in pixels: below, nobody names it."""


def draw_option(seed: int, attempt: int, name: str, draw: Draw) -> Any:
    """Draw an option with a generator of its own."""
    return draw(np.random.default_rng([seed, attempt, zlib.crc32(name.encode())]))


def split_options(options: Mapping[str, object], option_sets: Sequence[Any]) -> list[Any]:
    """Return the option sets with the options that each has; the others keep their values."""
    return [replace(each, **{name: options[name] for name in vars(each) if name in options}) for each in option_sets]


def draw_motion_options(image: np.ndarray, seed: int, given: Mapping[str, Any], attempt: int = 0) -> dict[str, Any]:
    """Draw the options of `motion` that are not given, each with a generator of its own, so that few depend on others.

    Half of the views show the image at scale 0.25 to 1 before a background; it fills the others, whose sensor has the
    image's aspect ratio (0.5 to 2). A later attempt has a larger amplitude and a lower threshold; the last one has
    background activity, so that it gives events in any case.
    """

    def draw(name: str, function: Draw) -> Any:
        return draw_option(seed, attempt, name, function)

    options = {name: draw(name, function) for name, function in DRAWS.items()}
    short = draw("short_side", lambda rng: int(rng.integers(*SHORT_SIDE, endpoint=True)))
    short = min(given["width"], given["height"]) if {"width", "height"} <= given.keys() else short
    needs_background = given.get("moving", "object") != "object"
    if draw("is_pasted", lambda rng: rng.random() < PASTED_SHARE) or needs_background:
        options["background"] = draw("background", choose(BACKGROUNDS))
        options["object_scale"] = draw(
            "object_scale", uniform(max(OBJECT_SCALE[0], MIN_OBJECT / short), OBJECT_SCALE[1])
        )
        aspect = draw("aspect", lambda rng: float(rng.choice(ASPECTS)))
    else:
        options["background"] = "full"
        aspect = min(max(image.shape[1] / image.shape[0], 0.5), 2.0)
    if options["background"] != "texture":
        options["moving"] = "object"
    options["width"], options["height"] = round(short * max(aspect, 1)), round(short * max(1 / aspect, 1))
    gain = ATTEMPT_GAIN**attempt
    amplitudes = log_uniform(*(max(MIN_AMPLITUDE, gain * each * short) for each in AMPLITUDE))
    options["amplitude"] = draw("amplitude", amplitudes)
    options["threshold"] = max(MIN_THRESHOLD, options["threshold"] / gain)
    if attempt == MAX_ATTEMPTS - 1:
        options["shot_hz"] = max(LAST_SHOT_HZ, options["shot_hz"])
    return options | dict(given)


def simulate_varied_motion(image: np.ndarray, seed: int, given: Mapping[str, object]) -> EventStream:
    """Simulate `motion` with random options but for the given ones, until enough happens.

    Options are drawn again, up to four times, while there are fewer than 0.3 events per pixel of the object; if that
    does not help, the last recording is returned.
    """
    attempt, activity, stream = 0, 0.0, None
    while stream is None or (activity < MIN_ACTIVITY and attempt < MAX_ATTEMPTS):
        motion, sensor = split_options(draw_motion_options(image, seed, given, attempt), (Motion(), SENSOR))
        stream, activity = simulate_counted_motion(image, motion, sensor, seed)
        attempt += 1
    return stream


def simulate_varied_saccades(image: np.ndarray, seed: int, given: Mapping[str, object]) -> EventStream:
    """Simulate `saccades` with random thresholds, amplitude and direction but for the given options.

    An image without contrast gives background activity of 1 Hz per pixel, so that training has events in any case.
    """
    options = draw_saccade_options(seed) | dict(given)
    stream = simulate_saccades(image, *split_options(options, (Saccades(), IDEAL_SENSOR)), seed=seed)
    if len(stream) or "shot_hz" in given:
        return stream
    noisy = options | {"shot_hz": LAST_SHOT_HZ}
    return simulate_saccades(image, *split_options(noisy, (Saccades(), IDEAL_SENSOR)), seed=seed)


def simulate_varied_eased(image: np.ndarray, seed: int, given: Mapping[str, object]) -> EventStream:
    """Simulate `eased-saccades` with a random sensor, amplitude and direction but for the given options."""
    names = vars(EASED_SENSOR)
    sensor = {name: draw_option(seed, 0, name, draw) for name, draw in DRAWS.items() if name in names}
    options = split_options(draw_saccade_options(seed) | sensor | dict(given), (EASED, EASED_SENSOR))
    return simulate_saccades(image, *options, seed=seed)
