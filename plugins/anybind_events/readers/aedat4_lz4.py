"""The usual AEDAT4 recording - packets of events, each an LZ4 frame - unpacked by compiled loops, in two threads.

Whatever is not as cameras' software writes it is left to the slower way, which also tells what is wrong: the functions
here say only whether they could.

Source of the format: the descriptions of LZ4's frames and blocks (lz4_Frame_format.md, lz4_Block_format.md).
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from anybind.plugin import kernel
from anybind_events.readers.aedat4_packets import Packets

PREFIX = np.frombuffer(bytes.fromhex("100000004556545300000600080004000600000004000000"), np.uint8)
"""What stands between a packet's length and the number of its events where it is laid out as cameras' software does."""
LIST_AT = 4 + len(PREFIX)
"""Where the number of events is in such a packet."""
EVENTS_AT = LIST_AT + 4
"""Where its events begin."""
EVENT_BYTES = 16
LOW = (1 << 32) - 1
STEP = 16
"""Bytes that are copied at once."""
FRAME_HEADER = 7
"""Bytes of a frame's header that names no length and no dictionary."""
MOST_FOLD = 255
"""How many times its own length a block can unpack to, at most."""
ROOM_TO_PEEK = 1 << 16
"""Bytes in which the beginning of a packet is unpacked."""
WORTH_A_THREAD = 1 << 19
"""Bytes of events from which on a second thread gains more than its start costs."""


_compiled_in = cast("Callable[..., Callable[..., Any]]", intrinsic)
"""Kernels call what it makes without the argument for the context, which type checkers do not know."""


@_compiled_in
def _copy_step(typing_context: Any, target: Any, to: Any, source: Any, at: Any) -> Any:
    """16 bytes from one place of an array to a place of another, neither of which need be aligned."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        step = ir.VectorType(ir.IntType(64), 2).as_pointer()
        places = []
        for array, place in ((0, 1), (2, 3)):
            held = context.make_array(signature.args[array])(context, builder, arguments[array])
            places.append(builder.bitcast(cgutils.gep_inbounds(builder, held.data, arguments[place]), step))
        builder.store(builder.load(places[1], align=1), places[0], align=1)
        return context.get_dummy_value()

    return types.void(target, types.intp, source, types.intp), generate


@_compiled_in
def _pair(typing_context: Any, array: Any, at: Any) -> Any:
    """The number in two bytes of an array, at any place in it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        held = context.make_array(signature.args[0])(context, builder, arguments[0])
        place = builder.bitcast(cgutils.gep_inbounds(builder, held.data, arguments[1]), ir.IntType(16).as_pointer())
        return builder.zext(builder.load(place, align=1), ir.IntType(64))

    return types.int64(array, types.intp), generate


def event_counts(packets: Packets) -> np.ndarray | None:
    """How many events each packet says it has, (packets,) int64; None where one is not laid out in the usual way."""
    counts = np.empty(len(packets.starts), np.int64)
    return counts if _peek(packets.data, packets.starts, packets.ends, counts) else None


