"""The dataset `made-activities`: synthetic measurements of a phone in a pocket."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from anybind.plugin import BadOption, Dataset, Item

from anybind_inertial.trace import Trace, draw_rotation

GRAVITY = 9.81


@dataclass(frozen=True)
class Activity:
    """Motion parameters of an activity: ranges that each trace samples from.

    Attributes:
        cadence: frequency of steps, turns or swings, Hz.
        up, across: amplitude of the acceleration along and across gravity, m/s^2.
        turn: amplitude of the rotation, rad/s.
        noise: standard deviation of the noise, m/s^2.
        impact: shape of the swing: 0 a sine, 1 mostly one peak.
    """

    cadence: tuple[float, float]
    up: tuple[float, float]
    across: tuple[float, float]
    turn: tuple[float, float]
    noise: tuple[float, float]
    impact: float = 0.0


ACTIVITIES = {
    "walking": Activity((1.6, 2.1), (2.0, 4.0), (0.8, 1.8), (0.6, 1.3), (0.1, 0.3), 0.3),
    "running": Activity((2.5, 3.2), (8.0, 14.0), (2.0, 5.0), (1.5, 3.0), (0.4, 0.9), 0.6),
    "climbing stairs": Activity((1.1, 1.5), (2.0, 3.6), (1.4, 2.6), (1.4, 2.4), (0.1, 0.3), 0.1),
    "jumping": Activity((0.8, 1.3), (13.0, 22.0), (1.0, 3.0), (0.5, 1.5), (0.2, 0.6), 0.9),
    "cycling": Activity((1.0, 1.5), (0.4, 0.9), (0.4, 0.9), (1.6, 2.8), (0.5, 1.2), 0.0),
    "waving": Activity((1.8, 2.8), (1.0, 3.0), (5.0, 9.0), (4.0, 7.0), (0.2, 0.5), 0.0),
    "driving": Activity((0.05, 0.2), (0.1, 0.4), (0.3, 1.0), (0.02, 0.12), (0.25, 0.6), 0.0),
    "sitting": Activity((0.2, 0.35), (0.02, 0.06), (0.01, 0.04), (0.005, 0.03), (0.01, 0.03), 0.0),
}


def make_trace(activity: str, seed: int, *, seconds: float = 6.0, rate: float = 50.0) -> Trace:
    """Synthesise a trace of one of `ACTIVITIES` in a random orientation, deterministic for the same seed.

    Args:
        activity: name of the activity.
        seed: random seed.
        seconds: length in seconds.
        rate: sample rate, Hz.

    Raises:
        BadOption: there is no such activity.
    """
    if activity not in ACTIVITIES:
        raise BadOption(f"there is no activity {activity!r}; there are: {', '.join(ACTIVITIES)}")
    parameters = ACTIVITIES[activity]
    random = np.random.default_rng([seed, zlib.crc32(activity.encode())])
    time = np.arange(int(seconds * rate)) / rate
    cadence, up, across, turn, noise = (
        random.uniform(*getattr(parameters, name)) for name in ("cadence", "up", "across", "turn", "noise")
    )
    phase = 2 * np.pi * cadence * time + 0.3 * np.cumsum(random.standard_normal(len(time))) / np.sqrt(rate)
    phase += random.uniform(0, 2 * np.pi)
    impact = parameters.impact
    peaks = np.maximum(np.cos(phase), 0) ** (2 + 6 * impact)
    swing = (1 - impact) * np.cos(phase) + impact * 2 * (peaks - peaks.mean())
    # Left and right legs alternate: sway and rotation are at half the cadence of steps.
    sway = np.cos(phase / 2 + random.uniform(0, 2 * np.pi))
    body = np.column_stack([across * sway, 0.5 * across * np.sin(phase), GRAVITY + up * swing])
    spin = turn * np.column_stack([sway, 0.3 * np.sin(phase), 0.5 * np.cos(phase / 2)])
    orientation = draw_rotation(random)
    acceleration = (body + noise * random.standard_normal(body.shape)) @ orientation
    rotation = (spin + 0.1 * noise * random.standard_normal(spin.shape)) @ orientation
    return Trace(acceleration.astype(np.float32), rotation.astype(np.float32), rate)


class MadeActivities(Dataset):
    """Synthetic traces of eight activities, each with a caption. Nothing is read from the folder.

    They are for trying things out and do not represent human motion.
    """

    name = "made activities"
    licence = "Apache-2.0"
    published = "not published: it is synthetic, and any folder will do"
    size = "synthesised on demand"
    sample_modalities = ("inertial",)
    splits: ClassVar = {"train": None, "test": None}  # without common traces
    split = "test"
    options = ("each",)
    each: int = 12
    """Number of traces of each activity, above 0."""

    def class_names(self) -> Mapping[str, str]:
        return {name: name for name in ACTIVITIES}

    def scan(self, splits: Sequence[str]) -> Iterator[Item]:
        if not isinstance(self.each, int) or self.each < 1:
            raise BadOption(f"each must be an integer above 0, got {self.each!r}")
        for split in splits:
            first = 0 if split == "test" else 1_000_000
            for name in self.classes:
                for number in range(self.each):
                    trace = make_trace(name, first + number)
                    yield Item(f"{split}/{name}/{number:03}", trace, name, partners={"text": f"someone is {name}"})
