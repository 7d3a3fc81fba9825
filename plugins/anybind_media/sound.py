"""Sounds: the modality `sound`, whose samples are `Waveform`s."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import soxr

from anybind.plugin import BadInput, BadOption, Modality
from anybind_media.sound_plot import sound_picture

LONGEST = 1 << 28
"""Samples a channel that resampling makes at most, 1 GiB: a header that tells of 1 Hz must not make more of 4 MB."""


@dataclass(frozen=True, eq=False)
class Waveform:
    """A sound in memory.

    Attributes:
        samples: float32 (channels, n), nominally from -1 to 1; a row alone stands for one channel.
        rate: samples a second, in Hz.

    Raises:
        BadInput: the samples are no floating-point numbers, or of another shape, or the rate is no whole number.
    """

    samples: np.ndarray
    rate: int

    def __post_init__(self) -> None:
        samples = np.asarray(self.samples)
        if samples.dtype.kind != "f":
            raise BadInput(f"samples of {samples.dtype} have no agreed full scale; give floats from -1 to 1")
        if samples.ndim not in (1, 2):
            raise BadInput(f"samples must be an array (channels, n), got the shape {samples.shape}")
        if int(self.rate) != self.rate:
            raise BadInput(f"the rate must be a whole number of samples a second, got {self.rate}")
        object.__setattr__(self, "samples", np.atleast_2d(samples).astype(np.float32, copy=False))
        object.__setattr__(self, "rate", int(self.rate))

    def __repr__(self) -> str:
        return f"Waveform({self.channels} x {len(self)} samples, {self.rate} Hz, {self.duration:.3f} s)"

    def __len__(self) -> int:
        return self.samples.shape[1]

    @property
    def channels(self) -> int:
        """How many channels there are."""
        return self.samples.shape[0]

    @property
    def duration(self) -> float:
        """Seconds; 0 where the rate makes no sense."""
        return len(self) / self.rate if self.rate > 0 else 0.0

    def mono(self, channel: int | None = None) -> Waveform:
        """One channel: the mean of all, or the one of that number.

        Raises:
            BadOption: there is no channel of that number.
        """
        if channel is None:
            mixed = self.samples if self.channels == 1 else self.samples.mean(axis=0, keepdims=True)
            return Waveform(mixed, self.rate)
        if not 0 <= channel < self.channels:
            raise BadOption(f"there is no channel {channel}: the sound has {self.channels}, counted from 0")
        return Waveform(self.samples[channel : channel + 1], self.rate)

    def resample(self, rate: int) -> Waveform:
        """The sound at another rate, by SoX's resampler at its high quality.

        Raises:
            BadOption: the rate is not above 0.
            BadInput: the sound's own rate is not above 0, or so low that the result would be too large.
        """
        if rate <= 0:
            raise BadOption(f"the rate must be above 0, got {rate}")
        if self.rate <= 0:
            raise BadInput(f"a sound of {self.rate} Hz cannot be resampled")
        if rate == self.rate or not len(self):
            return Waveform(self.samples, rate)
        if rate > self.rate and len(self) * rate // self.rate > LONGEST:
            raise BadInput(
                f"a sound of {self.duration:.0f} s at {self.rate} Hz is too long to be resampled to {rate} Hz;"
                " is its rate right?"
            )
        resampled = soxr.resample(np.ascontiguousarray(self.samples.T), self.rate, rate, quality="HQ")
        return Waveform(np.ascontiguousarray(resampled.T), rate)

    def between(self, start_s: float, end_s: float) -> Waveform:
        """The part between two times in seconds, as far as there is one; a view, not a copy.

        Raises:
            BadOption: the end is before the start, or either is no number.
        """
        if not (math.isfinite(start_s) and math.isfinite(end_s) and start_s <= end_s):
            raise BadOption(f"there is no part from {start_s} s to {end_s} s")
        first, last = (min(max(round(time * self.rate), 0), len(self)) for time in (start_s, end_s))
        return Waveform(self.samples[:, first:last], self.rate)


class Sound(Modality[Waveform]):
    """A sound: a `Waveform` with at least one sample. Silence is a sound."""

    name = "sound"

    def accepts(self, item: object) -> bool:
        return isinstance(item, Waveform)

    def make(self, samples: np.ndarray, rate: int) -> Waveform:
        return Waveform(samples, rate)

    def check(self, sample: Waveform) -> None:
        if sample.rate <= 0:
            raise BadInput(f"the sound says that it has {sample.rate} samples a second; it must be above 0")
        if not sample.samples.size:
            raise BadInput("the sound is empty: it holds no samples")
        if not np.isfinite(sample.samples).all():
            channel, first = np.argwhere(~np.isfinite(sample.samples))[0]
            time = first / sample.rate
            raise BadInput(f"the sound holds samples that are no numbers, first at {time:.3f} s of channel {channel}")

    def show(self, sample: Waveform) -> np.ndarray:
        """Its waveform and its spectrogram, over the whole of it; of several channels their mean."""
        return sound_picture(sample.mono().samples[0], sample.rate)

    def augment(
        self,
        sample: Waveform,
        /,
        *,
        seed: int,
        length: float | None = None,
        gain: float = 6.0,
        shift: float = 0.1,
        noise: float = 0.1,
        mask: float = 0.1,
    ) -> Waveform:
        """The sound louder or softer, moved in time, with noise, and a part of it silenced.

        Args:
            sample: the sound.
            seed: the same seed gives the same result.
            length: seconds of a part taken from anywhere in it; a shorter sound is laid anywhere on silence. None
                leaves it as long as it is.
            gain: most decibels up or down.
            shift: largest share of the whole that it is moved to either side; what leaves at one end comes in at the
                other.
            noise: largest share of its own loudness (root mean square) that is added as white noise.
            mask: largest share of the whole, in one piece, that is silenced.

        Raises:
            BadOption: a share is not inside 0 to 1, the gain is negative, or the length is not above 0.
        """
        for name, share in (("shift", shift), ("noise", noise), ("mask", mask)):
            if not 0 <= share <= 1:
                raise BadOption(f"{name} must be a share from 0 to 1, got {share}")
        if not (0 <= gain < math.inf and (length is None or 0 < length < math.inf)):
            raise BadOption(f"gain must be 0 dB or more and length above 0 s, got {gain} and {length}")
        random = np.random.default_rng(seed)
        samples = sample.samples if length is None else _part(sample, max(1, round(length * sample.rate)), random)
        most = round(shift * samples.shape[1])
        changed = np.roll(samples, int(random.integers(-most, most + 1)), axis=1)
        changed *= np.float32(10 ** (random.uniform(-gain, gain) / 20))
        level = random.uniform(0, noise) * np.sqrt(np.mean(np.square(changed, dtype=np.float64)))
        changed += np.float32(level) * random.standard_normal(changed.shape, np.float32)
        masked = round(random.uniform(0, mask) * changed.shape[1])
        first = int(random.integers(changed.shape[1] - masked + 1))
        changed[:, first : first + masked] = 0
        return Waveform(changed, sample.rate)


def _part(sample: Waveform, count: int, random: np.random.Generator) -> np.ndarray:
    """So many samples from anywhere in a sound, or the sound anywhere among so many."""
    spare = len(sample) - count
    if spare >= 0:
        first = int(random.integers(spare + 1))
        return sample.samples[:, first : first + count]
    before = int(random.integers(-spare + 1))
    return np.pad(sample.samples, ((0, 0), (before, -spare - before)))