def unpack_events(packets: Packets, counts: np.ndarray, first: int, behind: int) -> np.ndarray | None:
    """The events of the packets from `first` to `behind`, (bytes,) uint8; None where one is not as it should be."""
    places = np.concatenate([[0], np.cumsum(counts[first:behind])]) * EVENT_BYTES
    unpacked = np.empty(int(places[-1]), np.uint8)
    starts, ends = packets.starts[first:behind], packets.ends[first:behind]
    middle = int(np.searchsorted(places, len(unpacked) // 2)) if len(unpacked) > WORTH_A_THREAD else 0
    if not 0 < middle < len(starts):
        return unpacked if _unpack(packets.data, starts, ends, places, unpacked) else None
    rest = _other().submit(_unpack, packets.data, starts[middle:], ends[middle:], places[middle:], unpacked)
    sure = _unpack(packets.data, starts[:middle], ends[:middle], places[: middle + 1], unpacked)
    return unpacked if rest.result() and sure else None


@functools.cache
def _other() -> ThreadPoolExecutor:
    """A thread that waits for halves: to start one anew would take longer than a small recording."""
    if sys.platform != "win32":  # which cannot fork
        os.register_at_fork(after_in_child=_other.cache_clear)
    return ThreadPoolExecutor(1, thread_name_prefix="anybind-aedat4")


@kernel
def _u32(data: np.ndarray, at: int) -> Any:
    number = np.int64(0)
    for i in range(4):
        number |= np.int64(data[at + i]) << 8 * i
    return number


@kernel
def _header_sum(flags: int, block_size: int) -> Any:
    """The second byte of XXH32 of a header's two bytes, which closes it."""
    word = 374761393 + 2
    for byte in (flags, block_size):
        word = word + byte * 374761393 & LOW
        word = (word << 11 & LOW | word >> 21) * 2654435761 & LOW
    word = (word ^ word >> 15) * 2246822519 & LOW
    word = (word ^ word >> 13) * 3266489917 & LOW
    return (word ^ word >> 16) >> 8 & 255


@kernel
def _is_usual(data: np.ndarray, start: int, end: int) -> bool:
    """Whether a frame begins here whose header names no checksums, no length and no dictionary."""
    if end - start < FRAME_HEADER + 8 or _u32(data, start) != 0x184D2204 or data[start + 4] & 0b11011111 != 0b01000000:
        return False
    return data[start + 6] == _header_sum(np.int64(data[start + 4]), np.int64(data[start + 5]))


@kernel
def _length(data: np.ndarray, at: int, end: int, nibble: int) -> tuple:
    """A length that begins with four bits, and goes on in bytes where these are all set; and the place behind it."""
    length = nibble
    while nibble == 15 and at < end:
        byte = np.int64(data[at])
        at += 1
        length += byte
        if byte != 255:
            break
    return length, at


@kernel
def _peek(data: np.ndarray, starts: np.ndarray, ends: np.ndarray, counts: np.ndarray) -> bool:
    """Fill in the number of events that stands at the beginning of each packet."""
    room = np.empty(ROOM_TO_PEEK, np.uint8)
    for number in range(len(starts)):
        start, end = starts[number], ends[number]
        if not _is_usual(data, start, end):
            return False
        at = start + FRAME_HEADER + 4
        literals, behind = _length(data, at + 1, end, np.int64(data[at]) >> 4)
        if literals >= EVENTS_AT:
            if behind + EVENTS_AT > end:
                return False
            for i in range(EVENTS_AT):
                room[i] = data[behind + i]
        elif _block(data, at, min(at + _u32(data, at - 4), end), room, 0, EVENTS_AT) < EVENTS_AT:
            return False
        for i in range(len(PREFIX)):
            if room[4 + i] != PREFIX[i]:
                return False
        counts[number] = _u32(room, LIST_AT)
        if counts[number] * EVENT_BYTES > (end - start) * MOST_FOLD:
            return False
    return True


@kernel
def _unpack(data: np.ndarray, starts: np.ndarray, ends: np.ndarray, places: np.ndarray, unpacked: np.ndarray) -> bool:
    """Write the events of each packet to its place; false where a packet is not as it should be."""
    room = np.empty(0, np.uint8)
    for number in range(len(starts)):
        bytes_of_events = places[number + 1] - places[number]
        if len(room) < EVENTS_AT + bytes_of_events + 2 * STEP:
            room = np.empty(EVENTS_AT + 2 * (bytes_of_events + STEP), np.uint8)
        if _frame(data, starts[number], ends[number], room) < EVENTS_AT + bytes_of_events:
            return False
        for i in range(0, bytes_of_events, STEP):
            _copy_step(unpacked, places[number] + i, room, EVENTS_AT + i)
    return True


@kernel
def _frame(data: np.ndarray, start: int, end: int, room: np.ndarray) -> Any:
    """Unpack a frame whose header was looked at; how many bytes it gave, or -1."""
    at, held = start + FRAME_HEADER, 0
    while at + 4 <= end:
        size = _u32(data, at)
        at += 4
        if size == 0:
            return held
        if size >> 31 or at + size > end:  # a block that is not packed is left to the slower way too
            return -1
        held = _block(data, at, at + size, room, held, len(room))
        if held < 0:
            return -1
        at += size
    return -1


@kernel
def _block(data: np.ndarray, at: Any, end: int, room: np.ndarray, held: Any, enough: int) -> Any:
    """Unpack a block behind what is held, or until enough is; how much is, or -1 where it is damaged or the room full.

    Copies are made in steps, also of what is shorter: the bytes behind are written over by what follows.
    """
    safe_source, safe_room = min(end + STEP, len(data)) - STEP, len(room) - 2 * STEP
    while at < end:
        while at < end - 2 * STEP and held < safe_room - 2 * STEP:  # short ones, as nearly all are: checked at once
            token = np.int64(data[at])
            literals, length = token >> 4, (token & 15) + 4
            offset = _pair(data, at + 1 + literals)
            behind = held + literals
            if literals == 15 or length == 19 or offset < STEP or offset > behind:
                break
            _copy_step(room, held, data, at + 1)
            _copy_step(room, behind, room, behind - offset)
            if length > STEP:
                _copy_step(room, behind + STEP, room, behind + STEP - offset)
            at += 3 + literals
            held = behind + length
        token = np.int64(data[at])
        at += 1
        literals, length = token >> 4, token & 15
        if literals == 15:
            literals, at = _length(data, at, end, literals)
        if at + literals > end or held + literals > safe_room:
            return -1
        if at + literals <= safe_source:
            _copy_step(room, held, data, at)
            copied = STEP
            while copied < literals:
                _copy_step(room, held + copied, data, at + copied)
                copied += STEP
        else:
            for i in range(literals):
                room[held + i] = data[at + i]
        at += literals
        held += literals
        if at == end:
            return held
        if at + 2 > end:
            return -1
        offset = np.int64(data[at]) | np.int64(data[at + 1]) << 8
        at += 2
        if length == 15:
            length, at = _length(data, at, end, length)
        length += 4
        if offset == 0 or offset > held or held + length > safe_room:
            return -1
        if offset >= STEP:
            _copy_step(room, held, room, held - offset)
            copied = STEP
            while copied < length:
                _copy_step(room, held + copied, room, held + copied - offset)
                copied += STEP
        else:
            for i in range(length):
                room[held + i] = room[held + i - offset]
        held += length
        if held >= enough:
            return held
    return -1
