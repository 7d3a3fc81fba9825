"""Compiled unpacking of AEDAT 4: what it gives is what the library for LZ4 gives, or it leaves the file to that."""

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


def events(count: int, seed: int, regular: bool) -> np.ndarray:
    """Events as a camera sends them, or bytes that no compression makes smaller."""
    random = np.random.default_rng(seed)
    if not regular:
        return np.frombuffer(random.bytes(count * EVENT_BYTES), EVENT)
    table = np.zeros(count, EVENT)
    table["t"] = 1_600_000_000_000_000 + np.cumsum(random.integers(0, 30, count))
    table["x"], table["y"], table["p"] = random.integers(0, 346, count), random.integers(0, 9, count), 1
    return table


def packet(listed: np.ndarray, **options: object) -> bytes:
    content = PREFIX.tobytes() + struct.pack("<I", len(listed)) + listed.tobytes()
    return lz4.frame.compress(struct.pack("<I", len(content)) + content, **options)


def packets_of(packed: list[bytes]) -> Packets:
    ends = np.cumsum([len(each) for each in packed])
    starts = ends - [len(each) for each in packed]
    data = np.frombuffer(b"".join(packed), np.uint8)
    return Packets(data, LZ4, StreamInfo("EVTS", 346, 260), starts, ends, starts, {})


def by_the_library(packets: Packets) -> bytes:
    return b"".join(part.tobytes() for part in _join_packets(packets, ALL_EVENTS))


def unpacked(packets: Packets) -> bytes | None:
    counts = read_event_counts(packets)
    found = None if counts is None else unpack_events(packets, counts, 0, len(counts))
    return None if found is None else found.tobytes()


LISTS = st.lists(
    st.tuples(st.integers(0, 700), st.integers(0, 99), st.booleans(), st.booleans()), min_size=1, max_size=5
)


@given(LISTS)
def test_packets_unpack_as_by_the_library(drawn: list[tuple[int, int, bool, bool]]) -> None:
    lists = [events(count, seed, regular) for count, seed, regular, _ in drawn]
    made = zip(lists, drawn, strict=True)
    packets = packets_of([packet(listed, store_size=False, block_linked=linked) for listed, (*_, linked) in made])
    found = unpacked(packets)
    assert found in (None, by_the_library(packets))
    if all(regular and count > 20 for count, _, regular, _ in drawn):
        assert found == b"".join(listed.tobytes() for listed in lists)


def test_packets_of_dependent_blocks_are_unpacked() -> None:
    lists = [events(20_000, 1, True), events(9_000, 2, True)]
    packets = packets_of([packet(each, store_size=False, block_linked=True, block_size=4) for each in lists])
    assert unpacked(packets) == b"".join(each.tobytes() for each in lists)


@given(st.binary(min_size=1, max_size=4), st.integers(0, 10**6), st.integers(0, 5))
def test_a_damaged_packet_unpacks_as_by_the_library_or_not_at_all(bad: bytes, place: int, seed: int) -> None:
    whole = bytearray(packet(events(300, seed, True), store_size=False))
    at = place % len(whole)
    whole[at : at + len(bad)] = bad
    packets = packets_of([bytes(whole)])
    found = unpacked(packets)
    if found is None:
        return
    try:
        assert found == by_the_library(packets)
    except BadInput as error:  # the library also looks at what it has no need of: bits that are kept for later versions
        pytest.fail(f"unpacked what the library refuses: {error}")


def test_frames_with_length_or_checksums_are_left_to_the_library() -> None:
    listed = events(300, 0, True)
    for options in ({"store_size": True}, {"content_checksum": True}, {"block_checksum": True}):
        packets = packets_of([packet(listed, **options)])
        assert read_event_counts(packets) is None
        assert by_the_library(packets) == listed.tobytes()


def test_an_impossible_count_allocates_no_memory() -> None:
    content = PREFIX.tobytes() + struct.pack("<I", 0xFFFFFFFF) + bytes(64)
    packed = lz4.frame.compress(struct.pack("<I", len(content)) + content, store_size=False)
    assert read_event_counts(packets_of([packed])) is None


def test_two_threads_give_the_result_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = [events(4_000, seed, True) for seed in range(9)]
    packets = packets_of([packet(each, store_size=False) for each in lists])
    monkeypatch.setattr(aedat4_lz4, "MIN_THREADED_BYTES", 1)
    assert unpacked(packets) == b"".join(each.tobytes() for each in lists)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_unpacks_halves_too(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = [events(4_000, seed, True) for seed in range(4)]
    packets = packets_of([packet(each, store_size=False) for each in lists])
    monkeypatch.setattr(aedat4_lz4, "MIN_THREADED_BYTES", 1)
    whole = unpacked(packets)
    child = os.fork()
    if not child:
        os._exit(0 if unpacked(packets) == whole else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
