"""A minimal Theora video, since FFmpeg has no encoder: gray frames, in an Ogg container.

Source of the format: the Theora specification of Xiph.Org, sections 6 and 7, and RFC 3533.
"""

from __future__ import annotations

import struct

from helpers.fuzzing.containers import mend_ogg

N_HUFFMAN_TABLES = 80
KEYFRAME_SHIFT = 6


def _pack_bits(fields: list[tuple[int, int]]) -> bytes:
    """Pack pairs of a number and its bits, the highest bit first."""
    text = "".join(f"{number:0{bits}b}" for number, bits in fields if bits)
    text += "0" * (-len(text) % 8)
    return bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))


def _pack_setup() -> bytes:
    fields = [(0, 3)]  # no loop filter
    for _ in range(2):  # scales of AC and DC: 64 numbers of one bit
        fields += [(0, 4), *[(1, 1)] * 64]
    fields += [(1, 9), *[(16, 8)] * 128]  # two base matrices
    for number in range(6):  # one range of quality for the first of six sets, which the others copy
        fields += [(0, 1), (62, 6), (0, 1)] if number == 0 else [(0, 1), *([(0, 1)] if number > 2 else [])]
    # Each table has two codes: the end of one block, and of a run of blocks.
    fields += [(0, 1), (1, 1), (0, 5), (1, 1), (6, 5)] * N_HUFFMAN_TABLES
    return b"\x82theora" + _pack_bits(fields)


def _pack_page(packets: list[bytes], number: int, flags: int, granule: int) -> bytes:
    lacing = b"".join(bytes([255] * (len(each) // 255) + [len(each) % 255]) for each in packets)
    header = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, granule, 1, number, 0, len(lacing))
    return header + lacing + b"".join(packets)


def make_theora(width: int = 32, height: int = 16, n_frames: int = 4) -> bytes:
    """Make a video of gray frames at 25 Hz."""
    identification = b"\x80theora\3\2\1" + struct.pack(">HH", width // 16, height // 16)
    identification += width.to_bytes(3, "big") + height.to_bytes(3, "big") + bytes(2) + struct.pack(">II", 25, 1)
    identification += bytes(10) + _pack_bits([(0, 6), (KEYFRAME_SHIFT, 5), (0, 5)])
    comment = b"\x81theora" + struct.pack("<II", 0, 0)
    # A key frame of the lowest quality, in which a single run ends all blocks.
    frame = _pack_bits([(0, 2), (0, 6), (0, 1), (0, 3), (0, 8), (1, 1), (0, 12), (0, 8)])
    pages = [_pack_page([identification], 0, 2, 0), _pack_page([comment, _pack_setup()], 1, 0, 0)]
    for number in range(n_frames):
        last = 4 if number == n_frames - 1 else 0
        pages.append(_pack_page([frame], number + 2, last, (number + 1) << KEYFRAME_SHIFT))
    return mend_ogg(b"".join(pages))
