"""A large file read by two threads, a half each, in formats whose events depend on little that stands before them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from anybind.plugin import BadInput, kernel
from anybind_events.readers.blocks import (
    BACKWARDS,
    BOTTOM,
    LAST,
    OUTSIDE,
    RIGHT,
    Body,
    Columns,
    Decoder,
    Run,
    arrays_of,
)
from anybind_events.stream import DTYPES

SEARCHED_BYTES = 1 << 16
"""How far behind the middle a place is looked for where the file can be split."""

COUNTED_BYTES = 1 << 20
"""How much of a file is counted at once."""


def read_halves(whole: Run, size: tuple[int, int] | None) -> tuple[Run, Columns] | None:
    """The events of a file and what was counted, as of one pass from its beginning to its end.

    Args:
        whole: the pass that it stands for, not begun.
        size: the sensor as it was asked for.

    Returns:
        None where the halves do not fit together: no place to split at, damage, or time that runs backwards from one
        half to the other. The file is then to be read in one pass, which tells exactly what is wrong.
    """
    path, body = whole.path, whole.body
    seam = _seam(path, body)
    if seam is None:
        return None
    place, word = seam
    with path.open("rb") as one, path.open("rb") as other, ThreadPoolExecutor(1) as pool:
        first = Run(one, path, body._replace(decoder=_fresh(body.decoder)), size, stop=place)
        second = Run(other, path, body._replace(decoder=_fresh(body.decoder), start=place), size)
        room = _count_events(path, body, place)
        memory = arrays_of([(dtype, room + second.bytes // body.decoder.event_bytes) for dtype in DTYPES.values()])
        columns = Columns(first, 0, columns=[column[:room] for column in memory])
        others = Columns(second, 0, columns=[column[room:] for column in memory])
        try:
            waiting = pool.submit(_drain, second, others)
            _drain(first, columns)
            waiting.result()
        except BadInput:
            return None
    assert body.decoder.turns is not None
    added = body.decoder.turns(first.decoder.state, word)
    times = memory[list(DTYPES).index("t")][room : room + others.count]
    if len(times) and times[0] + added < first.counts[LAST]:
        return None
    if added:
        times += added
    for column in memory:
        _move(column, columns.count, room, others.count)
    columns.extend(memory, others.count)
    _add_counts(first, second)
    return first, columns


def _seam(path: Path, body: Body) -> tuple[int, int] | None:
    """The byte where the second half begins, and the word that stands there."""
    decoder = body.decoder
    if decoder.seam is None:
        return None
    with path.open("rb") as file:
        events = file.seek(0, 2) - body.start
        middle = body.start + events // 2 // decoder.unit * decoder.unit
        file.seek(middle)
        found = file.read(SEARCHED_BYTES)
    words = np.frombuffer(found[: len(found) // decoder.unit * decoder.unit], decoder.word)
    place = int(decoder.seam(words))
    return (middle + place * words.itemsize, int(words[place])) if place < len(words) else None


def _count_events(path: Path, body: Body, stop: int) -> int:
    """How many events, dropped ones among them, there are in front of a byte: a small part of what decoding costs."""
    decoder = body.decoder
    if decoder.events is None:
        return (stop - body.start) // decoder.unit
    words, found = np.empty(COUNTED_BYTES // decoder.unit * decoder.unit, np.uint8), 0
    with path.open("rb") as file:
        for start in range(file.seek(body.start), stop, len(words)):
            got = file.readinto(words[: stop - start].data)
            found += decoder.events(words[:got].view(decoder.word))
    return found


def _fresh(decoder: Decoder) -> Decoder:
    return replace(decoder, state=np.zeros_like(decoder.state))


def _drain(run: Run, columns: Columns) -> None:
    while run.step(columns):
        pass


def _add_counts(first: Run, second: Run) -> None:
    """Let the first run's counts be those of both."""
    first.counts[LAST] = max(first.counts[LAST], second.counts[LAST])
    for place in (OUTSIDE, BACKWARDS):
        first.counts[place] += second.counts[place]
    for place in (RIGHT, BOTTOM):
        first.counts[place] = max(first.counts[place], second.counts[place])
    for place in set(first.decoder.counts.values()):
        first.decoder.state[place] += second.decoder.state[place]
    first.whole, first.cut = second.whole, second.cut


@kernel
def _move(column: np.ndarray, to: int, start: int, count: int) -> None:
    """Move a part of a column towards its beginning."""
    if to != start:
        for i in range(count):
            column[to + i] = column[start + i]
