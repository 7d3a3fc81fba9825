"""Embeddings and measures of the windows of a video, in batches, cached in an embedding store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from anybind import Binder, Embeddings, EmbeddingStore, concatenate
from anybind.plugin import BadInput, HeadInput, errors, loops, samples
from anybind_vad.presets import WindowSettings
from anybind_vad.recordings import EventRecording, RecordingWindows
from anybind_vad.video_store import StoredVideo, VideoStore
from anybind_vad.windows import VideoWindow, VideoWindows, WindowSource

BATCH_SIZE = 16
"""Windows embedded at a time."""
MODALITIES = ("event", "image")
"""Modalities that windows are embedded as."""


@dataclass(frozen=True, eq=False)
class WindowBatch:
    """Embeddings and measures of consecutive windows of a video.

    Attributes:
        inputs: embeddings by modality, and the measures `events`, `steps` and `pixels`.
        spans: (n, 4) int64: first frame, number of frames, start and end in microseconds of each window.
        windows: the windows; empty unless `keep_windows`.
    """

    inputs: HeadInput
    spans: np.ndarray
    windows: Sequence[VideoWindow] = ()


@dataclass(frozen=True, eq=False)
class VideoEmbeddings:
    """Embeddings and measures of all windows of a video.

    Attributes:
        inputs, spans: see `WindowBatch`.
        times_us: presentation time of each frame, (frames,) int64.
    """

    inputs: HeadInput
    spans: np.ndarray
    times_us: np.ndarray


class EmbeddedVideo:
    """An iterator over batches of embedded windows as a video is decoded, once, in bounded memory.

    With a store, each batch is stored by the content of its windows: an interrupted run resumes after its last batch,
    also with the complete file of a truncated video. A completely decoded video is not decoded again, unless
    `keep_windows`.

    Attributes:
        times_us: presentation times of the frames; complete after the iteration.
        problem: decoding error; set after the batches before it.
    """

    def __init__(
        self,
        video: samples.VideoSample | EventRecording,
        binder: Binder,
        needs: Iterable[str],
        settings: WindowSettings,
        *,
        batch_size: int = BATCH_SIZE,
        keep_windows: bool = False,
        max_side: int | None = None,
        store: EmbeddingStore | None = None,
    ) -> None:
        """Load encoders; nothing is decoded yet.

        Args:
            video: the video, or an event recording.
            binder: binder; its own store is not used.
            needs: modalities to embed, `event` or `image`, or none.
            settings: window settings.
            batch_size: windows embedded at a time.
            keep_windows: always decode the video, and add the windows with images to the batches.
            max_side: longer side of images in pixels; ignored if images are embedded.
            store: embedding store to read from and write to. [default: none]

        Raises:
            UnknownName: the binding has no encoder for a modality, or windows do not have it.
            BadInput: images of an event recording are needed.
        """
        self.times_us: Sequence[int] | np.ndarray = ()
        self.problem: BadInput | None = None
        self._video, self._settings, self._batch_size = video, settings, batch_size
        self._binder = binder.with_store(None)  # windows are stored a batch at a time, with their measures
        self._empty = make_empty_embeddings(self._binder, needs, settings)
        embeds_images = "image" in self._empty
        self._windows: WindowSource
        if isinstance(video, EventRecording):
            if embeds_images:
                raise BadInput(f"{video.path}: an event recording has no images: use a head on events only")
            self._windows = RecordingWindows(video, settings)
        else:
            side = None if embeds_images else max_side
            self._windows = VideoWindows(video, settings, images=keep_windows or embeds_images, max_side=side)
        self._keep_windows = keep_windows
        self._store = None if store is None else VideoStore(store, self._empty, binder.device)

    def __iter__(self) -> Iterator[WindowBatch]:
        """Yield the batches.

        Raises:
            BadInput: the video is damaged before its first frame, or an image cannot be embedded.
        """
        key = None if self._store is None else self._store.hash_video(self._video, self._settings, self._batch_size)
        stored = self._store.get_video(key) if self._store and key and not self._keep_windows else None
        n_done = 0
        if stored is not None:
            self.times_us = stored.times_us
            for batch_key in stored.keys:
                inputs = self._find_batch(batch_key)
                if inputs is None:  # evicted: embed the rest again
                    break
                yield WindowBatch(inputs, stored.spans[n_done * self._batch_size :][: self._batch_size])
                n_done += 1
            else:
                return
        self.times_us = self._windows.times_us
        keys, spans = [], []
        batches = self._windows.iterate_batches(self._batch_size)
        for number, (batch_key, batch) in enumerate(loops.prefetch(self._embed, batches, workers=1, queue_size=1)):
            if key is not None:
                keys.append(batch_key)
                spans.append(batch.spans)
            if number >= n_done:
                yield batch
        self.problem = self._windows.problem
        if self._store is not None and key is not None and self.problem is None:
            times = np.array(self.times_us, np.int64)
            self._store.put_video(key, StoredVideo(keys, np.concatenate(spans), times))

    def _embed(self, windows: Sequence[VideoWindow]) -> tuple[bytes, WindowBatch]:
        """Return a batch, embedded or from the store, and its key in the store."""
        key = b"" if self._store is None else self._store.hash_batch(windows)
        inputs = self._find_batch(key)
        if inputs is None:
            inputs = embed_windows(self._binder, windows, self._empty, self._batch_size)
            if self._store is not None:
                self._store.put_batch(key, inputs)
        spans = [(window.first, window.frames, window.start_us, window.end_us) for window in windows]
        return key, WindowBatch(inputs, np.array(spans, np.int64), windows if self._keep_windows else ())

    def _find_batch(self, key: bytes) -> HeadInput | None:
        inputs = None if self._store is None else self._store.get_batch(key)
        if inputs is not None:
            self._binder.counts.cached += sum(map(len, inputs.embeddings.values()))
        return inputs

    def embed(self) -> VideoEmbeddings:
        """Embed the whole video.

        Raises:
            BadInput: the video cannot be decoded completely, or an error of the iteration.
        """
        batches = list(self)
        if self.problem is not None:
            raise self.problem
        inputs = HeadInput.concatenate([batch.inputs for batch in batches])
        inputs = replace(inputs, groups=np.zeros(len(inputs), np.int64))  # one group: all windows are of one video
        spans = np.concatenate([batch.spans for batch in batches])
        return VideoEmbeddings(inputs, spans, np.array(self.times_us, np.int64))


def get_window_vectors(inputs: HeadInput, modality: str) -> np.ndarray:
    """Return the embedding of each window, (n, d) float32; zeros for a window without one."""
    embeddings = inputs.embeddings[modality]
    vectors = np.zeros((len(inputs), embeddings.space.dim), np.float32)
    vectors[inputs.rows[modality]] = embeddings.vectors
    return vectors


def make_empty_embeddings(binder: Binder, needs: Iterable[str], settings: WindowSettings) -> dict[str, Embeddings]:
    """Return embeddings of windows without rows, by modality.

    The encoder identity of events includes the window settings: a head fitted with other settings refuses them.

    Raises:
        UnknownName: the binding has no encoder for a modality, or windows do not have it.
    """
    empty: dict[str, Embeddings] = {}
    for modality in needs:
        if modality not in MODALITIES:
            raise errors.UnknownName(
                f"expected a modality of video windows ({' or '.join(MODALITIES)}), got {modality!r}"
            )
        empty[modality] = binder.embed(modality, [])
    if "event" in empty:
        suffix = f"frames={settings.frames},threshold={settings.threshold:g},difference={settings.difference}"
        empty["event"] = replace(empty["event"], encoder=f"{empty['event'].encoder}/{suffix}")
    return empty


def embed_windows(
    binder: Binder, windows: Sequence[VideoWindow], empty: Mapping[str, Embeddings], batch_size: int = BATCH_SIZE
) -> HeadInput:
    """Embed consecutive windows of a video.

    A window without events has no `event` row, and one without an image no `image` row.

    Args:
        binder: binder with the encoders.
        windows: one or more.
        empty: embeddings without rows of the modalities to embed; see `make_empty_embeddings`.
        batch_size: windows embedded at a time.

    Raises:
        BadInput: an image cannot be embedded.
    """
    embeddings: dict[str, Embeddings] = {}
    rows: dict[str, np.ndarray] = {}
    for modality, template in empty.items():
        numbers = [number for number, window in enumerate(windows) if window.get_sample(modality) is not None]
        inputs = [windows[number].get_sample(modality) for number in numbers]
        batches = list(binder.embed_batches(modality, inputs, batch_size=batch_size))
        embeddings[modality] = replace(concatenate(batches) if batches else template, encoder=template.encoder)
        rows[modality] = np.array(numbers, np.int64)
    measures = [window.measures for window in windows]
    columns = {name: np.array([of_window[name] for of_window in measures]) for name in measures[0]}
    return HeadInput(embeddings, columns, rows)
