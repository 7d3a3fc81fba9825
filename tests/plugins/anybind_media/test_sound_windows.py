"""Windows of sounds: seconds, the default of long clips, and silence."""

from __future__ import annotations

import re

import numpy as np
import pytest

from anybind.errors import BadOption
from anybind.modality import find_modality, make_sample
from anybind.windowing import WindowOptions

RATE = 1000


def make_sound(seconds: float, silent_from: float | None = None):
    samples = 0.1 * np.sin(np.arange(round(seconds * RATE)), dtype=np.float32)
    if silent_from is not None:
        samples[round(silent_from * RATE) :] = 0
    return make_sample("sound", samples, RATE)


def split(sound, **options):
    return list(find_modality("sound").split(sound, WindowOptions(**options)))


def test_short_sounds_are_one_unchanged_window_and_long_ones_have_windows_of_five_seconds():
    sound = make_sound(10)
    (window,) = split(sound)
    assert window.is_whole
    assert window.sample is sound
    assert [(each.start_us, each.end_us) for each in split(make_sound(12))] == [
        (0, 5_000_000),
        (5_000_000, 10_000_000),
        (10_000_000, 12_000_000),
    ]
    assert len(split(make_sound(12), window="whole")) == 1


def test_plain_numbers_are_seconds():
    sound = make_sound(6)
    divided = split(sound, start="1", end=5, window="2", stride="1500ms")
    assert [(each.start_us, each.end_us) for each in divided] == [
        (1_000_000, 3_000_000),
        (2_500_000, 4_500_000),
        (4_000_000, 5_000_000),
    ]
    np.testing.assert_array_equal(divided[1].sample.samples, sound.samples[:, 2500:4500])


def test_silent_windows_are_named():
    assert [each.inactivity for each in split(make_sound(9, silent_from=6), window="3s")] == ["", "", "silence"]
    assert split(make_sound(2))[0].intensity == pytest.approx(0.1 / 2**0.5, rel=0.01)


@pytest.mark.parametrize("options", [{"window": "5000ev"}, {"roi": (0, 0, 1, 1)}])
def test_sounds_have_neither_events_nor_regions(options):
    message = "sounds have no region of interest, events or filters: expected a duration, such as 5s"
    with pytest.raises(BadOption, match=re.escape(message)):
        split(make_sound(2), **options)
