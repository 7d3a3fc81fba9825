"""Seeds of binary event formats, written by hand from the descriptions of the formats."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import numpy as np

from helpers.fuzzing.seeds import Seed

N_EVENTS = 60
WIDTH, HEIGHT = 30, 20
PACKET_EVENTS = 20


def make_columns(n_events: int = N_EVENTS) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Make the columns x, y, t (microseconds) and p of a small recording, int64."""
    random = np.random.default_rng(7)
    x, y = random.integers(0, WIDTH, n_events), random.integers(0, HEIGHT, n_events)
    return x, y, np.cumsum(random.integers(0, 40, n_events)), random.integers(0, 2, n_events)


def make_binary_seeds() -> list[Seed]:
    """Make recordings of Prophesee's formats, Event Stream and N-MNIST."""
    fields = b"% geometry 30x20\n% t0 5\n"
    return [
        Seed("evt2", ".raw", b"% evt 2.0\n% format EVT2;height=20;width=30\n% end\n" + _make_evt2(), "lines"),
        Seed("evt2-old", ".raw", b"% evt 2.0\n% plugin_name hal_plugin_gen31_fx3\n" + _make_evt2(), "lines"),
        Seed("evt21", ".raw", b"% evt 2.1\n" + fields + b"% end\n" + _make_evt21(False), "lines"),
        Seed("evt21-legacy", ".raw", b"% format EVT21;endianness=legacy\n" + fields + _make_evt21(True), "lines"),
        Seed("evt3", ".raw", b"% evt 3.0\n% format EVT3;height=20;width=30\n% end\n" + _make_evt3(), "lines"),
        Seed("evt3-size", ".raw", b"% evt 3.0\n" + fields + _make_evt3(), "lines"),
        Seed("dat-1", ".dat", b"% Data file containing TD\n% Version 1\n" + _make_dat(9, 17), "lines"),
        Seed("dat-2", ".dat", b"% Version 2\n% Width 30\n% Height 20\n" + _make_dat(14, 28), "lines"),
        Seed("es-dvs", ".es", _make_es(1), "es"),
        Seed("es-atis", ".es", _make_es(2), "es"),
        Seed("nmnist", ".bin", _make_nmnist(), "nmnist"),
    ]


def _make_evt2() -> bytes:
    words, high = [], -1
    for x, y, t, p in zip(*make_columns(), strict=True):
        if t >> 6 != high:
            high = t >> 6
            words.append(8 << 28 | high)
        words.append(p << 28 | (t & 63) << 22 | x << 11 | y)
    return np.array([*words, 10 << 28], "<u4").tobytes()


def _make_evt21(legacy: bool) -> bytes:
    words, high = [], -1
    for x, y, t, p in zip(*make_columns(), strict=True):
        if t >> 6 != high:
            high = t >> 6
            words.append((8 << 28 | high, 0))
        words.append((p << 28 | (t & 63) << 22 | (x & ~31) << 11 | y, 1 << (x & 31)))
    words.append((10 << 28, 0))
    return np.array([pair if legacy else pair[::-1] for pair in words], "<u4").tobytes()


def _make_evt3() -> bytes:
    words, high = [], -1
    for x, y, t, p in zip(*make_columns(), strict=True):
        if t >> 12 != high:
            high = t >> 12
            words.append(8 << 12 | high)
        words += [6 << 12 | t & 4095, y, 2 << 12 | p << 11 | x]
    vectors = [3 << 12 | 1 << 11 | 2, 4 << 12 | 0xA5F, 5 << 12 | 0x81, 10 << 12, 14 << 12 | 5]
    return np.array([*words, *vectors], "<u2").tobytes()


def _make_dat(y_shift: int, p_shift: int) -> bytes:
    x, y, t, p = make_columns()
    return b"\x0c\x08" + np.stack([t, x | y << y_shift | p << p_shift], 1).astype("<u4").tobytes()


