"""Embedded windows of videos in an embedding store: batches by content, and the batches of each video."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from anybind import Embeddings, EmbeddingStore
from anybind.plugin import BadInput, HeadInput, files, samples
from anybind_vad.presets import WindowSettings
from anybind_vad.recordings import EventRecording
from anybind_vad.windows import VideoWindow

KEY_BYTES = 16


class StoredVideo(NamedTuple):
    """The stored record of a completely decoded video: keys of batches, spans of windows, frame times."""

    keys: Sequence[bytes]
    spans: np.ndarray
    times_us: np.ndarray


class VideoStore:
    """A cache of embedded windows for given encoders and device type, in an embedding store.

    Each `put` survives a kill of the process.
    """

    def __init__(self, store: EmbeddingStore, empty: Mapping[str, Embeddings], device: str) -> None:
        """Open the table of the encoders.

        Args:
            store: embedding store.
            empty: embeddings without rows by modality; see `make_empty_embeddings`.
            device: torch device.
        """
        self._store, self._empty = store, empty
        encoders = {modality: template.encoder for modality, template in empty.items()}
        settings = {"modality": "video", "encoders": encoders, "device": device.partition(":")[0]}
        self._table = store.table(settings, "anybind vad")

    def hash_batch(self, windows: Sequence[VideoWindow]) -> bytes:
        """Hash the content of a batch: samples and measures of its windows."""
        digest = hashlib.blake2b(digest_size=KEY_BYTES)
        for window in windows:
            arrays = [np.array(list(window.measures.values()))]
            if "event" in self._empty:
                arrays += [window.events.x, window.events.y, window.events.t, window.events.p]
                arrays.append(np.array([window.events.width, window.events.height]))
            if "image" in self._empty and window.image is not None:
                arrays += [np.array(window.image.shape), window.image]
            for array in arrays:
                digest.update(np.ascontiguousarray(array).data)
        return digest.digest()

    def get_batch(self, key: bytes) -> HeadInput | None:
        """Return the embeddings and measures of a batch; None if they are not stored."""
        from safetensors.numpy import load

        data = self._table.get(key)
        if data is None:
            return None
        tensors = load(data)
        embeddings = {}
        for modality, template in self._empty.items():
            vectors = tensors[f"vectors.{modality}"]
            ids = tuple(f"{modality}[{number}]" for number in range(len(vectors)))
            embeddings[modality] = replace(template, vectors=vectors, ids=ids)
        measures = {name.removeprefix("measure."): tensors[name] for name in tensors if name.startswith("measure.")}
        return HeadInput(embeddings, measures, {modality: tensors[f"rows.{modality}"] for modality in embeddings})

    def put_batch(self, key: bytes, inputs: HeadInput) -> None:
        """Store the embeddings and measures of a batch."""
        from safetensors.numpy import save

        tensors = {f"measure.{name}": values for name, values in inputs.measures.items()}
        for modality, embeddings in inputs.embeddings.items():
            tensors[f"vectors.{modality}"] = np.ascontiguousarray(embeddings.vectors)
            tensors[f"rows.{modality}"] = inputs.rows[modality]
        self._table.put({key: save(tensors)})

    def hash_video(
        self, video: samples.VideoSample | EventRecording, settings: WindowSettings, batch_size: int
    ) -> bytes | None:
        """Hash the content of a video and the settings of its batches; None if it is not a file or folder.

        Raises:
            BadInput: the video is not readable.
        """
        content = hash_content(video.path, self._store)
        if content is None:
            return None
        text = f"{content.hex()},{video.fps},{video.width}x{video.height},{settings},{batch_size}"
        return hashlib.blake2b(text.encode(), digest_size=KEY_BYTES).digest()

    def get_video(self, key: bytes) -> StoredVideo | None:
        """Return the record of a video; None if it was not decoded completely yet."""
        from safetensors.numpy import load

        data = self._table.get(key)
        if data is None:
            return None
        tensors = load(data)
        joined = tensors["keys"].tobytes()
        keys = [joined[start : start + KEY_BYTES] for start in range(0, len(joined), KEY_BYTES)]
        return StoredVideo(keys, tensors["spans"], tensors["times_us"])

    def put_video(self, key: bytes, video: StoredVideo) -> None:
        """Store the record of a video after all its batches."""
        from safetensors.numpy import save

        keys = np.frombuffer(b"".join(video.keys), np.uint8)
        self._table.put({key: save({"keys": keys, "spans": video.spans, "times_us": video.times_us})})


def hash_content(path: Path, store: EmbeddingStore) -> bytes | None:
    """Hash a video file, or the names and contents of the frames in a folder; None for a pipe.

    Raises:
        BadInput: the video is not readable.
    """
    try:
        if not path.is_dir():
            mark = files.get_file_mark(path)
            return None if mark is None else store.hash_file(path, mark)
        digest = hashlib.blake2b(digest_size=KEY_BYTES)
        for frame in sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")):
            digest.update(os.fsencode(frame.name) + b"\0" + files.hash_file(frame))
        return digest.digest()
    except OSError as error:
        raise BadInput(f"cannot read the video {path}: {error.strerror}") from error
