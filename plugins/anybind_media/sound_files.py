"""The reader of sound files, by libsndfile: block by block, in memory that does not grow with what a header claims."""

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

BLOCK = 4096
"""Samples a channel that are decoded at once: so many are lost before a damaged place, at most."""
FORMATS = {
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
"""How sounds are written, by the file name's ending."""
W64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
OGG_SOUNDS = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC")
OGG_TAIL = 1 << 17
"""Bytes at the end of an Ogg file that are sure to hold its last page, which is of at most 64 KiB."""
LAST_PAGE = 4
"""Flag of the page that ends a stream of Ogg."""
UNKNOWN_BYTES = 0x7FFF0000
"""Lengths from here on stand in headers that were written before the length was known, as into a pipe."""
DECLARED = re.compile(r": (\d+) \(should be (\d+)\)")
"""How libsndfile notes that a header tells of more bytes, or fewer, than there are."""
MPEG_KBITS = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Kilobits a second of the frames of MPEG-1 (3) and MPEG-2 and 2.5, by the number in the frame's header."""
MPEG_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


class SoundReader(Reader):
    """WAV, RF64, W64, FLAC, Ogg (Vorbis, Opus, FLAC), MP3 and AIFF, of any rate and number of channels."""

    def sniff(self, head: bytes) -> bool:
        return (
            (head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE")
            or (head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"))
            or head.startswith((b"fLaC", b"ID3", W64))
            or (head[:4] == b"OggS" and b"\x80theora" not in head and any(mark in head for mark in OGG_SOUNDS))
            or _is_mp3(head)
        )

    def read(self, path: Path, *, start: float = 0.0, duration: float | None = None, strict: bool = False) -> Waveform:
        """The sound, or a part of it.

        Args:
            path: the file.
            start: where the part begins, in seconds.
            duration: how long it is, in seconds; to the end by default. A part may be cut short by the end.
            strict: refuse a file that is cut off, of which what there is would else be read, with a warning.

        Raises:
            BadInput: the file is no sound, damaged before its first sample, or ends before the part begins.
            BadOption: the start is below 0, or the duration not above it.
        """
        with _opened(path) as file:
            blocks = list(_blocks(path, file, _span(path, file, start, duration), strict))
            return _waveform(blocks, file)

    def chunks(
        self, path: Path, *, count: int, start: float = 0.0, duration: float | None = None, strict: bool = False
    ) -> Iterator[Waveform]:
        """As `read`, in parts of `count` samples a channel (the last may be shorter)."""
        with _opened(path) as file:
            waiting: list[np.ndarray] = []
            held = 0
            for block in _blocks(path, file, _span(path, file, start, duration), strict):
                waiting.append(block)
                held += len(block)
                while held >= count:
                    joined = np.concatenate(waiting)
                    yield _waveform([joined[:count]], file)
                    waiting, held = [joined[count:]], held - count
            if held:
                yield _waveform(waiting, file)

    def write(self, sample: Waveform, path: Path) -> None:
        """Write a sound in the format of the ending: WAV, AIFF, RF64 and W64 in float32, without any loss.

        FLAC gets 24 bits, Ogg and MP3 their usual quality. Where a format has a full scale, what is beyond -1 to 1 is
        clipped, with a warning.
        """
        kind, subtype = FORMATS[path.suffix.lower()]
        loudest = float(np.abs(sample.samples).max(initial=0))
        if subtype != "FLOAT" and loudest > 1:
            warnings.warn(
                f"the sound is louder than {kind} can tell ({loudest:.2f} of 1) and is clipped", AnybindWarning, 2
            )
        try:
            shape = sample.rate, sample.channels
            with soundfile.SoundFile(os.fsencode(path), "w", *shape, subtype, format=kind) as file:  # pyright: ignore[reportArgumentType]
                for first in range(0, len(sample), BLOCK):  # libsndfile's Vorbis overflows the stack on long blocks
                    file.write(np.ascontiguousarray(sample.samples[:, first : first + BLOCK].T))
        except soundfile.LibsndfileError as error:
            raise BadInput(
                f"{kind} takes no sound of {sample.channels} channels at {sample.rate} Hz ({_reason(error)})"
            ) from error


@dataclass(frozen=True)
class _Span:
    """Samples from `first` on, `count` of them or all that follow."""

    first: int
    count: int | None


def _span(path: Path, file: soundfile.SoundFile, start: float, duration: float | None) -> _Span:
    if not (math.isfinite(start) and start >= 0):
        raise BadOption(f"start must be 0 s or more, got {start}")
    if duration is not None and not (math.isfinite(duration) and duration > 0):
        raise BadOption(f"duration must be above 0 s, got {duration}")
    first = round(start * file.samplerate)
    if first and first >= file.frames:
        raise BadInput(f"{path} lasts {file.frames / file.samplerate:.3f} s; there is nothing from {start} s on")
    return _Span(first, None if duration is None else max(1, round(duration * file.samplerate)))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    try:
        file = soundfile.SoundFile(os.fsencode(path))  # pyright: ignore[reportArgumentType]  # bytes need be no UTF-8
    except soundfile.LibsndfileError as error:
        reason = _reason(error)
        if "SF_INFO" in reason:
            reason = "its header tells of a rate or a number of channels that cannot be"
        raise BadInput(f"{path} cannot be read as a sound: {reason}; save it again") from error
    with file:
        yield file


def _blocks(path: Path, file: soundfile.SoundFile, span: _Span, strict: bool) -> Iterator[np.ndarray]:
    """The samples, float32 (n, channels), up to the end or to the first damage, which is told."""
    problem = _cut_off(path, file)
    done = 0
    try:
        if span.first:
            file.seek(span.first)
        while span.count is None or done < span.count:
            block = file.read(BLOCK if span.count is None else min(BLOCK, span.count - done), "float32", True)
            if not len(block):
                break
            done += len(block)
            yield block
    except soundfile.SoundFileError:  # what it says is of no use to those who do not know the decoder
        problem = f"it is damaged or cut off after {done / file.samplerate:.3f} s"
    else:
        whole = min(file.frames - span.first, file.frames if span.count is None else span.count)
        if problem is None and done < whole:
            problem = f"it tells of {whole} samples and ends after {done}"
    if problem is None:
        return
    if strict or not done:
        raise BadInput(f"{path} is no complete sound: {problem}; copy it again")
    warnings.warn(f"{path} is no complete sound: {problem}; what there is was read", AnybindWarning, stacklevel=2)


def _cut_off(path: Path, file: soundfile.SoundFile) -> str | None:
    """What the beginning and the end of a file say of its being cut off; None where they say nothing."""
    if file.format == "OGG":
        with path.open("rb") as raw:
            size = raw.seek(0, os.SEEK_END)
            raw.seek(max(0, size - OGG_TAIL))
            tail = raw.read()
        last = tail.rfind(b"OggS")
        ended = last >= 0 and len(tail) > last + 5 and tail[last + 5] & LAST_PAGE
        return None if ended else f"it is cut off at byte {size}, before the page that ends it"
    told = [(int(declared), int(there)) for declared, there in DECLARED.findall(file.extra_info)]
    if any(there < declared < UNKNOWN_BYTES for declared, there in told):
        return f"it is cut off at byte {path.stat().st_size}, and its header tells of more"
    return None


def _waveform(blocks: list[np.ndarray], file: soundfile.SoundFile) -> Waveform:
    joined = np.concatenate(blocks) if blocks else np.empty((0, file.channels), np.float32)
    return Waveform(np.ascontiguousarray(joined.T), file.samplerate)


def _reason(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).strip().rstrip(".")


def _is_mp3(head: bytes) -> bool:
    """Whether a frame of MPEG layer III begins here and another right behind it, as far as that can be seen."""
    length = _mp3_frame_bytes(head)
    return bool(length) and (len(head) < length + 4 or bool(_mp3_frame_bytes(head[length:])))


def _mp3_frame_bytes(head: bytes) -> int:
    """How long the frame is that begins here, header and all; 0 where none does."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0 or head[1] & 6 != 2:
        return 0
    version, bitrate, rate, padding = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or bitrate in (0, 15) or rate == 3:
        return 0
    samples = 144 if version == 3 else 72
    return samples * 1000 * MPEG_KBITS[3 if version == 3 else 2][bitrate] // MPEG_HZ[version][rate] + padding
