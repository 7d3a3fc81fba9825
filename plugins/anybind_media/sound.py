"""Audio: the modality `sound` with `Waveform` samples."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real

import numpy as np

from anybind.plugin import BadInput, BadOption, Modality, windows
from anybind_media.sound_plot import plot_sound

MAX_SAMPLES = 1 << 28
"""Maximum number of resampled samples a channel (1 GiB): a damaged sample rate must not allocate more."""

MAX_CHANNELS = 1024
"""More channels than this and than samples are an array (n, channels), as soundfile and SciPy read it."""
LONG_US, WINDOW_US = 10_000_000, 5_000_000
"""Longer clips are divided into windows by default, and the length of these; microseconds."""
BLOCK_SAMPLES = 1 << 20
SILENCE = 1e-4
"""RMS level below which a window is silent: -80 dB of full scale."""


@dataclass(frozen=True, eq=False)
class Waveform:
    """An audio clip in memory.

    Attributes:
        samples: float32 (channels, n), nominally from -1 to 1; an array (n,) is one channel.
        rate: sample rate in Hz.

    Raises:
        BadInput: samples that are not floats or of another shape, such as (n, channels), or a sample rate that is not
            an integer.
    """

    samples: np.ndarray
    rate: int

    def __post_init__(self) -> None:
        samples = np.asarray(self.samples)
        if samples.dtype.kind != "f":
            raise BadInput(f"samples: expected floats from -1 to 1, got {samples.dtype}")
        if samples.ndim not in (1, 2):
            raise BadInput(f"samples: expected an array (channels, n), got shape {samples.shape}")
        if samples.ndim == 2 and samples.shape[0] > max(MAX_CHANNELS, samples.shape[1]):
            raise BadInput(f"samples: expected (channels, n), got {samples.shape}; transpose (n, channels)")
        if not isinstance(self.rate, Real) or not math.isfinite(self.rate) or int(self.rate) != self.rate:
            raise BadInput(f"rate: expected an integer sample rate in Hz, got {self.rate}")
        object.__setattr__(self, "samples", np.atleast_2d(samples).astype(np.float32, copy=False))
        object.__setattr__(self, "rate", int(self.rate))

    def __repr__(self) -> str:
        return f"Waveform({self.channels} x {len(self)} samples, {self.rate} Hz, {self.duration:.3f} s)"

    def __len__(self) -> int:
        return self.samples.shape[1]

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.samples.shape[0]

    @property
    def duration(self) -> float:
        """Duration in seconds; 0 for an invalid sample rate."""
        return len(self) / self.rate if self.rate > 0 else 0.0

    def mono(self, channel: int | None = None) -> Waveform:
        """Convert to one channel: the mean of all channels, or the channel with an index.

        Raises:
            BadOption: the channel index is out of range.
        """
        if channel is None:
            mixed = self.samples if self.channels == 1 else self.samples.mean(axis=0, keepdims=True)
            return Waveform(mixed, self.rate)
        if not 0 <= channel < self.channels:
            raise BadOption(f"channel: expected 0 to {self.channels - 1}, got {channel}")
        return Waveform(self.samples[channel : channel + 1], self.rate)

    def resample(self, rate: int) -> Waveform:
        """Resample to another sample rate with SoX's resampler (quality HQ).

        Raises:
            BadOption: the rate is not positive.
            BadInput: the clip's rate is not positive, or so low that the result would be too large.
        """
        if rate <= 0:
            raise BadOption(f"rate: expected a positive sample rate, got {rate}")
        if self.rate <= 0:
            raise BadInput(f"cannot resample an audio clip of {self.rate} Hz")
        if rate == self.rate or not len(self):
            return Waveform(self.samples, rate)
        if rate > self.rate and len(self) * rate // self.rate > MAX_SAMPLES:
            raise BadInput(
                f"audio clip of {self.duration:.0f} s at {self.rate} Hz is too long to resample to {rate} Hz;"
                " check its sample rate"
            )
        import soxr

        resampled = soxr.resample(np.ascontiguousarray(self.samples.T), self.rate, rate, quality="HQ")
        return Waveform(np.ascontiguousarray(resampled.T), rate)

    def between(self, start_s: float, end_s: float) -> Waveform:
        """Return the segment between two times in seconds, clipped to the clip; a view, not a copy.

        Raises:
            BadOption: the end precedes the start, or a time is not finite.
        """
        if not (math.isfinite(start_s) and math.isfinite(end_s) and start_s <= end_s):
            raise BadOption(f"expected start <= end in seconds, got {start_s} and {end_s}")
        first, last = (min(max(round(time * self.rate), 0), len(self)) for time in (start_s, end_s))
        return Waveform(self.samples[:, first:last], self.rate)

    def blocks(self, count: int) -> Iterator[Waveform]:
        """Yield consecutive segments of `count` samples; the last may be shorter. Views, not copies."""
        for first in range(0, len(self), count):
            yield Waveform(self.samples[:, first : first + count], self.rate)


class Sound(Modality[Waveform]):
    """The modality of audio clips: a `Waveform` with at least one sample; silence is valid."""

    name = "sound"
    sample_type = "anybind.plugin.modalities.make_sample('sound', samples, rate)"
    intensity = "sound level, RMS of full scale"

    def accepts(self, item: object) -> bool:
        return isinstance(item, Waveform)

    def make(self, samples: np.ndarray, rate: int) -> Waveform:
        return Waveform(samples, rate)

    def check(self, sample: Waveform) -> None:
        if sample.rate <= 0:
            raise BadInput(f"audio clip: expected a positive sample rate, got {sample.rate} Hz")
        if not len(sample) * sample.channels:
            raise BadInput("empty audio clip")
        if not isinstance(sample, Waveform):  # an `AudioFile`, whose samples are checked when they are read
            return
        if not np.isfinite(sample.samples).all():
            channel, first = np.argwhere(~np.isfinite(sample.samples))[0]
            time = first / sample.rate
            raise BadInput(f"audio clip with non-finite samples, first at {time:.3f} s of channel {channel}")

    def show(self, sample: Waveform) -> np.ndarray:
        """Plot waveform and spectrogram of the mean of all channels."""
        return plot_sound(sample.mono().samples[0], sample.rate)

    def split(self, sample: Waveform, options: windows.WindowOptions) -> Iterator[windows.SampleWindow[Waveform]]:
        """Divide a clip into windows; plain numbers are seconds.

        By default, and for `auto`, clips of more than 10 s have windows of 5 s, and shorter ones are one window. Silent
        windows (below -80 dB of full scale) have the inactivity `silence`.

        Raises:
            BadOption: invalid options, such as a region or a number of events.
        """
        start, end = options.resolve_range(windows.SECONDS)
        length, stride = options.resolve_lengths(windows.SECONDS)
        if options.roi is not None or options.filters or (length is not None and length.in_events):
            raise BadOption("sounds have no region of interest, events or filters: expected a duration, such as 5s")
        duration = round(sample.duration * 1e6)
        first, last = start or 0, duration if end is None else min(end, duration)
        is_long = last - first > LONG_US or stride is not None
        if length is None and (options.window == windows.AUTO or (options.window == "" and is_long)):
            length = windows.WindowLength(WINDOW_US)
        size = last - first if length is None else length.size
        for low, high in windows.iterate_ranges(max(0, last - first), max(1, size), stride.size if stride else size):
            whole = high - low == duration
            part = sample if whole else sample.between((first + low) / 1e6, (first + high) / 1e6)
            level = _measure_level(part)
            inactivity = "" if level >= SILENCE else "silence"
            yield windows.SampleWindow(part, first + low, first + high, whole, inactivity, level)

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
        """Augment an audio clip by random crop, gain, circular shift, white noise and time masking.

        Args:
            sample: audio clip.
            seed: seed of all augmentations.
            length: length of a random crop in seconds; shorter clips are padded with silence. [default: no crop]
            gain: largest gain in dB, up or down.
            shift: largest circular shift to either side, as a fraction of the length.
            noise: largest white noise level, as a fraction of the clip's RMS.
            mask: largest length of one silenced span, as a fraction of the length.

        Raises:
            BadOption: a fraction is not in 0 to 1, the gain is negative, or the length is not positive.
        """
        for name, fraction in (("shift", shift), ("noise", noise), ("mask", mask)):
            if not 0 <= fraction <= 1:
                raise BadOption(f"{name}: expected a fraction from 0 to 1, got {fraction}")
        if not (0 <= gain < math.inf and (length is None or 0 < length < math.inf)):
            raise BadOption(f"expected gain >= 0 dB and length > 0 s, got {gain} and {length}")
        random = np.random.default_rng(seed)
        samples = (
            sample.samples if length is None else _crop_or_pad(sample, max(1, round(length * sample.rate)), random)
        )
        max_shift = round(shift * samples.shape[1])
        augmented = np.roll(samples, int(random.integers(-max_shift, max_shift + 1)), axis=1)
        augmented *= np.float32(10 ** (random.uniform(-gain, gain) / 20))
        level = random.uniform(0, noise) * np.sqrt(np.mean(np.square(augmented, dtype=np.float64)))
        augmented += np.float32(level) * random.standard_normal(augmented.shape, np.float32)
        mask_length = round(random.uniform(0, mask) * augmented.shape[1])
        first = int(random.integers(augmented.shape[1] - mask_length + 1))
        augmented[:, first : first + mask_length] = 0
        return Waveform(augmented, sample.rate)


def _measure_level(sample: Waveform) -> float:
    """Return the RMS of all samples; 0 without samples."""
    energy, count = 0.0, 0
    for block in sample.blocks(BLOCK_SAMPLES):
        energy += float(np.square(block.samples, dtype=np.float64).sum())
        count += block.samples.size
    return math.sqrt(energy / max(1, count))


def _crop_or_pad(sample: Waveform, count: int, random: np.random.Generator) -> np.ndarray:
    """Crop a clip to `count` samples at a random position, or pad it with silence at a random position."""
    spare = len(sample) - count
    if spare >= 0:
        first = int(random.integers(spare + 1))
        return sample.samples[:, first : first + count]
    before = int(random.integers(-spare + 1))
    return np.pad(sample.samples, ((0, 0), (before, -spare - before)))
