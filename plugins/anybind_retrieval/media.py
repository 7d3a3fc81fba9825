"""What a person sees and hears of a file: pictures and sounds small enough to stand in a page."""

from __future__ import annotations

import io
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anybind import AnybindError, read
from anybind.plugin import files, modalities, pages, readers, samples
from anybind_retrieval.index import Entry

SOUND_BYTES = 400_000
"""Largest file that a page takes in as it is; of a larger sound it plays the beginning."""
SOUND_TYPES = {".wav": "audio/wav", ".mp3": "audio/mpeg", ".flac": "audio/flac", ".ogg": "audio/ogg"}
"""What browsers play, by the ending of the file's name."""
WIDE = 3
"""Ratio of width to height from which a picture, such as a strip of stills, is given more room."""
EXCERPT_S, EXCERPT_RATE = 10.0, 16_000


@dataclass(frozen=True)
class Shown:
    """One file on a page.

    Attributes:
        name: of the file, or the text itself.
        place: the folder, or the file that a text stands in.
        picture: a `data:` URI; empty where there is none.
        words: what stands in the place of a picture: a text.
        sound: a `data:` URI; empty for what makes no sound.
        note: what is wrong with the file, or that only a part of it is played.
        wide: whether the picture needs more room than others.
    """

    name: str
    place: str
    picture: str = ""
    words: str = ""
    sound: str = ""
    note: str = ""
    wide: bool = False


def shown(kind: str, entry: Entry) -> Shown:
    """What a page shows of an entry; of a file that is gone or cannot be read, why."""
    path = Path(entry.path)
    if entry.text:
        return Shown(entry.text, files.portable_name(path), words=entry.text, note=_told(entry))
    name, place = files.portable_name(path.name), files.portable_name(path.parent)
    if entry.state() == "missing":
        return Shown(name, place, note=_told(entry))
    try:
        sample = read(path, reader=readers.find_reader(path, kind).name)
        seen = modalities.find_modality(kind).show(sample)
        sound, part = _sound(path, sample)
    except AnybindError as error:
        return Shown(name, place, note=str(error))
    note = _told(entry) or part
    if isinstance(seen, str):
        return Shown(name, place, words=seen, sound=sound, note=note)
    wide = seen.shape[1] > WIDE * seen.shape[0]
    picture = pages.image_uri(np.asarray(seen), (2 if wide else 1) * pages.IMAGE_PIXELS)
    return Shown(name, place, picture, sound=sound, note=note, wide=wide)


def _told(entry: Entry) -> str:
    state = entry.state()
    told = {"missing": "The file is not there any more.", "changed": "The file was changed after it was indexed."}
    return told.get(state, "")


def _sound(path: Path, sample: object) -> tuple[str, str]:
    """A `data:` URI of what is heard, and a note where that is not all; nothing for what makes no sound."""
    if not isinstance(sample, samples.AudioSample):
        return "", ""
    kind = SOUND_TYPES.get(path.suffix.lower())
    if kind and path.stat().st_size <= SOUND_BYTES:
        return pages.data_uri(kind, path.read_bytes()), ""
    part = sample.between(0.0, EXCERPT_S).mono().resample(EXCERPT_RATE)
    levels = np.clip(np.rint(part.samples[0] * 32767), -32768, 32767).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(EXCERPT_RATE)
        file.writeframes(levels.tobytes())
    note = f"The first {EXCERPT_S:.0f} of {sample.duration:.0f} s." if sample.duration > EXCERPT_S else ""
    return pages.data_uri("audio/wav", buffer.getvalue()), note
