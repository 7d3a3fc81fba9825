"""Windows of a film to what heads are told of them: embeddings and measures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from anybind import Binder, Embeddings, concatenate
from anybind.plugin import BadInput, HeadInput, errors
from anybind_vad.windows import FilmWindow

T = TypeVar("T")
SAMPLES: dict[str, Callable[[FilmWindow], Any]] = {
    "event": lambda window: window.sample if len(window.sample) else None,
    "image": lambda window: window.picture,
}
"""What of a window is embedded, by modality; None where there is nothing."""
BATCH = 16
"""Windows that are embedded at a time."""


def embed_windows(
    binder: Binder, windows: Sequence[FilmWindow], needs: Iterable[str], batch_size: int = BATCH, *, making: str
) -> HeadInput:
    """Embed consecutive windows of a film in those modalities only that a head needs.

    A window without events has no row of `event`; one played without its picture has none of `image`. What made the
    rows of `event` is the encoder and how events were made: a head that knows the one refuses the other.

    Args:
        binder: what embeds.
        windows: as `FilmPass` gives them.
        needs: modalities, `event` or `image`; there may be none.
        batch_size: how many go through a tower at once.
        making: how their events were made: `FilmPass.making`.

    Raises:
        UnknownName: the binding has no encoder for one of them, or windows of films are nothing of that kind.
        BadInput: a picture that cannot be embedded.
    """
    embeddings: dict[str, Embeddings] = {}
    rows: dict[str, np.ndarray] = {}
    for of in needs:
        if of not in SAMPLES:
            raise errors.UnknownName(f"windows of films are embedded as {' or '.join(SAMPLES)}, not as {of}")
        samples = [SAMPLES[of](window) for window in windows]
        rows[of] = np.array([number for number, sample in enumerate(samples) if sample is not None], np.int64)
        held = [sample for sample in samples if sample is not None]
        batches = list(binder.embed_batches(of, held, batch_size=batch_size))
        found = concatenate(batches) if batches else binder.embed(of, [])
        embeddings[of] = replace(found, encoder=f"{found.encoder}/{making}") if of == "event" else found
    told = [window.measures for window in windows]
    measures = {name: np.array([each[name] for each in told]) for name in (told[0] if told else ())}
    return HeadInput(embeddings, measures, rows)


def grouped(windows: Iterable[FilmWindow], size: int) -> Iterator[list[FilmWindow]]:
    """The windows, `size` at a time; the last group may be smaller. What the film raises comes after its windows."""
    group: list[FilmWindow] = []
    damage: BadInput | None = None
    try:
        for window in windows:
            group.append(window)
            if len(group) == size:
                yield group
                group = []
    except BadInput as error:
        damage = error
    if group:
        yield group
    if damage is not None:
        raise damage


def one_ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, each made in a thread while the one before it is used."""
    end = object()
    with ThreadPoolExecutor(max_workers=1) as maker:
        coming: Future[Any] = maker.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = maker.submit(next, items, end)
            yield item
