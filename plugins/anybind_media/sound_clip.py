"""`Clip`: an open audio file while it is decoded, and the limit of its samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anybind.plugin import BadInput
from anybind_media.sound import Waveform


@dataclass(frozen=True)
class Clip:
    """An open audio clip: sample rate in Hz, number of channels, and blocks of samples, float32 (n, channels).

    Attributes:
        declared: declared number of samples a channel; 0 if unknown.
        is_exact: the file can be read from any sample on.
    """

    rate: int
    channels: int
    blocks: Iterator[np.ndarray]
    declared: int
    is_exact: bool = False

    def join(self, blocks: Iterable[np.ndarray]) -> Waveform:
        """Join blocks of samples; memory grows with the samples read, whatever the header declares."""
        joined, n_read = np.empty((0, self.channels), np.float32), 0
        for block in blocks:
            if n_read + len(block) > len(joined):
                joined.resize((n_read + max(len(block), n_read // 4), self.channels), refcheck=False)
            joined[n_read : n_read + len(block)] = block
            n_read += len(block)
        joined.resize((n_read, self.channels), refcheck=False)
        return Waveform(np.ascontiguousarray(joined.T), self.rate)


def check_samples(path: Path, n_samples: int, clip: Clip, max_samples: int) -> None:
    """Raise `BadInput` for more samples of all channels than `max_samples`."""
    if n_samples > max_samples:
        seconds = n_samples / clip.channels / clip.rate
        raise BadInput(
            f"{path}: {n_samples} samples ({seconds:.0f} s, {clip.channels} channels) exceed the limit of"
            f" {max_samples}; read a segment with start= and duration=, or raise the limit: max_samples={n_samples}"
        )


def limit_blocks(path: Path, clip: Clip, max_samples: int) -> Iterator[np.ndarray]:
    """Yield the blocks of a clip; raise `BadInput` when they are more than `max_samples` samples."""
    n_samples = 0
    for block in clip.blocks:
        n_samples += block.size
        check_samples(path, n_samples, clip, max_samples)
        yield block
