"""Fast unpacking of common AEDAT4 recordings - packets of events, each an LZ4 frame - by compiled loops in two threads.

Uncommon layouts are left to the slower path, which also reports errors: the functions here only return whether they
succeeded.

Source of the format: the descriptions of LZ4's frames and blocks (lz4_Frame_format.md, lz4_Block_format.md).
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from anybind.plugin import kernel
from anybind_events.readers.aedat4_packets import Packets

if TYPE_CHECKING:
    from numba.core.base import BaseContext
    from numba.core.typing.templates import Signature

PREFIX = np.frombuffer(bytes.fromhex("100000004556545300000600080004000600000004000000"), np.uint8)
"""Bytes between a packet's length and the number of its events, in the layout of camera software."""
COUNT_OFFSET = 4 + len(PREFIX)
"""Offset of the number of events in such a packet."""
EVENTS_OFFSET = COUNT_OFFSET + 4
"""Offset of its events."""
EVENT_BYTES = 16
LOW = (1 << 32) - 1
COPY_BYTES = 16
"""Bytes copied at once."""
FRAME_HEADER = 7
"""Bytes of a frame header without length and dictionary."""
MAX_RATIO = 255
"""Maximum compression ratio of a block."""
PEEK_BYTES = 1 << 16
"""Buffer size for the beginning of a packet."""
MIN_THREADED_BYTES = 1 << 19
"""Bytes of events from which on a second thread pays off."""


kernel_intrinsic = cast("Callable[..., Callable[..., Any]]", intrinsic)
"""Kernels call the result without the context argument, which type checkers cannot infer."""


@kernel_intrinsic
def _copy_16_bytes(
    typing_context: object, target: types.Type, target_index: object, source: types.Type, source_index: object
) -> object:
    """Copy 16 bytes between positions of two arrays, without alignment."""

    def generate(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Sequence[ir.Value]
    ) -> object:
        step = ir.VectorType(ir.IntType(64), 2).as_pointer()
        pointers = []
        for array, position in ((0, 1), (2, 3)):
            array_struct = context.make_array(signature.args[array])(context, builder, arguments[array])
            pointers.append(
                builder.bitcast(cgutils.gep_inbounds(builder, array_struct.data, arguments[position]), step)
            )
        builder.store(builder.load(pointers[1], align=1), pointers[0], align=1)
        return context.get_dummy_value()

    return types.void(target, types.intp, source, types.intp), generate


@kernel_intrinsic
def _read_uint16(typing_context: object, array: types.Type, index: object) -> object:
    """Return the number in two bytes of an array, without alignment."""

    def generate(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Sequence[ir.Value]
    ) -> object:
        array_struct = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer = builder.bitcast(
            cgutils.gep_inbounds(builder, array_struct.data, arguments[1]), ir.IntType(16).as_pointer()
        )
        return builder.zext(builder.load(pointer, align=1), ir.IntType(64))

    return types.int64(array, types.intp), generate


def read_event_counts(packets: Packets) -> np.ndarray | None:
    """Return the number of events of each packet, (packets,) int64; None for an uncommon layout."""
    counts = np.empty(len(packets.starts), np.int64)
    return counts if _peek_event_counts(packets.data, packets.starts, packets.ends, counts) else None


