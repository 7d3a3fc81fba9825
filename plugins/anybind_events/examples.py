"""Examples for the conformance checks of this plugin's parts: small synthetic recordings."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

import anybind
from anybind.plugin import Dataset, Item
from anybind.testing import Example
from anybind_events.stream import EventStream

WIDTH, HEIGHT = 240, 180
EVENTS = [(n * 7 % WIDTH, n * 5 % HEIGHT, n * 90, n % 3 == 0) for n in range(300)]
"""x, y, microseconds, polarity (True: ON)."""


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """Return the example of a part; None if the samples of its modality's example suffice."""
    if kind == "modality":
        return _make_recordings()
    if kind == "task":
        return Example(dataset=Recordings(), modality="event")
    if kind == "filter":
        return Example(options=FILTER_OPTIONS.get(name, {}))
    if kind == "encoder":
        options = {
            "image_encoder": anybind.load("mini", backend="torch").encoder("image"),
            "representation": "paper",
            "size": 64,
        }
        return Example(options=options)
    if kind == "source" and name == "replay":
        path = folder / "recording.npy"
        np.save(path, np.array(EVENTS, XYTP))
        return Example(options={"path": str(path)})
    if kind == "source" and name == "udp":
        return Example(options={"size": "240x180", "port": 0})
    if kind == "reader" and name in FILES:
        suffix, write = FILES[name]
        path = folder / f"recording{suffix}"
        write(path)
        return Example(files=[path])
    if kind == "reader" and name == "rosbag-events":
        from anybind_events import ros_examples

        files = [folder / f"recording{suffix}" for suffix in (".bag", ".db3", ".mcap")]
        for path in files:
            ros_examples.write_example(path, b"".join(pack_evt3(*event) for event in EVENTS))
        return Example(files=files)
    return None


class Recordings(Dataset):
    """Random recordings of two classes."""

    name = "recordings"
    licence = "Apache-2.0"

    def __init__(self) -> None:
        """Accept no options."""
        samples = _make_recordings().samples
        items = [Item(f"{number}", sample, ("cat", "dog")[number % 2]) for number, sample in enumerate(samples)]
        self.set_items(items, ("cat", "dog"))


def _make_recordings() -> Example:
    rng = np.random.default_rng(0)
    samples = []
    for _ in range(3):
        x, y = (rng.integers(0, side, 900).astype(np.uint16) for side in (40, 30))
        samples.append(EventStream(x, y, np.sort(rng.integers(0, 100_000, 900)), rng.random(900) < 0.5, 40, 30))
    no_events = np.zeros(0, np.uint16)
    empty = EventStream(no_events, no_events, no_events.astype(np.int64), no_events.astype(bool), 40, 30)
    image = np.add.outer(np.arange(48), np.arange(64))[..., None] * np.array([1, 2, 3]) % 256
    return Example(samples=samples, wrong=[empty], sources={"image": image.astype(np.uint8)})


def _make_writer(header: bytes, pack: Callable[[int, int, int, bool], bytes]) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(header + b"".join(pack(*event) for event in EVENTS))


def pack_aedat2(x: int, y: int, t: int, on: bool) -> bytes:
    """Pack an event of AEDAT 2.0."""
    return struct.pack(">II", (HEIGHT - 1 - y) << 22 | (WIDTH - 1 - x) << 12 | on << 11, t)


def pack_aedat3(x: int, y: int, t: int, on: bool) -> bytes:
    """Pack an event of AEDAT 3.1, a packet of its own."""
    return struct.pack("<hhiiiiiiIi", 1, 1, 8, 4, 0, 1, 1, 1, x << 17 | y << 2 | on << 1 | 1, t)


def pack_evt2(x: int, y: int, t: int, on: bool) -> bytes:
    """Pack an event of EVT 2.0 and its time."""
    return struct.pack("<II", 8 << 28 | t >> 6, on << 28 | (t & 63) << 22 | x << 11 | y)


def pack_evt21(x: int, y: int, t: int, on: bool) -> bytes:
    """Pack an event of EVT 2.1 and its time."""
    return struct.pack("<QQ", 8 << 60 | t >> 6 << 32, on << 60 | (t & 63) << 54 | x << 43 | y << 32 | 1)


def pack_evt3(x: int, y: int, t: int, on: bool) -> bytes:
    """Pack an event of EVT 3.0 and its time."""
    return struct.pack("<4H", 8 << 12 | t >> 12, 6 << 12 | t & 4095, y, 2 << 12 | on << 11 | x)


def _write_es(path: Path) -> None:
    content = b"Event Stream" + bytes((2, 0, 0, 1)) + struct.pack("<HH", WIDTH, HEIGHT)
    for x, y, _, on in EVENTS:  # each 90 us after the one before
        content += bytes((90 << 1 | on,)) + struct.pack("<HH", x, HEIGHT - 1 - y)
    path.write_bytes(content)


def _write_mat(path: Path) -> None:
    table, content = np.array(EVENTS, XYTP), b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"
    for name, letter in (("ts", "t"), ("x", "x"), ("y", "y"), ("pol", "p")):
        column = table[letter].astype("<f8")
        # The class (double), the shape, the name and the numbers.
        parts = ((6, struct.pack("<II", 6, 0)), (5, struct.pack("<ii", len(column), 1)), (1, name.encode()))
        matrix = b"".join(_pack_element(kind, data) for kind, data in (*parts, (9, column.tobytes())))
        content += _pack_element(15, zlib.compress(_pack_element(14, matrix)), align=1)
    path.write_bytes(content)


def _pack_element(kind: int, data: bytes, align: int = 8) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % align)


CAMERA = {"focal": [40.0, 40.0], "centre": [19.5, 14.5], "distortion": [-0.3, 0.1, 0.0, 0.0], "size": [40, 30]}
FILTER_OPTIONS: dict[str, dict[str, object]] = {
    "background-activity": {"duration_us": 1000},
    "dead-pixel": {"events": 1},
    "polarity": {"keep": "on"},
    "rate-limit": {"rate": 5000.0},
    "region": {"x": 4, "y": 3, "width": 20, "height": 10},
    "undistort": CAMERA,
}
"""Options with which a filter changes the random recording of the checks."""
XYTP = np.dtype([("x", "u2"), ("y", "u2"), ("t", "i8"), ("p", "?")])
AEDAT3 = b"#!AER-DAT3.1\r\n#Source 1: DAVIS240C\r\n#!END-HEADER\r\n"
FILES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "aedat2": (".aedat", _make_writer(b"#!AER-DAT2.0\r\n# AEChip: DAVIS240C\r\n", pack_aedat2)),
    "aedat3": (".aedat", _make_writer(AEDAT3, pack_aedat3)),
    "evt2": (".raw", _make_writer(b"% evt 2.0\n% geometry 240x180\n", pack_evt2)),
    "evt21": (".raw", _make_writer(b"% evt 2.1\n% geometry 240x180\n", pack_evt21)),
    "evt3": (".raw", _make_writer(b"% evt 3.0\n% geometry 240x180\n", pack_evt3)),
    "es": (".es", _write_es),
    "mat-events": (".mat", _write_mat),
    "npy-events": (".npy", lambda path: np.save(path, np.array(EVENTS, XYTP))),
}
"""Writers of formats that the plugin only reads."""
