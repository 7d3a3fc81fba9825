"""Windows of a video to what heads read: embeddings and measures, in batches, looked up in a store where they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from anybind import Binder, Embeddings, EmbeddingStore, concatenate
from anybind.plugin import BadInput, HeadInput, errors, prefetch, samples
from anybind_vad.presets import WindowSettings
from anybind_vad.video_store import StoredVideo, VideoStore
from anybind_vad.windows import VideoWindow, VideoWindows

BATCH_SIZE = 16
"""Windows that are embedded at a time."""
MODALITIES = ("event", "image")
"""What windows are embedded as."""


@dataclass(frozen=True, eq=False)
class WindowBatch:
    """Consecutive windows of a video, embedded.

    Attributes:
        inputs: embeddings by modality, and the measures `events`, `frames` and `pixels`.
        spans: (n, 4) int64: first frame, number of frames, start and end in microseconds of each window.
        windows: the windows themselves; empty where they were not asked for.
    """

    inputs: HeadInput
    spans: np.ndarray
    windows: Sequence[VideoWindow] = ()


@dataclass(frozen=True, eq=False)
class VideoEmbeddings:
    """All windows of a video, embedded.

    Attributes:
        inputs, spans: as of `WindowBatch`.
        times_us: presentation time of each frame, (frames,) int64.
    """

    inputs: HeadInput
    spans: np.ndarray
    times_us: np.ndarray


class EmbeddedVideo:
    """The windows of a video, embedded in batches as it is decoded; iterates once, in bounded memory.

    With a store, each batch is stored by the content of its windows: an interrupted run resumes after its last batch,
    also with a copy of a video that was cut off. A video that was decoded to its end is not decoded again, unless
    the windows themselves are asked for.

    Attributes:
        times_us: presentation times of the frames; complete after the iteration.
        problem: why the video cannot be decoded to its end; set after the batches before the damage.
    """

    def __init__(
        self,
        video: samples.VideoSample,
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
            video: the video.
            binder: embeds; its own store is not used.
            needs: modalities to embed, `event` or `image`; there may be none.
            settings: of the windows.
            batch_size: windows embedded at a time.
            with_windows: decode the video in any case, and give batches their windows with images.
            side: longer side of images in pixels, where no head needs them whole.
            store: where embeddings and measures are looked up and stored. [default: nowhere]

        Raises:
            UnknownName: the binding has no encoder for a modality, or windows are not embedded as such.
        """
        self.times_us: Sequence[int] | np.ndarray = ()
        self.problem: BadInput | None = None
        self._video, self._settings, self._batch_size = video, settings, batch_size
        self._binder = binder.with_store(None)  # windows are stored a batch at a time, with their measures
        self._blank = make_empty_embeddings(self._binder, needs, settings)
        self._windows = VideoWindows(
            video,
            settings,
            images=keep_windows or "image" in self._blank,
            max_side=None if "image" in self._blank else max_side,
        )
        self._with_windows = keep_windows
        self._store = None if store is None else VideoStore(store, self._blank, binder.device)

    def __iter__(self) -> Iterator[WindowBatch]:
        """Yield the batches.

        Raises:
            BadInput: the video is damaged before its first frame, or an image cannot be embedded.
        """
        key = None if self._store is None else self._store.hash_video(self._video, self._settings, self._batch_size)
        known = self._store.get_video(key) if self._store and key and not self._with_windows else None
        done = 0
        if known is not None:
            self.times_us = known.times_us
            for batch_key in known.keys:
                inputs = self._find_batch(batch_key)
                if inputs is None:  # evicted: the rest is embedded again
                    break
                yield WindowBatch(inputs, known.spans[done * self._batch_size :][: self._batch_size])
                done += 1
            else:
                return
        self.times_us = self._windows.times_us
        keys, spans = [], []
        batches = self._windows.iterate_batches(self._batch_size)
        for number, (batch_key, batch) in enumerate(prefetch(self._embed, batches, workers=1, queue_size=1)):
            if key is not None:
                keys.append(batch_key)
                spans.append(batch.spans)
            if number >= done:
                yield batch
        self.problem = self._windows.problem
        if self._store is not None and key is not None and self.problem is None:
            times = np.array(self.times_us, np.int64)
            self._store.put_video(key, StoredVideo(keys, np.concatenate(spans), times))

    def _embed(self, windows: Sequence[VideoWindow]) -> tuple[bytes, WindowBatch]:
        """Embed a batch, or look it up; also returns its key in the store."""
        key = b"" if self._store is None else self._store.hash_batch(windows)
        inputs = self._find_batch(key)
        if inputs is None:
            inputs = embed_windows(self._binder, windows, self._blank, self._batch_size)
            if self._store is not None:
                self._store.put_batch(key, inputs)
        spans = [(window.first, window.frames, window.start_us, window.end_us) for window in windows]
        return key, WindowBatch(inputs, np.array(spans, np.int64), windows if self._with_windows else ())

    def _find_batch(self, key: bytes) -> HeadInput | None:
        inputs = None if self._store is None else self._store.get_batch(key)
        if inputs is not None:
            self._binder.counts.cached += sum(map(len, inputs.embeddings.values()))
        return inputs

    def embed(self) -> VideoEmbeddings:
        """Embed the whole video.

        Raises:
            BadInput: the video cannot be decoded to its end, or as the iteration.
        """
        batches = list(self)
        if self.problem is not None:
            raise self.problem
        inputs = HeadInput.concatenate([batch.inputs for batch in batches])
        inputs = replace(inputs, groups=np.zeros(len(inputs), np.int64))  # all of one video
        spans = np.concatenate([batch.spans for batch in batches])
        return VideoEmbeddings(inputs, spans, np.array(self.times_us, np.int64))


