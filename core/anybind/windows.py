"""Windows of recordings over time: options, and embeddings. Public: plugins may import these names."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from anybind.binder import Binder
from anybind.embeddings import Embeddings, concatenate, normalize
from anybind.errors import AnybindError, BadInput, OnBad
from anybind.filtering import format_filters, parse_filters
from anybind.item import Item
from anybind.loading import Loader, to_item
from anybind.modality import Modality, find_modality, has_windows
from anybind.reader import find_reader
from anybind.windowing import (
    AUTO,
    MICROSECONDS,
    SECONDS,
    WHOLE,
    Duration,
    Roi,
    SampleWindow,
    WindowLength,
    WindowOptions,
    format_range,
    format_seconds,
    iterate_ranges,
    parse_duration,
    parse_length,
    parse_roi,
)

__all__ = [
    "AUTO",
    "MICROSECONDS",
    "SECONDS",
    "WHOLE",
    "Duration",
    "EmbeddedRecording",
    "Roi",
    "SampleWindow",
    "WindowLength",
    "WindowOptions",
    "average_embeddings",
    "embed_windows",
    "format_filters",
    "format_range",
    "format_seconds",
    "iterate_ranges",
    "parse_duration",
    "parse_filters",
    "parse_length",
    "parse_roi",
]


@dataclass(frozen=True, eq=False)
class EmbeddedRecording:
    """The windows of a recording, with their embeddings.

    Attributes:
        item: the recording.
        windows: all windows in order, without samples.
        embedded: numbers of the windows with an embedding, in order. Windows in which nothing happens have none, unless
            nothing happens in any; windows without events never have one.
        embeddings: one row for each of these windows, with ids such as `rec.raw#0.1-0.2s`; the id of a recording that
            is one unchanged window is its own.
    """

    item: Item
    windows: tuple[SampleWindow[None], ...]
    embedded: tuple[int, ...]
    embeddings: Embeddings

    @property
    def is_whole(self) -> bool:
        """Whether the recording is one unchanged window."""
        return len(self.windows) == 1 and self.windows[0].is_whole

    @property
    def is_active(self) -> bool:
        """Whether something happens in at least one window."""
        return any(not window.inactivity for window in self.windows)

    @property
    def durations_us(self) -> np.ndarray:
        """Durations of the windows with an embedding, (n,), microseconds; 1 for samples without a duration."""
        return np.array([max(1, self.windows[n].end_us - self.windows[n].start_us) for n in self.embedded], np.int64)

    def average(self) -> Embeddings:
        """Return the mean of the embeddings, weighted by duration, of norm 1: one row with the id of the recording."""
        return average_embeddings(self.embeddings, self.durations_us, self.item.id)


def average_embeddings(embeddings: Embeddings, weights: np.ndarray, id: str) -> Embeddings:
    """Average embeddings, at least one, with weights (n,), at least 0; return one row of norm 1.

    Raises:
        BadInput: the mean is zero.
    """
    if len(embeddings) == 1:
        return replace(embeddings, ids=(id,))
    mean = np.average(embeddings.vectors.astype(np.float64), axis=0, weights=weights)
    return replace(embeddings, vectors=normalize(mean[None], f"mean embedding of {id}"), ids=(id,))


@dataclass(eq=False)
class _Recording:
    """A recording while its windows are embedded; `pending` counts windows that have no result yet."""

    item: Item
    windows: list[SampleWindow[None]] = field(default_factory=list)
    embedded: list[int] = field(default_factory=list)
    rows: list[Embeddings] = field(default_factory=list)
    pending: int = 0
    is_read: bool = False
    is_invalid: bool = False


def embed_windows(
    binder: Binder,
    modality: str,
    items: Iterable[object],
    options: WindowOptions,
    *,
    batch_size: int | None = None,
    workers: int | None = None,
    derive_seed: int | None = None,
    on_bad: OnBad | None = None,
    advance: Callable[[int], None] | None = None,
) -> Iterator[EmbeddedRecording]:
    """Divide recordings into windows and embed these; batches contain windows of several recordings.

    A recording that is one unchanged window is embedded as `Binder.embed` does, with the same key in the store. The
    keys of other windows are hashes of their content, so of every option.

    Args:
        binder: the binding.
        modality: modality to embed as.
        items: paths, samples or `Item`s; samples of modalities without windows are one window each.
        options: part of each recording, and its windows.
        batch_size: number of windows encoded at once. [default: the binder's, 32]
        workers: number of windows preprocessed at a time. [default: the binder's, one a processor, at most 4]
        derive_seed: see `Binder.embed`.
        on_bad: called with the id and the error of each invalid recording or window, which is then skipped; by default
            the first one raises.
        advance: called with 1 for each recording that is done.

    Yields:
        the recordings in order, without those that have no window that can be embedded and none that is inactive.

    Raises:
        BadInput, BadOption, PluginError: as `Binder.embed`, and for invalid options.
    """
    kind = find_modality(modality)
    load = Loader(kind, binder.encoder(modality), derive_seed)
    listed = (to_item(kind, number, item) for number, item in enumerate(items))
    recordings: deque[_Recording] = deque()
    queue: deque[tuple[str, _Recording, int]] = deque()
    windows = _iterate_windows(kind, load, listed, options, recordings, queue, on_bad)
    empty = binder.embed(modality, [], derive_seed=derive_seed)
    for batch in binder.embed_batches(
        modality, windows, batch_size=batch_size, workers=workers, derive_seed=derive_seed, on_bad=on_bad
    ):
        for row, id in enumerate(batch.ids):
            while (entry := queue.popleft())[0] != id:  # skipped by `on_bad`
                entry[1].pending -= 1
            _, recording, number = entry
            recording.pending -= 1
            recording.embedded.append(number)
            recording.rows.append(batch[row])
        yield from _finish_recordings(recordings, empty, advance)
    for _, recording, _ in queue:
        recording.pending -= 1
    yield from _finish_recordings(recordings, empty, advance)


def _finish_recordings(
    recordings: deque[_Recording], empty: Embeddings, advance: Callable[[int], None] | None
) -> Iterator[EmbeddedRecording]:
    """Yield the first recordings as long as they are complete."""
    while recordings and recordings[0].is_read and not recordings[0].pending:
        recording = recordings.popleft()
        if advance is not None:
            advance(1)
        is_skipped = not recording.rows and not any(window.inactivity for window in recording.windows)
        if not (recording.is_invalid or is_skipped):
            embeddings = concatenate(recording.rows) if recording.rows else empty
            yield EmbeddedRecording(recording.item, tuple(recording.windows), tuple(recording.embedded), embeddings)


def _iterate_windows(
    kind: Modality[object],
    load: Loader,
    items: Iterable[Item],
    options: WindowOptions,
    recordings: deque[_Recording],
    queue: deque[tuple[str, _Recording, int]],
    on_bad: OnBad | None,
) -> Iterator[Item]:
    """Yield the windows to embed as items, and append the recordings, and the expected results in order."""
    for item in items:
        recording = _Recording(item)
        recordings.append(recording)
        try:
            for number, window in _select_windows(kind, load, item, options, recording.windows):
                if window.is_whole:
                    part = item
                else:
                    id = f"{item.id}#{format_range(window.start_us, window.end_us)}"
                    part = Item(id, window.sample, item.label)
                recording.pending += 1
                queue.append((part.id, recording, number))
                yield part
        except AnybindError as error:
            recording.is_invalid = True
            described = error if item.id in str(error) else type(error)(f"{item.id}: {error}")
            if on_bad is None:
                raise described from error
            on_bad(item.id, described)
        recording.is_read = True


def _select_windows(
    kind: Modality[object], load: Loader, item: Item, options: WindowOptions, seen: list[SampleWindow[None]]
) -> Iterator[tuple[int, SampleWindow[object]]]:
    """Yield the numbers and windows to embed, and append all windows, without samples, to `seen`."""
    if options.is_default and not _has_windows(kind, load, item):  # no need to read the file
        seen.append(SampleWindow(None, 0, 0, is_whole=True))
        yield 0, SampleWindow(item.source, 0, 0, is_whole=True)
        return
    sample = load.load_sample(item)
    kind.check(sample)
    is_active = False
    for number, window in enumerate(kind.split(sample, options)):
        seen.append(window.without_sample())
        if not window.inactivity:
            is_active = True
            yield number, window
    if not seen:
        raise BadInput(f"nothing is left of the recording from {options.start or 0} to {options.end or 'its end'}")
    if is_active:
        return
    for number, window in enumerate(kind.split(sample, options)):  # again: all windows of a long file would fill memory
        try:
            kind.check(window.sample)
        except AnybindError:  # without events
            continue
        yield number, window


def _has_windows(kind: Modality[object], load: Loader, item: Item) -> bool:
    """Return whether an item may be divided by default: of a modality with windows, and not derived from another."""
    if not has_windows(kind.name):
        return False
    source = item.source
    if load.derive_seed is None or kind.accepts(source) or not isinstance(source, str | os.PathLike):
        return load.derive_seed is None or kind.accepts(source)
    return find_reader(source, kind.name, item.options).spec.modality == kind.name
