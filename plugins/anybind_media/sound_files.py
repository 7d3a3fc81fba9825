"""The reader of audio files, in blocks, so that memory does not depend on lengths in headers.

libsndfile reads audio formats, FFmpeg (by PyAV) the audio tracks of other containers.
"""

from __future__ import annotations

import contextlib
import math
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from anybind import AnybindWarning
from anybind.plugin import BadInput, BadOption, Reader, readers
from anybind_media.containers import is_audio_container, is_container, is_mp3
from anybind_media.sound import Waveform
from anybind_media.sound_clip import Clip, check_samples, limit_blocks
from anybind_media.sound_headers import W64, PatchedFile, find_undeclared
from anybind_media.sound_parts import LARGE_SAMPLES, AudioFile

if TYPE_CHECKING:
    from anybind_media.sequential_sound import SequentialFile

MAX_SAMPLES = 1 << 27
"""Default limit of the samples of all channels (512 MiB): 46 minutes at 48 kHz."""
BLOCK_SAMPLES = 4096
"""Samples a channel decoded at once, and the largest loss before a damaged position."""
WRITE_FORMATS = {
    ".wav": ("WAV", "FLOAT"),
    ".flac": ("FLAC", "PCM_24"),
    ".ogg": ("OGG", "VORBIS"),
    ".oga": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
    ".aiff": ("AIFF", "FLOAT"),
    ".aif": ("AIFF", "FLOAT"),
    ".rf64": ("RF64", "FLOAT"),
    ".w64": ("W64", "FLOAT"),
}
"""Container and encoding of written files, by suffix."""
OGG_FLAC = b"\x7fFLAC"
OGG_AUDIO_MARKS = (b"\x01vorbis", b"OpusHead", OGG_FLAC)
HEAD_BYTES = 4096
MAX_SAMPLES_PER_BYTE = 1 << 13
"""More than a byte of FLAC can hold, the densest format: a header that declares more is wrong, or has no length."""
PART_BYTES = 1 << 24
"""About the memory of the parts of an `AudioFile`."""