def _make_es(kind: int) -> bytes:
    content, previous, step = bytearray(), 0, (256 >> kind) - 1
    for x, y, t, p in zip(*make_columns(), strict=True):
        delta, previous = t - previous, t
        content += bytes([step << kind | 1] * (delta // step))
        content += struct.pack("<BHH", (delta % step) << kind | p << (kind - 1), x, y)
    return b"Event Stream" + struct.pack("<BBBBHH", 2, 0, 0, kind, WIDTH, HEIGHT) + bytes(content)


def _make_nmnist() -> bytes:
    x, y, t, p = make_columns()
    rows = np.stack([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255], 1).astype(np.uint8)
    marker = np.array([[0, 240, 0, 0, 0]], np.uint8)
    return np.concatenate([rows[:40], marker, rows[40:]]).tobytes()


def make_aedat_seeds() -> list[Seed]:
    """Make recordings of AEDAT 2, 3 and 4, the last in each compression."""
    import lz4.frame
    import zstandard

    pack_lz4_sized = lambda content: lz4.frame.compress(content, store_size=True, content_checksum=True)  # noqa: E731
    pack_lz4 = lambda content: lz4.frame.compress(content, store_size=False)  # noqa: E731
    return [
        Seed("aedat2-dvs128", ".aedat", _make_aedat2(b"# AEChip: DVS128\r\n", _pack_dvs128), "aedat"),
        Seed("aedat2-davis", ".aedat", _make_aedat2(b"# AEChip: Davis240C\r\n", _pack_davis), "aedat"),
        Seed("aedat2-unnamed", ".aedat", _make_aedat2(b"", _pack_davis), "aedat"),
        Seed("aedat3", ".aedat", _make_aedat3(), "aedat"),
        Seed("aedat4", ".aedat4", _make_aedat4(0, bytes), "aedat4"),
        Seed("aedat4-lz4", ".aedat4", _make_aedat4(1, pack_lz4), "aedat4-lz4"),
        Seed("aedat4-lz4-sized", ".aedat4", _make_aedat4(2, pack_lz4_sized), "aedat4"),
        Seed("aedat4-zstd", ".aedat4", _make_aedat4(3, zstandard.compress), "aedat4-zstd"),
    ]


def _pack_dvs128(x: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    return (127 - y) << 8 | (127 - x) << 1 | (1 - p)


def _pack_davis(x: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    return (179 - y) << 22 | (239 - x) << 12 | p << 11


def _make_aedat2(lines: bytes, pack: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> bytes:
    x, y, t, p = make_columns()
    words = np.stack([pack(x, y, p), t], 1).astype(">u4").tobytes()
    return b"#!AER-DAT2.0\r\n" + lines + b"#End Of ASCII Header\r\n" + words


def _make_aedat3() -> bytes:
    x, y, t, p = make_columns()
    content = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"
    for first in range(0, N_EVENTS, PACKET_EVENTS):
        part = slice(first, first + PACKET_EVENTS)
        events = np.stack([x[part] << 17 | y[part] << 2 | p[part] << 1 | 1, t[part]], 1).astype("<u4")
        content += struct.pack("<hhiiiiii", 1, 1, 8, 4, 0, PACKET_EVENTS, PACKET_EVENTS, PACKET_EVENTS)
        content += events.tobytes()
        content += struct.pack("<hhiiiiii", 2, 1, 4, 0, 0, 1, 1, 1) + bytes(4)  # a packet of another type
    return content


def _pack_table(fields: Sequence[bytes | None], tail: bytes, kind: bytes) -> bytes:
    """Pack a FlatBuffer of one table, followed by the list that its last field points to."""
    places, body = [], b""
    for each in fields:
        places.append(0 if each is None else 4 + len(body))
        body += each or b""
    slots = struct.pack(f"<HH{len(places)}H", 4 + 2 * len(places), 4 + len(body), *places)
    slots += bytes(-len(slots) % 4)
    start = 8 + len(slots)
    return struct.pack("<I", start) + kind + slots + struct.pack("<i", start - 8) + body + tail


def _pack_events(first: int) -> bytes:
    x, y, t, p = make_columns()
    rows = zip(*(column[first : first + PACKET_EVENTS] for column in (t, x, y, p)), strict=True)
    listed = struct.pack("<I", PACKET_EVENTS) + b"".join(struct.pack("<qHHBxxx", *row) for row in rows)
    content = _pack_table([struct.pack("<I", 4)], listed, b"EVTS")
    return struct.pack("<I", len(content)) + content


def _make_aedat4(compression: int, compress: Callable[[bytes], bytes]) -> bytes:
    node = '<node name="{}"><attr key="typeIdentifier">{}</attr><node name="info">{}</node></node>'
    size = f'<attr key="sizeX">{WIDTH}</attr><attr key="sizeY">{HEIGHT}</attr>'
    nodes = node.format(0, "EVTS", size) + node.format(2, "IMUS", "")
    xml = f'<dv version="2.0"><node name="outInfo">{nodes}</node></dv>'.encode()
    packets = [(0, _pack_events(first)) for first in range(0, N_EVENTS, PACKET_EVENTS)]
    packets.insert(1, (2, b"inertial data"))
    packed = ((number, compress(content)) for number, content in packets)
    body = b"".join(struct.pack("<iI", number, len(content)) + content for number, content in packed)

    def pack_header(table_at: int) -> bytes:
        fields = [struct.pack("<i", compression), struct.pack("<q", table_at), struct.pack("<I", 4)]
        header = _pack_table(fields, struct.pack("<I", len(xml)) + xml, b"IOHE")
        return b"#!AER-DAT4.0\r\n" + struct.pack("<I", len(header)) + header

    return pack_header(len(pack_header(0)) + len(body)) + body + b"a table"
