"""Audio tracks of MP4, M4A, AAC, WebM, MKV and other containers, decoded by FFmpeg through PyAV as a stream."""

from __future__ import annotations

import contextlib
import itertools
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError

from anybind import AnybindWarning
from anybind.plugin import BadInput, BadOption
from anybind_media.mp4_index import check_sample_counts

DECODING_ERRORS = (FFmpegError, IndexError, ValueError)
"""Errors of PyAV on damaged files."""
MAX_CHANNELS = 1024
PREROLL_S = 1.0
"""Audio decoded before the start of a segment, so that the decoder has the state of one from the beginning."""
MAX_ROUNDING_S = 0.002
"""Largest rounding of the times of frames in a container, in seconds."""
EXACT_CODECS = ("alac", "flac", "mp3", "pcm_", "opus")
"""Codecs whose decoders give equal samples after `PREROLL_S`: AAC and AC-3 have noise generators, which do not."""
TRUNCATION_TOLERANCE_S = 0.25
"""Audio that ends this many seconds before its declared end is truncated; encoders pad by up to 0.1 s."""


@dataclass
class AudioTrack:
    """An open audio track.

    Attributes:
        rate: sample rate in Hz.
        channels: number of channels.
        declared: declared duration in seconds; 0 if unknown.
        container, stream: the file and its track in PyAV.
    """

    rate: int
    channels: int
    declared: float
    container: InputContainer
    stream: AudioStream

    def decode(self, path: Path, start: int = 0, count: int | None = None) -> Iterator[np.ndarray]:
        """Decode samples, float32 (n, channels), from index `start` on, up to `count`.

        Raises:
            BadInput: the track is damaged, changes its sample rate or channels, or ends early; raised after the samples
                before.
        """
        resampler = av.AudioResampler("fltp")
        position, end = 0, None if count is None else start + count
        try:
            position, frames = self._seek(start)
            for frame in frames:
                if (frame.sample_rate, frame.layout.nb_channels) != (self.rate, self.channels):
                    raise BadInput(
                        f"{path}: expected {self.rate} Hz and {self.channels} channels as before, got"
                        f" {frame.sample_rate} Hz and {frame.layout.nb_channels}"
                    )
                for each in resampler.resample(frame):
                    samples = each.to_ndarray().T
                    first = max(0, start - position)
                    block = samples[first : None if end is None else max(first, end - position)]
                    position += len(samples)
                    if len(block):
                        yield block
                if end is not None and position >= end:
                    return
        except DECODING_ERRORS as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise BadInput(f"{path}: damaged or truncated after {position / self.rate:.3f} s ({reason})") from error
        if position / self.rate < self.declared - max(TRUNCATION_TOLERANCE_S, 0.01 * self.declared):
            raise BadInput(
                f"{path}: truncated: expected {self.declared:.2f} s, got {position / self.rate:.2f} s; copy it again"
            )

    def _seek(self, start: int) -> tuple[int, Iterator[av.AudioFrame]]:
        """Return frames from some time before a sample on, and the index of their first sample.

        Containers round times, to milliseconds in Matroska: an index is that of the nearest frame, if all frames have
        the same length. Otherwise, and for codecs that are not exact, the frames are those from the beginning.
        """
        frames = self.container.decode(self.stream)
        if start < 2 * PREROLL_S * self.rate or not self.stream.codec_context.name.startswith(EXACT_CODECS):
            return 0, frames
        beginning = list(itertools.islice(frames, 3))
        lengths, times = [each.samples for each in beginning], [each.time for each in beginning]
        if len(beginning) == 3 and lengths[1] == lengths[2] and times[1] is not None:
            target = times[1] + (start - lengths[0]) / self.rate - PREROLL_S
            self.container.seek(round(target / (self.stream.time_base or Fraction(1, self.rate))), stream=self.stream)
            frames = self.container.decode(self.stream)
            first = next(frames, None)
            if first is not None and first.time is not None:
                number = (first.time - times[1]) * self.rate / lengths[1]
                position = lengths[0] + round(number) * lengths[1]
                if abs(number - round(number)) * lengths[1] <= MAX_ROUNDING_S * self.rate and position <= start:
                    return position, itertools.chain([first], frames)
        self.container.seek(0, stream=self.stream)
        return 0, self.container.decode(self.stream)


@contextlib.contextmanager
def open_track(path: Path, track: int | None = None) -> Iterator[AudioTrack]:
    """Open an audio track of a file: the one that a player selects, or the track with a number from 0.

    Raises:
        BadInput: not a readable file, no audio, or a codec that is not installed.
        BadOption: the file has no audio track of that number.
    """
    check_sample_counts(path)
    try:
        container = av.open(f"file:{os.fspath(path)}", metadata_errors="replace")
    except DECODING_ERRORS as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadInput(f"{path}: not a complete audio file ({reason}); copy or save it again") from error
    with container:
        tracks = container.streams.audio
        if not tracks:
            types = ", ".join(each.type for each in container.streams) or "no streams"
            raise BadInput(f"{path}: expected an audio track, got {types}")
        if track is not None and not 0 <= track < len(tracks):
            raise BadOption(f"track: expected 0 to {len(tracks) - 1}, got {track}")
        best = container.streams.best("audio")
        stream = tracks[track] if track is not None else best if isinstance(best, AudioStream) else tracks[0]
        if track is None and len(tracks) > 1:
            message = f"{path}: read audio track {tracks.index(stream)} of {len(tracks)}; choose another with track="
            warnings.warn(message, AnybindWarning, stacklevel=2)
        if stream.codec_context is None:
            raise BadInput(f"{path}: unsupported audio codec in the installed FFmpeg; convert it to FLAC")
        if not stream.rate or not 0 < stream.channels <= MAX_CHANNELS:
            raise BadInput(f"{path}: invalid sample rate or number of channels in its header; save it again")
        yield AudioTrack(stream.rate, stream.channels, _get_declared_duration(container, stream), container, stream)


def _get_declared_duration(container: InputContainer, stream: AudioStream) -> float:
    """Return the declared duration of the track in seconds; 0 if not declared, or only estimated from bit rates."""
    if container.format.name in ("aac", "mp3", "flac", "ogg"):
        return 0.0
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    is_single = len(container.streams) == 1  # video may be longer
    return container.duration / av.time_base if is_single and container.duration else 0.0
