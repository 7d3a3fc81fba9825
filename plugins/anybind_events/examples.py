"""What the conformance kit tries this plugin's parts on: small made recordings."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

import anybind
from anybind.testing import Example
from anybind_events.stream import EventStream

WIDTH, HEIGHT = 240, 180
EVENTS = [(n * 7 % WIDTH, n * 5 % HEIGHT, n * 90, n % 3 == 0) for n in range(300)]
"""x, y, microseconds, whether brightness rose."""


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """The example of a part; None where the samples of its modality's example do."""
    if kind == "modality":
        return _recordings()
    if kind == "encoder":
        options = {"of": anybind.load("mini").encoder("image"), "representation": "paper", "size": 64}
        return Example(options=options)
    if kind == "reader" and name in FILES:
        suffix, write = FILES[name]
        path = folder / f"recording{suffix}"
        write(path)
        return Example(files=[path])
    if kind == "reader" and name == "aedat4":
        return Example(cannot="there is no recording of the format here, and none is made up")
    return None


def _recordings() -> Example:
    random = np.random.default_rng(0)
    samples = []
    for _ in range(3):
        x, y = (random.integers(0, side, 900).astype(np.uint16) for side in (40, 30))
        samples.append(EventStream(x, y, np.sort(random.integers(0, 100_000, 900)), random.random(900) < 0.5, 40, 30))
    none = np.zeros(0, np.uint16)
    empty = EventStream(none, none, none.astype(np.int64), none.astype(bool), 40, 30)
    picture = np.add.outer(np.arange(48), np.arange(64))[..., None] * np.array([1, 2, 3]) % 256
    return Example(samples=samples, wrong=[empty], sources={"image": picture.astype(np.uint8)})


def _writer(header: bytes, pack: Callable[[int, int, int, bool], bytes]) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(header + b"".join(pack(*event) for event in EVENTS))


def pack_aedat2(x: int, y: int, t: int, rise: bool) -> bytes:
    """Pack an event of AEDAT 2.0."""
    return struct.pack(">II", (HEIGHT - 1 - y) << 22 | (WIDTH - 1 - x) << 12 | rise << 11, t)


def pack_aedat3(x: int, y: int, t: int, rise: bool) -> bytes:
    """Pack an event of AEDAT 3.1, a packet of its own."""
    return struct.pack("<hhiiiiiiIi", 1, 1, 8, 4, 0, 1, 1, 1, x << 17 | y << 2 | rise << 1 | 1, t)


def pack_evt2(x: int, y: int, t: int, rise: bool) -> bytes:
    """Pack an event of EVT 2.0 and its time."""
    return struct.pack("<II", 8 << 28 | t >> 6, rise << 28 | (t & 63) << 22 | x << 11 | y)


def pack_evt21(x: int, y: int, t: int, rise: bool) -> bytes:
    """Pack an event of EVT 2.1 and its time."""
    return struct.pack("<QQ", 8 << 60 | t >> 6 << 32, rise << 60 | (t & 63) << 54 | x << 43 | y << 32 | 1)


def pack_evt3(x: int, y: int, t: int, rise: bool) -> bytes:
    """Pack an event of EVT 3.0 and its time."""
    return struct.pack("<4H", 8 << 12 | t >> 12, 6 << 12 | t & 4095, y, 2 << 12 | rise << 11 | x)


def _es(path: Path) -> None:
    content = b"Event Stream" + bytes((2, 0, 0, 1)) + struct.pack("<HH", WIDTH, HEIGHT)
    for x, y, _, rise in EVENTS:  # each 90 us after the one before
        content += bytes((90 << 1 | rise,)) + struct.pack("<HH", x, HEIGHT - 1 - y)
    path.write_bytes(content)


def _npy(path: Path) -> None:
    np.save(path, np.array(EVENTS, [("x", "u2"), ("y", "u2"), ("t", "i8"), ("p", "?")]))


AEDAT3 = b"#!AER-DAT3.1\r\n#Source 1: DAVIS240C\r\n#!END-HEADER\r\n"
FILES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "aedat2": (".aedat", _writer(b"#!AER-DAT2.0\r\n# AEChip: DAVIS240C\r\n", pack_aedat2)),
    "aedat3": (".aedat", _writer(AEDAT3, pack_aedat3)),
    "evt2": (".raw", _writer(b"% evt 2.0\n% geometry 240x180\n", pack_evt2)),
    "evt21": (".raw", _writer(b"% evt 2.1\n% geometry 240x180\n", pack_evt21)),
    "evt3": (".raw", _writer(b"% evt 3.0\n% geometry 240x180\n", pack_evt3)),
    "es": (".es", _es),
    "npy-events": (".npy", _npy),
}
"""Of formats that the plugin does not write."""
