"""Previews of files: images and audio small enough to embed in a page."""

from __future__ import annotations

import io
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anybind import AnybindError, read
from anybind.plugin import files, modalities, pages, readers, samples
from anybind_retrieval.index import IndexEntry

AUDIO_BYTES = 400_000
"""Largest audio file that is embedded unchanged; of a larger one, an excerpt."""
AUDIO_TYPES = {".wav": "audio/wav", ".mp3": "audio/mpeg", ".flac": "audio/flac", ".ogg": "audio/ogg"}
"""MIME types that browsers support, by suffix."""
WIDE = 3
"""Ratio of width to height from which an image, such as a strip of frames, has a wider card."""
EXCERPT_S, EXCERPT_RATE = 10.0, 16_000
"""Duration in seconds and sample rate in Hz of an audio excerpt."""
STATES = {"missing": "The file no longer exists.", "changed": "The file was changed after it was indexed."}


@dataclass(frozen=True)
class MediaPreview:
    """The preview of one file on a page.

    Attributes:
        name: file name, or the text itself.
        folder: folder of the file; path of the text file of a text.
        image: a `data:` URI; empty if there is no image.
        text: text shown instead of an image.
        audio: a `data:` URI; empty if there is no audio.
        note: why the file cannot be shown, or that the audio is an excerpt.
        wide: whether the image needs a wider card.
    """

    name: str
    folder: str
    image: str = ""
    text: str = ""
    audio: str = ""
    note: str = ""
    wide: bool = False


def make_preview(modality: str, entry: IndexEntry) -> MediaPreview:
    """Return the preview of an entry; for a missing or unreadable file, one with the reason as its note."""
    path, state = Path(entry.path), entry.get_state()
    note = STATES.get(state, "")
    if (fragment := entry.fragment) is None:
        return MediaPreview(entry.text, files.portable_name(path), text=entry.text, note=note)
    name, folder = f"{files.portable_name(path.name)} {fragment.name}".rstrip(), files.portable_name(path.parent)
    if state == "missing":
        return MediaPreview(name, folder, note=note)
    try:
        sample = read(path, reader=readers.find_reader(path, modality).name, **fragment.reader_options)
        kind = modalities.find_modality(modality)
        if fragment.start_us is not None:
            sample = next(window.sample for window in kind.split(sample, fragment.selection))
        rendering = kind.show(sample) if fragment.start_us is None else kind.show_window(sample)
        audio, audio_note = _make_audio_uri(path if fragment.start_us is None else None, sample)
    except AnybindError as error:
        return MediaPreview(name, folder, note=str(error))
    note = note or audio_note
    if isinstance(rendering, str):
        return MediaPreview(name, folder, text=rendering, audio=audio, note=note)
    wide = rendering.shape[1] > WIDE * rendering.shape[0]
    image = pages.image_uri(np.asarray(rendering), (2 if wide else 1) * pages.IMAGE_PIXELS)
    return MediaPreview(name, folder, image, audio=audio, note=note, wide=wide)


def _make_audio_uri(path: Path | None, sample: object) -> tuple[str, str]:
    """Return a `data:` URI of a sample's audio, and a note if it is an excerpt; empty texts for other samples.

    Without a path, the sample is a window of a file.
    """
    if not isinstance(sample, samples.AudioSample):
        return "", ""
    mime_type = AUDIO_TYPES.get(path.suffix.lower()) if path else None
    if mime_type and path and path.stat().st_size <= AUDIO_BYTES:
        return pages.data_uri(mime_type, path.read_bytes()), ""
    excerpt = sample.between(0.0, EXCERPT_S).mono().resample(EXCERPT_RATE)
    levels = np.clip(np.rint(excerpt.samples[0] * 32767), -32768, 32767).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(EXCERPT_RATE)
        file.writeframes(levels.tobytes())
    note = f"The first {EXCERPT_S:.0f} of {sample.duration:.0f} s." if sample.duration > EXCERPT_S else ""
    return pages.data_uri("audio/wav", buffer.getvalue()), note
