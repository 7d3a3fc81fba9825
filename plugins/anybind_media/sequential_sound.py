"""Audio files of libsndfile, read from one sample to the next without seeking in between."""

from __future__ import annotations

import os
import re
from pathlib import Path

import soundfile

MP3 = "MP3"
PREROLL_S, MIN_PREROLL_SAMPLES = 1.0, 1 << 14
"""MP3 decoded before a position: a frame uses data of frames before it, of up to 511 bytes (ISO 11172-3)."""
BLOCK_SAMPLES = 1 << 14
OGG_TAIL_BYTES = 1 << 17
"""Bytes at the end of an Ogg file that contain its last page, of at most 64 KiB."""
LAST_PAGE_FLAG = 4
"""Flag of the last page of an Ogg stream."""
UNKNOWN_BYTES = 0x7FFF0000
"""Lengths from this value are placeholders of files written to a pipe."""
DECLARED_LENGTH = re.compile(r": (\d+) \(should be (\d+)\)")
"""libsndfile's note on a declared length that differs from the file."""


class SequentialFile(soundfile.SoundFile):
    """A file whose blocks are those of one pass over it.

    `SoundFile.read` seeks to its own position before and after each block. libsndfile then resets its MP3 decoder, and
    the frames after each block, which use data of the frames before them, are decoded to noise.
    """

    def seekable(self) -> bool:
        """Return whether `read` may seek; see `can_seek`."""
        return self.format != MP3 and super().seekable()

    @property
    def can_seek(self) -> bool:
        """Whether the file supports `move_to`."""
        return super().seekable()

    def move_to(self, sample: int) -> None:
        """Move to a sample, so that the decoder has the state of one from the beginning."""
        is_mp3 = self.format == MP3
        preroll = min(sample, max(MIN_PREROLL_SAMPLES, round(PREROLL_S * self.samplerate)) if is_mp3 else 0)
        self.seek(sample - preroll)
        while preroll and len(block := self.read(min(preroll, BLOCK_SAMPLES), "float32", always_2d=True)):
            preroll -= len(block)


def explain_truncation(path: Path, file: SequentialFile) -> str | None:
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