class SoundReader(Reader):
    """A reader of WAV, RF64, W64, FLAC, Ogg (Vorbis, Opus, FLAC), MP3, AIFF, M4A, AAC and audio tracks of videos.

    Audio beyond the length that a header declares is read, with a warning.
    """

    def sniff(self, head: bytes) -> bool:
        return (
            (head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE")
            or (head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"))
            or head.startswith((b"fLaC", b"ID3", W64))
            or (head[:4] == b"OggS" and b"\x80theora" not in head and any(mark in head for mark in OGG_AUDIO_MARKS))
            or is_audio_container(head)
            or is_mp3(head)
        )

    def read(
        self,
        path: Path,
        *,
        start: float = 0.0,
        duration: float | None = None,
        strict: bool = False,
        track: int | None = None,
        max_samples: int = MAX_SAMPLES,
        in_parts: bool = False,
    ) -> Waveform | AudioFile:
        """Read an audio clip, or a segment of it.

        Args:
            path: audio file, or video with an audio track.
            start: start of the segment in seconds.
            duration: duration of the segment in seconds, clipped to the end. [default: to the end]
            strict: fail for a truncated file or a header that declares less than the file contains, instead of a
                warning.
            track: number of the audio track, from 0. [default: the one that a player selects]
            max_samples: largest number of samples of all channels of the segment, checked before decoding if the file
                declares its length, else while decoding. A sample takes 4 bytes. [default: 134,217,728]
            in_parts: return a complete file of more than 33,554,432 samples as an `AudioFile`, whose parts are read
                when they are used: only its `samples` are limited by `max_samples`. Not for containers of videos.

        Raises:
            BadInput: not an audio file, no audio track, damaged before the first sample, shorter than `start`, or of
                more than `max_samples`.
            BadOption: the start is negative, the duration is not positive, `max_samples` is less than 1, or there is no
                such track.
            MissingExtra: a container that needs PyAV, which is not installed.
        """
        if max_samples < 1:
            raise BadOption(f"max_samples: expected at least 1, got {max_samples}")
        with _open_clip(path, start, duration, strict, track) as clip:
            n_samples = clip.declared * clip.channels
            if in_parts and not start and duration is None and clip.is_exact and n_samples > LARGE_SAMPLES:
                readers.reserve_memory(PART_BYTES)
                return self._open_parts(path, clip, strict, max_samples)
            check_samples(path, n_samples, clip, max_samples)
            readers.reserve_memory(2 * np.dtype(np.float32).itemsize * n_samples)
            return clip.join(limit_blocks(path, clip, max_samples))

    def _open_parts(self, path: Path, clip: Clip, strict: bool, max_samples: int) -> AudioFile:
        def read_blocks(first: int, count: int) -> Iterator[np.ndarray]:
            with _open_clip(path, first / clip.rate, count / clip.rate, strict, None) as part:
                yield from part.blocks

        return AudioFile(read_blocks, clip.declared, clip.rate, clip.channels, clip.rate, max_samples=max_samples)

    def chunks(
        self,
        path: Path,
        *,
        count: int,
        start: float = 0.0,
        duration: float | None = None,
        strict: bool = False,
        track: int | None = None,
    ) -> Iterator[Waveform]:
        """Read as `read`, in chunks of `count` samples a channel (the last may be shorter)."""
        with _open_clip(path, start, duration, strict, track) as clip:  # in bounded memory: no limit of samples
            waiting: list[np.ndarray] = []
            n_waiting = 0
            for block in clip.blocks:
                waiting.append(block)
                n_waiting += len(block)
                while n_waiting >= count:
                    joined = np.concatenate(waiting)
                    yield clip.join([joined[:count]])
                    waiting, n_waiting = [joined[count:]], n_waiting - count
            if n_waiting:
                yield clip.join(waiting)

    def write(self, sample: Waveform, path: Path) -> None:
        """Write an audio clip in the format of the suffix: WAV, AIFF, RF64 and W64 as lossless float32.

        FLAC has 24 bits, Ogg and MP3 their default quality. Formats with a full scale clip samples outside -1 to 1,
        with a warning.
        """
        if path.suffix.lower() not in WRITE_FORMATS:
            raise BadInput(f"this format can be read and not written; supported: {', '.join(WRITE_FORMATS)}")
        import soundfile

        container, subtype = WRITE_FORMATS[path.suffix.lower()]
        peak = float(np.abs(sample.samples).max(initial=0))
        if subtype != "FLOAT" and peak > 1:
            message = f"clipped samples beyond the full scale of {container} (peak {peak:.2f} of 1)"
            warnings.warn(message, AnybindWarning, 2)
        try:
            shape = sample.rate, sample.channels
            with soundfile.SoundFile(os.fsencode(path), "w", *shape, subtype, format=container) as file:  # pyright: ignore[reportArgumentType]
                # libsndfile's Vorbis encoder overflows the stack on long blocks.
                for first in range(0, len(sample), BLOCK_SAMPLES):
                    file.write(np.ascontiguousarray(sample.samples[:, first : first + BLOCK_SAMPLES].T))
        except soundfile.LibsndfileError as error:
            audio = f"{sample.channels} channels at {sample.rate} Hz"
            raise BadInput(f"{container} does not support {audio} ({_get_reason(error)})") from error


@dataclass(frozen=True)
class _SampleRange:
    """A range of samples: `count` from index `first`, or all from there."""

    first: int
    count: int | None


@contextlib.contextmanager
def _open_clip(path: Path, start: float, duration: float | None, strict: bool, track: int | None) -> Iterator[Clip]:
    """Open a segment of an audio file by libsndfile, or by FFmpeg if libsndfile cannot read all of it."""
    if not (math.isfinite(start) and start >= 0):
        raise BadOption(f"start: expected seconds >= 0, got {start}")
    if duration is not None and not (math.isfinite(duration) and duration > 0):
        raise BadOption(f"duration: expected seconds > 0, got {duration}")
    with path.open("rb") as raw:
        head = raw.read(HEAD_BYTES)
    # libsndfile cannot open FLAC in Ogg as FFmpeg writes it.
    is_ogg_flac = head.startswith(b"OggS") and OGG_FLAC in head
    if not (is_container(head) or is_ogg_flac) and track in (None, 0):
        with _open_file(path) as file:
            excess = find_undeclared(path, is_mp3)
            if excess is None:
                yield _make_clip(path, file, start, duration, strict)
                return
        if excess.reason and strict:
            raise BadInput(f"{path}: wrong length in its header: {excess.reason}; save it again")
        if excess.reason:
            message = f"{path}: wrong length in its header, read to the end: {excess.reason}"
            warnings.warn(message, AnybindWarning, stacklevel=2)
        if excess.patches:
            with _open_file(path, PatchedFile(path, excess.patches)) as file:
                yield _make_clip(path, file, start, duration, strict)
                return
    from anybind_media.sound_decoder import open_track

    with open_track(path, track) as opened:
        span = _convert_to_samples(opened.rate, start, duration)
        blocks = opened.decode(path, span.first, span.count)
        rest = max(0, round(opened.declared * opened.rate) - span.first)
        declared = rest if span.count is None else min(rest, span.count)
        yield Clip(opened.rate, opened.channels, _check_blocks(path, blocks, start, strict), declared)


def _make_clip(path: Path, file: SequentialFile, start: float, duration: float | None, strict: bool) -> Clip:
    span = _get_range(path, file, start, duration)
    is_known = file.frames <= MAX_SAMPLES_PER_BYTE * path.stat().st_size
    rest = file.frames - span.first if is_known else 0
    declared = rest if span.count is None else min(rest, span.count)
    blocks = _read_blocks(path, file, span, strict)
    return Clip(file.samplerate, file.channels, blocks, declared, is_exact=is_known and file.can_seek)


def _check_blocks(path: Path, blocks: Iterator[np.ndarray], start: float, strict: bool) -> Iterator[np.ndarray]:
    """Yield blocks up to the end or the first damage, which is reported."""
    n_read = 0
    try:
        for block in blocks:
            n_read += len(block)
            yield block
    except BadInput as error:
        if strict or not n_read:
            raise
        problem = str(error).removeprefix(f"{path}: ")
        warnings.warn(f"{path}: incomplete audio file, read partially: {problem}", AnybindWarning, stacklevel=2)
    if not n_read:
        raise BadInput(f"{path}: no audio from start {start} s on")


def _get_range(path: Path, file: SequentialFile, start: float, duration: float | None) -> _SampleRange:
    span = _convert_to_samples(file.samplerate, start, duration)
    if span.first and span.first >= file.frames:
        raise BadInput(f"{path}: start {start} s is beyond its duration of {file.frames / file.samplerate:.3f} s")
    return span


def _convert_to_samples(rate: int, start: float, duration: float | None) -> _SampleRange:
    return _SampleRange(round(start * rate), None if duration is None else max(1, round(duration * rate)))


@contextlib.contextmanager
def _open_file(path: Path, patched: PatchedFile | None = None) -> Iterator[SequentialFile]:
    """Open a file, or a file with a corrected header."""
    import soundfile

    from anybind_media.sequential_sound import SequentialFile

    # soundfile takes a name that ends in .raw for samples without a header; a file object has no name that it reads.
    is_named_raw = patched is None and path.suffix.lower() == ".raw"
    source = open(os.open(path, os.O_RDONLY), "rb") if is_named_raw else patched  # noqa: PTH123, SIM115
    with source or contextlib.nullcontext():
        try:
            # Bytes, since a path need not be valid UTF-8.
            file = SequentialFile(source or os.fsencode(path))  # pyright: ignore[reportArgumentType]
        except soundfile.LibsndfileError as error:
            reason = _get_reason(error)
            if "SF_INFO" in reason:
                reason = "invalid sample rate or number of channels in its header"
            raise BadInput(f"{path}: not a readable audio file: {reason}; save it again") from error
        with file:
            yield file


def _read_blocks(path: Path, file: SequentialFile, span: _SampleRange, strict: bool) -> Iterator[np.ndarray]:
    """Read samples, float32 (n, channels), up to the end or the first damage, which is reported."""
    import soundfile

    from anybind_media.sequential_sound import explain_truncation

    problem = explain_truncation(path, file)
    n_read = 0
    try:
        if span.first:
            file.move_to(span.first)
        while span.count is None or n_read < span.count:
            count = BLOCK_SAMPLES if span.count is None else min(BLOCK_SAMPLES, span.count - n_read)
            block = file.read(count, "float32", True)
            if not len(block):
                break
            n_read += len(block)
            yield block
    except soundfile.SoundFileError:  # its message does not help users
        problem = f"damaged or truncated after {n_read / file.samplerate:.3f} s"
    else:
        expected = min(file.frames - span.first, file.frames if span.count is None else span.count)
        if problem is None and n_read < expected:
            problem = f"expected {expected} samples, got {n_read}"
    if problem is None:
        return
    if strict or not n_read:
        raise BadInput(f"{path}: incomplete audio file: {problem}; copy it again")
    warnings.warn(f"{path}: incomplete audio file, read partially: {problem}", AnybindWarning, stacklevel=2)


def _get_reason(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).strip().rstrip(".")