def unpack_events(packets: Packets, counts: np.ndarray, first: int, stop: int) -> np.ndarray | None:
    """Return the events of the packets from `first` to before `stop`, (bytes,) uint8; None for an invalid packet."""
    offsets = np.concatenate([[0], np.cumsum(counts[first:stop])]) * EVENT_BYTES
    unpacked = np.empty(int(offsets[-1]), np.uint8)
    starts, ends = packets.starts[first:stop], packets.ends[first:stop]
    middle = int(np.searchsorted(offsets, len(unpacked) // 2)) if len(unpacked) > MIN_THREADED_BYTES else 0
    if not 0 < middle < len(starts):
        return unpacked if _unpack_packets(packets.data, starts, ends, offsets, unpacked) else None
    second_half = _get_executor().submit(
        _unpack_packets, packets.data, starts[middle:], ends[middle:], offsets[middle:], unpacked
    )
    succeeded = _unpack_packets(packets.data, starts[:middle], ends[:middle], offsets[: middle + 1], unpacked)
    return unpacked if second_half.result() and succeeded else None


@functools.cache
def _get_executor() -> ThreadPoolExecutor:
    """Return a pool of one thread, kept alive: starting it anew would take longer than a small recording."""
    if sys.platform != "win32":  # which cannot fork
        os.register_at_fork(after_in_child=_get_executor.cache_clear)
    return ThreadPoolExecutor(1, thread_name_prefix="anybind-aedat4")


@kernel
def _read_uint32(data: np.ndarray, index: int) -> np.int64:
    number = np.int64(0)
    for i in range(4):
        number |= np.int64(data[index + i]) << 8 * i
    return number


@kernel
def _compute_header_checksum(flags: int, block_size: int) -> int:
    """Return the checksum byte of a frame header: the second byte of XXH32 of its two bytes."""
    word = 374761393 + 2
    for byte in (flags, block_size):
        word = word + byte * 374761393 & LOW
        word = (word << 11 & LOW | word >> 21) * 2654435761 & LOW
    word = (word ^ word >> 15) * 2246822519 & LOW
    word = (word ^ word >> 13) * 3266489917 & LOW
    return (word ^ word >> 16) >> 8 & 255


@kernel
def _is_plain_frame(data: np.ndarray, start: int, end: int) -> bool:
    """Return whether a frame starts here whose header has no checksums, no length and no dictionary."""
    if (
        end - start < FRAME_HEADER + 8
        or _read_uint32(data, start) != 0x184D2204
        or data[start + 4] & 0b11011111 != 0b01000000
    ):
        return False
    return data[start + 6] == _compute_header_checksum(np.int64(data[start + 4]), np.int64(data[start + 5]))


@kernel
def _read_length(data: np.ndarray, index: int, end: int, nibble: int) -> tuple:
    """Return a length of four bits, which continues in bytes if all are set, and the index after it."""
    length = nibble
    while nibble == 15 and index < end:
        byte = np.int64(data[index])
        index += 1
        length += byte
        if byte != 255:
            break
    return length, index


@kernel
def _peek_event_counts(data: np.ndarray, starts: np.ndarray, ends: np.ndarray, counts: np.ndarray) -> bool:
    """Write the number of events at the beginning of each packet to `counts`."""
    buffer = np.empty(PEEK_BYTES, np.uint8)
    for number in range(len(starts)):
        start, end = starts[number], ends[number]
        if not _is_plain_frame(data, start, end):
            return False
        index = start + FRAME_HEADER + 4
        literals, literals_start = _read_length(data, index + 1, end, np.int64(data[index]) >> 4)
        if literals >= EVENTS_OFFSET:
            if literals_start + EVENTS_OFFSET > end:
                return False
            for i in range(EVENTS_OFFSET):
                buffer[i] = data[literals_start + i]
        elif (
            _unpack_block(data, index, min(index + _read_uint32(data, index - 4), end), buffer, 0, EVENTS_OFFSET)
            < EVENTS_OFFSET
        ):
            return False
        for i in range(len(PREFIX)):
            if buffer[4 + i] != PREFIX[i]:
                return False
        counts[number] = _read_uint32(buffer, COUNT_OFFSET)
        if counts[number] * EVENT_BYTES > (end - start) * MAX_RATIO:
            return False
    return True


@kernel
def _unpack_packets(
    data: np.ndarray, starts: np.ndarray, ends: np.ndarray, offsets: np.ndarray, unpacked: np.ndarray
) -> bool:
    """Write the events of each packet to its offset; return whether all packets are valid."""
    buffer = np.empty(0, np.uint8)
    for number in range(len(starts)):
        event_bytes = offsets[number + 1] - offsets[number]
        if len(buffer) < EVENTS_OFFSET + event_bytes + 2 * COPY_BYTES:
            buffer = np.empty(EVENTS_OFFSET + 2 * (event_bytes + COPY_BYTES), np.uint8)
        if _unpack_frame(data, starts[number], ends[number], buffer) < EVENTS_OFFSET + event_bytes:
            return False
        for i in range(0, event_bytes, COPY_BYTES):
            _copy_16_bytes(unpacked, offsets[number] + i, buffer, EVENTS_OFFSET + i)
    return True


@kernel
def _unpack_frame(data: np.ndarray, start: int, end: int, buffer: np.ndarray) -> Any:
    """Unpack a frame with a checked header; return the number of bytes, or -1."""
    index, filled = start + FRAME_HEADER, 0
    while index + 4 <= end:
        size = _read_uint32(data, index)
        index += 4
        if size == 0:
            return filled
        if size >> 31 or index + size > end:  # an uncompressed block is left to the slower path too
            return -1
        filled = _unpack_block(data, index, index + size, buffer, filled, len(buffer))
        if filled < 0:
            return -1
        index += size
    return -1


@kernel
def _unpack_block(data: np.ndarray, index: Any, end: int, buffer: np.ndarray, filled: Any, needed: int) -> Any:
    """Unpack a block after the `filled` bytes, up to `needed`; return the count, -1 for damage or a full buffer.

    Copies have a fixed size; later ones overwrite the excess bytes.
    """
    safe_source, safe_buffer = min(end + COPY_BYTES, len(data)) - COPY_BYTES, len(buffer) - 2 * COPY_BYTES
    while index < end:
        while (
            index < end - 2 * COPY_BYTES and filled < safe_buffer - 2 * COPY_BYTES
        ):  # short sequences, nearly all of them, share one check
            token = np.int64(data[index])
            literals, length = token >> 4, (token & 15) + 4
            offset = _read_uint16(data, index + 1 + literals)
            literals_end = filled + literals
            if literals == 15 or length == 19 or offset < COPY_BYTES or offset > literals_end:
                break
            _copy_16_bytes(buffer, filled, data, index + 1)
            _copy_16_bytes(buffer, literals_end, buffer, literals_end - offset)
            if length > COPY_BYTES:
                _copy_16_bytes(buffer, literals_end + COPY_BYTES, buffer, literals_end + COPY_BYTES - offset)
            index += 3 + literals
            filled = literals_end + length
        token = np.int64(data[index])
        index += 1
        literals, length = token >> 4, token & 15
        if literals == 15:
            literals, index = _read_length(data, index, end, literals)
        if index + literals > end or filled + literals > safe_buffer:
            return -1
        if index + literals <= safe_source:
            _copy_16_bytes(buffer, filled, data, index)
            copied = COPY_BYTES
            while copied < literals:
                _copy_16_bytes(buffer, filled + copied, data, index + copied)
                copied += COPY_BYTES
        else:
            for i in range(literals):
                buffer[filled + i] = data[index + i]
        index += literals
        filled += literals
        if index == end:
            return filled
        if index + 2 > end:
            return -1
        offset = np.int64(data[index]) | np.int64(data[index + 1]) << 8
        index += 2
        if length == 15:
            length, index = _read_length(data, index, end, length)
        length += 4
        if offset == 0 or offset > filled or filled + length > safe_buffer:
            return -1
        if offset >= COPY_BYTES:
            _copy_16_bytes(buffer, filled, buffer, filled - offset)
            copied = COPY_BYTES
            while copied < length:
                _copy_16_bytes(buffer, filled + copied, buffer, filled + copied - offset)
                copied += COPY_BYTES
        else:
            for i in range(length):
                buffer[filled + i] = buffer[filled + i - offset]
        filled += length
        if filled >= needed:
            return filled
    return -1
