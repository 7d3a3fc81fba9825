"""Compiled unpacking of AEDAT4: the result of the LZ4 library, or none."""

from __future__ import annotations

import os
import struct

import hypothesis.strategies as st
import lz4.frame
import numpy as np
import pytest
from hypothesis import given

from anybind import BadInput
from anybind_events.readers import aedat4_lz4
from anybind_events.readers.aedat4 import ALL_EVENTS, EVENT, _join_packets
from anybind_events.readers.aedat4_lz4 import EVENT_BYTES, PREFIX, read_event_counts, unpack_events
from anybind_events.readers.aedat4_packets import LZ4, Packets, StreamInfo

pytestmark = pytest.mark.slow  # compiles a decoder, unless numba has cached it


def events(count: int, seed: int, regular: bool) -> np.ndarray:
    """Return events of a camera, or incompressible bytes."""
    random = np.random.default_rng(seed)
    if not regular:
        return np.frombuffer(random.bytes(count * EVENT_BYTES), EVENT)
    table = np.zeros(count, EVENT)
    table["t"] = 1_600_000_000_000_000 + np.cumsum(random.integers(0, 30, count))
    table["x"], table["y"], table["p"] = random.integers(0, 346, count), random.integers(0, 9, count), 1
    return table


def packet(event_list: np.ndarray, **options: object) -> bytes:
    content = PREFIX.tobytes() + struct.pack("<I", len(event_list)) + event_list.tobytes()
    return lz4.frame.compress(struct.pack("<I", len(content)) + content, **options)


def make_packets(packed: list[bytes]) -> Packets:
    ends = np.cumsum([len(each) for each in packed])
    starts = ends - [len(each) for each in packed]
    data = np.frombuffer(b"".join(packed), np.uint8)
    return Packets(data, LZ4, StreamInfo("EVTS", 346, 260), starts, ends, starts, {})


def unpack_by_library(packets: Packets) -> bytes:
    return b"".join(part.tobytes() for part in _join_packets(packets, ALL_EVENTS))


def unpack(packets: Packets) -> bytes | None:
    counts = read_event_counts(packets)
    result = None if counts is None else unpack_events(packets, counts, 0, len(counts))
    return None if result is None else result.tobytes()


LISTS = st.lists(
    st.tuples(st.integers(0, 700), st.integers(0, 99), st.booleans(), st.booleans()), min_size=1, max_size=5
)


@given(LISTS)
def test_packets_unpack_as_by_the_library(drawn: list[tuple[int, int, bool, bool]]) -> None:
    lists = [events(count, seed, regular) for count, seed, regular, _ in drawn]
    counts = zip(lists, drawn, strict=True)
    packets = make_packets(
        [packet(event_list, store_size=False, block_linked=linked) for event_list, (*_, linked) in counts]
    )
    result = unpack(packets)
    assert result in (None, unpack_by_library(packets))
    if all(regular and count > 20 for count, _, regular, _ in drawn):
        assert result == b"".join(event_list.tobytes() for event_list in lists)


def test_packets_of_dependent_blocks_are_unpacked() -> None:
    lists = [events(20_000, 1, True), events(9_000, 2, True)]
    packets = make_packets([packet(each, store_size=False, block_linked=True, block_size=4) for each in lists])
    assert unpack(packets) == b"".join(each.tobytes() for each in lists)


@given(st.binary(min_size=1, max_size=4), st.integers(0, 10**6), st.integers(0, 5))
def test_a_damaged_packet_unpacks_as_by_the_library_or_not_at_all(bad: bytes, place: int, seed: int) -> None:
    whole = bytearray(packet(events(300, seed, True), store_size=False))
    at = place % len(whole)
    whole[at : at + len(bad)] = bad
    packets = make_packets([bytes(whole)])
    result = unpack(packets)
    if result is None:
        return
    try:
        assert result == unpack_by_library(packets)
    except BadInput as error:  # the library also checks reserved bits
        pytest.fail(f"unpacked what the library refuses: {error}")


def test_frames_with_length_or_checksums_are_left_to_the_library() -> None:
    event_list = events(300, 0, True)
    for options in ({"store_size": True}, {"content_checksum": True}, {"block_checksum": True}):
        packets = make_packets([packet(event_list, **options)])
        assert read_event_counts(packets) is None
        assert unpack_by_library(packets) == event_list.tobytes()


def test_an_impossible_count_allocates_no_memory() -> None:
    content = PREFIX.tobytes() + struct.pack("<I", 0xFFFFFFFF) + bytes(64)
    packed = lz4.frame.compress(struct.pack("<I", len(content)) + content, store_size=False)
    assert read_event_counts(make_packets([packed])) is None


def test_two_threads_give_the_result_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = [events(4_000, seed, True) for seed in range(9)]
    packets = make_packets([packet(each, store_size=False) for each in lists])
    monkeypatch.setattr(aedat4_lz4, "MIN_THREADED_BYTES", 1)
    assert unpack(packets) == b"".join(each.tobytes() for each in lists)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_unpacks_halves_too(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = [events(4_000, seed, True) for seed in range(4)]
    packets = make_packets([packet(each, store_size=False) for each in lists])
    monkeypatch.setattr(aedat4_lz4, "MIN_THREADED_BYTES", 1)
    whole = unpack(packets)
    child = os.fork()
    if not child:
        os._exit(0 if unpack(packets) == whole else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
