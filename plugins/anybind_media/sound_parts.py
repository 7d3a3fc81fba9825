"""`AudioFile`: a long audio recording of which only the used parts are read, with the interface of a `Waveform`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from anybind.plugin import BadInput, BadOption
from anybind_media.sound import Waveform

LARGE_SAMPLES = 1 << 25
"""Number of samples of all channels from which a recording is read in parts, if a reader may: 12 minutes at 48 kHz."""
MARGIN_S = 0.25
"""Audio before and after a part that is resampled with it, in seconds: much longer than the resampler's filter."""
BLOCK_SAMPLES = 1 << 16

ReadBlocks = Callable[[int, int], Iterator[np.ndarray]]
"""Reads blocks of samples, float32 (n, channels), from an index on, up to a count."""


@dataclass(frozen=True, eq=False)
class AudioFile:
    """A long recording, read in parts at each use; equal to its `Waveform` up to rounding (1e-6).

    Attributes:
        read_blocks: reads samples of the file.
        n_stored: number of samples of a channel in the file.
        stored_rate: sample rate of the file in Hz.
        n_channels: number of channels of the file.
        rate: sample rate in Hz that parts are resampled to.
        channel: the selected channel, "mean" of all channels, or None for all channels.
        max_samples: largest number of samples of all channels of `samples`.
    """

    read_blocks: ReadBlocks
    n_stored: int
    stored_rate: int
    n_channels: int
    rate: int
    channel: int | str | None = None
    max_samples: int = 0

    def __len__(self) -> int:
        return int(self.n_stored * self.rate / self.stored_rate + 0.5)

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.n_channels if self.channel is None else 1

    @property
    def duration(self) -> float:
        """Duration in seconds."""
        return self.n_stored / self.stored_rate

    @property
    def samples(self) -> np.ndarray:
        """All samples, float32 (channels, n), read at each call.

        Raises:
            BadInput: there are more than `max_samples`.
        """
        if len(self) * self.channels > self.max_samples:
            raise BadInput(f"{len(self) * self.channels} samples exceed the limit of {self.max_samples}")
        return np.concatenate([each.samples for each in self.blocks(BLOCK_SAMPLES)], axis=1)

    def mono(self, channel: int | None = None) -> AudioFile:
        """Select one channel: the mean of all channels, or the channel with an index.

        Raises:
            BadOption: the channel index is out of range.
        """
        if channel is not None and not 0 <= channel < self.channels:
            raise BadOption(f"channel: expected 0 to {self.channels - 1}, got {channel}")
        if self.channel is not None or self.n_channels == 1:
            return self
        return replace(self, channel="mean" if channel is None else channel)

    def resample(self, rate: int) -> AudioFile:
        """Resample parts to another sample rate when they are read, as `Waveform.resample` does.

        Raises:
            BadOption: the rate is not positive.
        """
        if rate <= 0:
            raise BadOption(f"rate: expected a positive sample rate, got {rate}")
        return replace(self, rate=rate)

    def between(self, start_s: float, end_s: float) -> Waveform:
        """Read the segment between two times in seconds, clipped to the recording.

        Raises:
            BadInput: the segment is damaged, or has samples that are not finite.
            BadOption: the end precedes the start, or a time is not finite.
        """
        if not (math.isfinite(start_s) and math.isfinite(end_s) and start_s <= end_s):
            raise BadOption(f"expected start <= end in seconds, got {start_s} and {end_s}")
        first, last = (min(max(round(time * self.rate), 0), len(self)) for time in (start_s, end_s))
        # `up` samples of the result are `down` stored ones: a part that begins at a multiple of them is resampled as if
        # the recording were resampled as a whole.
        common = math.gcd(self.rate, self.stored_rate)
        up, down = self.rate // common, self.stored_rate // common
        margin = math.ceil(MARGIN_S * self.stored_rate / down) if up != down else 0
        begin, end = max(0, first // up - margin), -(-last // up) + margin
        count = min(end * down, self.n_stored) - begin * down
        stored = [self._select(block) for block in self.read_blocks(begin * down, count)] if last > first else []
        joined = np.concatenate(stored) if stored else np.empty((0, self.channels), np.float32)
        if up != down and len(joined):
            import soxr

            joined = soxr.resample(joined, self.stored_rate, self.rate, quality="HQ")
        return Waveform(np.ascontiguousarray(joined[first - begin * up : last - begin * up].T), self.rate)

    def blocks(self, count: int) -> Iterator[Waveform]:
        """Read all of the recording in consecutive segments of about `count` stored samples.

        Raises:
            BadInput: the recording is damaged, or has samples that are not finite.
        """
        stream = None
        if self.rate != self.stored_rate:
            import soxr

            stream = soxr.ResampleStream(self.stored_rate, self.rate, self.channels, "float32", "HQ")
        for first in range(0, self.n_stored, count):
            stored = [self._select(block) for block in self.read_blocks(first, min(count, self.n_stored - first))]
            block = np.concatenate(stored)
            if stream is not None:
                block = stream.resample_chunk(block, last=first + count >= self.n_stored)
            if len(block):
                yield Waveform(np.ascontiguousarray(block.reshape(-1, self.channels).T), self.rate)

    def _select(self, block: np.ndarray) -> np.ndarray:
        if not np.isfinite(block).all():
            raise BadInput("audio clip with non-finite samples")
        if self.channel is None:
            return block
        # The mean over rows, as of `Waveform`: the order of the sum is equal.
        mixed = block[:, self.channel] if isinstance(self.channel, int) else block.T.mean(axis=0)
        return np.ascontiguousarray(mixed[:, None])
