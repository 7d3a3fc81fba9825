"""The reader of audio files, by libsndfile, in blocks, so that memory does not depend on lengths in headers."""

from __future__ import annotations

import contextlib
import math
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from anybind import AnybindWarning
from anybind.plugin import BadInput, BadOption, Reader
from anybind_media.sound import Waveform

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
W64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
OGG_AUDIO_MARKS = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC")
OGG_TAIL_BYTES = 1 << 17
"""Bytes at the end of an Ogg file that contain its last page, of at most 64 KiB."""
LAST_PAGE_FLAG = 4
"""Flag of the last page of an Ogg stream."""
UNKNOWN_BYTES = 0x7FFF0000
"""Lengths from this value are placeholders of files written to a pipe."""
DECLARED_LENGTH = re.compile(r": (\d+) \(should be (\d+)\)")
"""libsndfile's note on a declared length that differs from the file."""
MPEG_KBITS = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Bit rates in kbit/s of MPEG-1 (3) and MPEG-2 and 2.5, by the index in the frame header."""
MPEG_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


class SoundReader(Reader):
    """A reader of WAV, RF64, W64, FLAC, Ogg (Vorbis, Opus, FLAC), MP3 and AIFF, of any rate and number of channels."""

    def sniff(self, head: bytes) -> bool:
        return (
            (head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE")
            or (head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"))
            or head.startswith((b"fLaC", b"ID3", W64))
            or (head[:4] == b"OggS" and b"\x80theora" not in head and any(mark in head for mark in OGG_AUDIO_MARKS))
            or _is_mp3(head)
        )

    def read(self, path: Path, *, start: float = 0.0, duration: float | None = None, strict: bool = False) -> Waveform:
        """Read an audio clip, or a segment of it.

        Args:
            path: audio file.
            start: start of the segment in seconds.
            duration: duration of the segment in seconds, clipped to the end. [default: to the end]
            strict: fail for a truncated file, instead of a warning.

        Raises:
            BadInput: not an audio file, damaged before the first sample, or shorter than `start`.
            BadOption: the start is negative, or the duration is not positive.
        """
        with _open_file(path) as file:
            blocks = list(_read_blocks(path, file, _get_range(path, file, start, duration), strict))
            return _make_waveform(blocks, file)

    def chunks(
        self, path: Path, *, count: int, start: float = 0.0, duration: float | None = None, strict: bool = False
    ) -> Iterator[Waveform]:
        """Read as `read`, in chunks of `count` samples a channel (the last may be shorter)."""
        with _open_file(path) as file:
            waiting: list[np.ndarray] = []
            n_waiting = 0
            for block in _read_blocks(path, file, _get_range(path, file, start, duration), strict):
                waiting.append(block)
                n_waiting += len(block)
                while n_waiting >= count:
                    joined = np.concatenate(waiting)
                    yield _make_waveform([joined[:count]], file)
                    waiting, n_waiting = [joined[count:]], n_waiting - count
            if n_waiting:
                yield _make_waveform(waiting, file)

    def write(self, sample: Waveform, path: Path) -> None:
        """Write an audio clip in the format of the suffix: WAV, AIFF, RF64 and W64 as lossless float32.

        FLAC has 24 bits, Ogg and MP3 their default quality. Formats with a full scale clip samples outside -1 to 1,
        with a warning.
        """
        container, subtype = WRITE_FORMATS[path.suffix.lower()]
        peak = float(np.abs(sample.samples).max(initial=0))
        if subtype != "FLOAT" and peak > 1:
            warnings.warn(
                f"clipped samples beyond the full scale of {container} (peak {peak:.2f} of 1)", AnybindWarning, 2
            )
        try:
            shape = sample.rate, sample.channels
            with soundfile.SoundFile(os.fsencode(path), "w", *shape, subtype, format=container) as file:  # pyright: ignore[reportArgumentType]
                # libsndfile's Vorbis encoder overflows the stack on long blocks.
                for first in range(0, len(sample), BLOCK_SAMPLES):
                    file.write(np.ascontiguousarray(sample.samples[:, first : first + BLOCK_SAMPLES].T))
        except soundfile.LibsndfileError as error:
            raise BadInput(
                f"{container} does not support {sample.channels} channels at {sample.rate} Hz ({_get_reason(error)})"
            ) from error


@dataclass(frozen=True)
class _SampleRange:
    """A range of samples: `count` from index `first`, or all from there."""

    first: int
    count: int | None


def _get_range(path: Path, file: soundfile.SoundFile, start: float, duration: float | None) -> _SampleRange:
    if not (math.isfinite(start) and start >= 0):
        raise BadOption(f"start: expected seconds >= 0, got {start}")
    if duration is not None and not (math.isfinite(duration) and duration > 0):
        raise BadOption(f"duration: expected seconds > 0, got {duration}")
    first = round(start * file.samplerate)
    if first and first >= file.frames:
        raise BadInput(f"{path}: start {start} s is beyond its duration of {file.frames / file.samplerate:.3f} s")
    return _SampleRange(first, None if duration is None else max(1, round(duration * file.samplerate)))


@contextlib.contextmanager
def _open_file(path: Path) -> Iterator[soundfile.SoundFile]:
    # soundfile takes a name that ends in .raw for samples without a header; a descriptor has no name.
    raw = open(os.open(path, os.O_RDONLY), "rb") if path.suffix.lower() == ".raw" else None  # noqa: PTH123, SIM115
    try:
        file = soundfile.SoundFile(raw or os.fsencode(path))  # pyright: ignore[reportArgumentType]  # any bytes
    except soundfile.LibsndfileError as error:
        reason = _get_reason(error)
        if "SF_INFO" in reason:
            reason = "invalid sample rate or number of channels in its header"
        raise BadInput(f"{path}: not a readable audio file: {reason}; save it again") from error
    with file, raw or contextlib.nullcontext():
        yield file


def _read_blocks(path: Path, file: soundfile.SoundFile, span: _SampleRange, strict: bool) -> Iterator[np.ndarray]:
    """Read samples, float32 (n, channels), up to the end or the first damage, which is reported."""
    problem = _explain_truncation(path, file)
    n_read = 0
    try:
        if span.first:
            file.seek(span.first)
        while span.count is None or n_read < span.count:
            block = file.read(
                BLOCK_SAMPLES if span.count is None else min(BLOCK_SAMPLES, span.count - n_read), "float32", True
            )
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


def _explain_truncation(path: Path, file: soundfile.SoundFile) -> str | None:
    """Explain why a file is truncated, by its header and its end; None if it is not."""
    if file.format == "OGG":
        with path.open("rb") as raw:
            size = raw.seek(0, os.SEEK_END)
            raw.seek(max(0, size - OGG_TAIL_BYTES))
            tail = raw.read()
        last = tail.rfind(b"OggS")
        is_complete = last >= 0 and len(tail) > last + 5 and tail[last + 5] & LAST_PAGE_FLAG
        return None if is_complete else f"truncated at byte {size}, before the last page"
    lengths = [(int(declared), int(actual)) for declared, actual in DECLARED_LENGTH.findall(file.extra_info)]
    if any(actual < declared < UNKNOWN_BYTES for declared, actual in lengths):
        return f"truncated at byte {path.stat().st_size}, less than declared in the header"
    return None


def _make_waveform(blocks: list[np.ndarray], file: soundfile.SoundFile) -> Waveform:
    joined = np.concatenate(blocks) if blocks else np.empty((0, file.channels), np.float32)
    return Waveform(np.ascontiguousarray(joined.T), file.samplerate)


def _get_reason(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).strip().rstrip(".")


def _is_mp3(head: bytes) -> bool:
    """Return whether the head is one or two consecutive frames of MPEG layer III."""
    length = _get_mp3_frame_length(head)
    return bool(length) and (len(head) < length + 4 or bool(_get_mp3_frame_length(head[length:])))


def _get_mp3_frame_length(head: bytes) -> int:
    """Return the length in bytes of the frame at the start, including its header; 0 if there is none."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0 or head[1] & 6 != 2:
        return 0
    version, bitrate, rate, padding = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or bitrate in (0, 15) or rate == 3:
        return 0
    samples = 144 if version == 3 else 72
    return samples * 1000 * MPEG_KBITS[3 if version == 3 else 2][bitrate] // MPEG_HZ[version][rate] + padding
