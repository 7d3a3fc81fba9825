"""Reading of a large file in two halves by two threads, for formats whose events depend on little before them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from anybind.plugin import BadInput, kernel
from anybind_events.event_columns import DTYPES
from anybind_events.readers.blocks import BinaryHeader, BlockDecoder, DecodingPass, EventColumns
from anybind_events.readers.unpacking import BACKWARDS, LAG_US, LAST_COLUMN, LAST_ROW, LAST_US, OUTSIDE, allocate_arrays

SEARCH_BYTES = 1 << 16
"""Bytes after the middle in which a split is searched."""

COUNT_BLOCK_BYTES = 1 << 20
"""Bytes of a file whose events are counted at once."""


def read_halves(decoding: DecodingPass, size: tuple[int, int] | None) -> tuple[DecodingPass, EventColumns] | None:
    """Read the events and counts of a file, equal to those of one pass over it.

    Args:
        decoding: the equivalent single pass, not started.
        size: the requested sensor size.

    Returns:
        None if the halves do not fit together: no split, damage, or time that decreases from one half to the other. One
        pass over the file then reports the exact error.
    """
    path, header = decoding.path, decoding.header
    split = _find_split(path, header)
    if split is None:
        return None
    split_byte, word = split
    with path.open("rb") as first_file, path.open("rb") as second_file, ThreadPoolExecutor(1) as pool:
        first = DecodingPass(
            first_file, path, header._replace(decoder=_reset_decoder(header.decoder)), size, stop=split_byte
        )
        second = DecodingPass(
            second_file, path, header._replace(decoder=_reset_decoder(header.decoder), start=split_byte), size
        )
        capacity = _count_events(path, header, split_byte)
        memory = allocate_arrays(
            [(dtype, capacity + second.n_bytes // header.decoder.event_bytes) for dtype in DTYPES.values()]
        )
        columns = EventColumns(first, 0, columns=[column[:capacity] for column in memory])
        second_columns = EventColumns(second, 0, columns=[column[capacity:] for column in memory])
        try:
            task = pool.submit(second.decode_all, second_columns)
            first.decode_all(columns)
            task.result()
        except BadInput:
            return None
    assert header.decoder.join_clock is not None
    shift_us = header.decoder.join_clock(first.decoder.state, word)
    times = memory[list(DTYPES).index("t")][capacity : capacity + second_columns.count]
    if len(times) and times[0] + shift_us < first.counts[LAST_US]:
        return None
    if shift_us:
        times += shift_us
    for column in memory:
        _move_values(column, columns.count, capacity, second_columns.count)
    columns.replace_columns(memory, second_columns.count)
    _add_counts(first, second)
    return first, columns


def _find_split(path: Path, header: BinaryHeader) -> tuple[int, int] | None:
    """Return the byte where the second half begins, and the word at that byte."""
    decoder = header.decoder
    if decoder.find_split is None:
        return None
    with path.open("rb") as file:
        n_bytes = file.seek(0, 2) - header.start
        middle = header.start + n_bytes // 2 // decoder.unit_bytes * decoder.unit_bytes
        file.seek(middle)
        data = file.read(SEARCH_BYTES)
    words = np.frombuffer(data[: len(data) // decoder.unit_bytes * decoder.unit_bytes], decoder.word_type)
    index = int(decoder.find_split(words))
    return (middle + index * words.itemsize, int(words[index])) if index < len(words) else None


def _count_events(path: Path, header: BinaryHeader, stop: int) -> int:
    """Count the events before a byte, including those that will be dropped: a fraction of the cost of decoding."""
    decoder = header.decoder
    if decoder.count_events is None:
        return (stop - header.start) // decoder.unit_bytes
    words, n_events = np.empty(COUNT_BLOCK_BYTES // decoder.unit_bytes * decoder.unit_bytes, np.uint8), 0
    with path.open("rb") as file:
        for start in range(file.seek(header.start), stop, len(words)):
            n_read = file.readinto(words[: stop - start].data)
            n_events += decoder.count_events(words[:n_read].view(decoder.word_type))
    return n_events


def _reset_decoder(decoder: BlockDecoder) -> BlockDecoder:
    return replace(decoder, state=np.zeros_like(decoder.state))


def _add_counts(first: DecodingPass, second: DecodingPass) -> None:
    """Add the counts of the second pass to those of the first."""
    first.counts[LAST_US] = max(first.counts[LAST_US], second.counts[LAST_US])
    for index in (OUTSIDE, BACKWARDS, LAG_US):
        first.counts[index] += second.counts[index]
    for index in (LAST_COLUMN, LAST_ROW):
        first.counts[index] = max(first.counts[index], second.counts[index])
    for index in set(first.decoder.counts.values()):
        first.decoder.state[index] += second.decoder.state[index]
    first.offset, first.truncated_bytes = second.offset, second.truncated_bytes


@kernel
def _move_values(column: np.ndarray, to: int, start: int, count: int) -> None:
    """Move a range of a column towards its beginning."""
    if to != start:
        for i in range(count):
            column[to + i] = column[start + i]