def make_empty_embeddings(binder: Binder, needs: Iterable[str], settings: WindowSettings) -> dict[str, Embeddings]:
    """Embeddings without rows by modality, as those of windows will be.

    Their encoder names how events were made, so that a head that is made for others refuses them.

    Raises:
        UnknownName: the binding has no encoder for a modality, or windows are not embedded as such.
    """
    blank: dict[str, Embeddings] = {}
    for modality in needs:
        if modality not in MODALITIES:
            raise errors.UnknownName(f"windows of videos are embedded as {' or '.join(MODALITIES)}, not as {modality}")
        blank[modality] = binder.embed(modality, [])
    if "event" in blank:
        making = f"frames={settings.frames},threshold={settings.threshold:g}"
        blank["event"] = replace(blank["event"], encoder=f"{blank['event'].encoder}/{making}")
    return blank


def embed_windows(
    binder: Binder, windows: Sequence[VideoWindow], empty: Mapping[str, Embeddings], batch_size: int = BATCH_SIZE
) -> HeadInput:
    """Embed consecutive windows of a video.

    A window without events has no row of `event`, and one without an image none of `image`.

    Args:
        binder: embeds.
        windows: one or more.
        blank: the modalities to embed; see `blank_embeddings`.
        batch_size: windows that go through an encoder at once.

    Raises:
        BadInput: an image cannot be embedded.
    """
    embeddings: dict[str, Embeddings] = {}
    rows: dict[str, np.ndarray] = {}
    for modality, none in empty.items():
        numbers = [number for number, window in enumerate(windows) if window.get_sample(modality) is not None]
        held = [windows[number].get_sample(modality) for number in numbers]
        batches = list(binder.embed_batches(modality, held, batch_size=batch_size))
        found = concatenate(batches) if batches else none
        embeddings[modality] = replace(found, encoder=none.encoder)
        rows[modality] = np.array(numbers, np.int64)
    each = [window.measures for window in windows]
    return HeadInput(embeddings, {name: np.array([one[name] for one in each]) for name in each[0]}, rows)
