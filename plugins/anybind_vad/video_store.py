"""Embedded windows of videos in an embedding store: batches by their content, videos by the batches they have."""

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
from anybind_vad.windows import VideoWindow

KEY_BYTES = 16


class StoredVideo(NamedTuple):
    """What is stored of a video that was decoded to its end: keys of its batches, spans of its windows, frame times."""

    keys: Sequence[bytes]
    spans: np.ndarray
    times_us: np.ndarray


class VideoStore:
    """The windows of videos, embedded by certain encoders on one kind of device, in an embedding store.

    Each `put` is durable against a kill of the process.
    """

    def __init__(self, store: EmbeddingStore, empty: Mapping[str, Embeddings], device: str) -> None:
        """Choose the encoders.

        Args:
            store: the store.
            blank: embeddings without rows by modality; see `blank_embeddings`.
            device: torch device.
        """
        self._store, self._blank = store, empty
        about = {"encoders": {of: each.encoder for of, each in empty.items()}, "device": device.partition(":")[0]}
        self._table = store.table({"modality": "video", **about}, "anybind vad")

    def hash_batch(self, windows: Sequence[VideoWindow]) -> bytes:
        """Hash of all that shapes a batch: samples and measures of its windows."""
        digest = hashlib.blake2b(digest_size=KEY_BYTES)
        for window in windows:
            arrays = [np.array(list(window.measures.values()))]
            if "event" in self._blank:
                arrays += [window.events.x, window.events.y, window.events.t, window.events.p]
                arrays.append(np.array([window.events.width, window.events.height]))
            if "image" in self._blank and window.image is not None:
                arrays += [np.array(window.image.shape), window.image]
            for array in arrays:
                digest.update(np.ascontiguousarray(array).data)
        return digest.digest()

    def get_batch(self, key: bytes) -> HeadInput | None:
        """The embeddings and measures of a batch, as they were put; None if they are not stored."""
        from safetensors.numpy import load

        data = self._table.get(key)
        if data is None:
            return None
        held = load(data)
        embeddings = {
            of: replace(
                blank,
                vectors=held[f"vectors.{of}"],
                ids=tuple(f"{of}[{number}]" for number in range(len(held[f"vectors.{of}"]))),
            )
            for of, blank in self._blank.items()
        }
        measures = {name.removeprefix("measure."): held[name] for name in held if name.startswith("measure.")}
        return HeadInput(embeddings, measures, {of: held[f"rows.{of}"] for of in embeddings})

    def put_batch(self, key: bytes, inputs: HeadInput) -> None:
        """Store the embeddings and measures of a batch."""
        from safetensors.numpy import save

        held = {f"measure.{name}": values for name, values in inputs.measures.items()}
        held |= {f"vectors.{of}": np.ascontiguousarray(each.vectors) for of, each in inputs.embeddings.items()}
        held |= {f"rows.{of}": inputs.rows[of] for of in inputs.embeddings}
        self._table.put({key: save(held)})

    def hash_video(self, video: samples.VideoSample, settings: WindowSettings, batch_size: int) -> bytes | None:
        """Hash of a video's content and of its split into batches; None for what is no file and no folder.

        Raises:
            BadInput: the video cannot be read.
        """
        content = hash_content(video.path, self._store)
        if content is None:
            return None
        about = f"{content.hex()},{video.fps},{settings},{batch_size}"
        return hashlib.blake2b(about.encode(), digest_size=KEY_BYTES).digest()

    def get_video(self, key: bytes) -> StoredVideo | None:
        """What is stored of a video; None if it was not yet decoded to its end."""
        from safetensors.numpy import load

        data = self._table.get(key)
        if data is None:
            return None
        held = load(data)
        keys = held["keys"].tobytes()
        listed = [keys[start : start + KEY_BYTES] for start in range(0, len(keys), KEY_BYTES)]
        return StoredVideo(listed, held["spans"], held["times_us"])

    def put_video(self, key: bytes, video: StoredVideo) -> None:
        """Store what is known of a video once all its batches are stored."""
        from safetensors.numpy import save

        keys = np.frombuffer(b"".join(video.keys), np.uint8)
        self._table.put({key: save({"keys": keys, "spans": video.spans, "times_us": video.times_us})})


def hash_content(path: Path, store: EmbeddingStore) -> bytes | None:
    """Hash of a video's file, or of the names and contents of the frames in its folder; None for a pipe.

    Raises:
        BadInput: the video cannot be read.
    """
    try:
        if not path.is_dir():
            mark = files.get_file_mark(path)
            return None if mark is None else store.hash_file(path, mark)
        digest = hashlib.blake2b(digest_size=KEY_BYTES)
        for frame in sorted(each for each in path.iterdir() if each.is_file() and not each.name.startswith(".")):
            digest.update(os.fsencode(frame.name) + b"\0" + files.hash_file(frame))
        return digest.digest()
    except OSError as error:
        raise BadInput(f"cannot read the video {path}: {error.strerror}") from error
