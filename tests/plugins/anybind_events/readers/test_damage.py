"""Damaged recordings of every format: events or one clear error, never a crash, a hang or excessive memory."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

import anybind
from anybind import BadInput
from anybind_events.stream import EventStream
from helpers import fuzz_readers as fuzz

REAL = (
    "nmnist.bin",
    "ncars.dat",
    "evt2_small.raw",
    "evt3_small.raw",
    "davis240.aedat4",
    "dvs.es",
    "dvs128_walking.aedat",
    "slider_depth.txt",
    "evt3_small.reference.npy",
)
LENGTH = 60_000
"""Bytes of a real file that are damaged: whole files cause the same errors, later."""


def check(content: bytes, suffix: str, folder: Path, cases: int) -> None:
    for seed in range(cases):
        fault = fuzz.find_broken_rule(fuzz.damage_content(content, seed), suffix, folder, chunks=seed % 3 == 2)
        assert fault is None, f"seed {seed}: {fault}"


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_a_damaged_real_recording_is_read_or_rejected(name: str, test_data: Path, tmp_path: Path):
    path = test_data / "events" / name
    check(path.read_bytes()[:LENGTH], path.suffix, tmp_path, 80)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".h5", ".npz", ".csv", ".dat", ".bin"])
def test_a_damaged_written_recording_is_read_or_rejected(suffix: str, tmp_path: Path):
    random = np.random.default_rng(0)
    columns = {"x": random.integers(0, 30, 2000), "y": random.integers(0, 30, 2000), "p": random.random(2000) < 0.5}
    stream = EventStream(t=np.sort(random.integers(0, 1 << 20, 2000)), width=34, height=34, **columns)
    path = tmp_path / f"whole{suffix}"
    anybind.write(stream, path)
    check(path.read_bytes(), suffix, tmp_path, 80)


def read_error(path: Path, content: bytes) -> str:
    """Return the message of the error of reading a content, which warns of nothing."""
    path.write_bytes(content)
    with warnings.catch_warnings(), pytest.raises(BadInput) as caught:
        warnings.simplefilter("error")
        anybind.read(path)
    return str(caught.value)


def save_array(header: str, n_bytes: int) -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + bytes(n_bytes)


def zip_member(name: str) -> bytes:
    """Return an archive whose directory and member disagree on a long name."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, b"")
    return file.getvalue().replace(name.encode(), b"y" * len(name), 1)


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        (".aedat", b"#!AER-DAT3.1\r\n#Format: RAW\rX\r\n#!END-HEADER\r\n"),
        (".aedat", b"#!AER-DAT2.0\r\n# AEChip: a\rb\x0bc\r\n#End Of ASCII Header\r\n"),
        (".raw", b"% format EVT4\rX\n% end\n"),
        (".es", b"Event Stream\x02\0\0\x09" + bytes(8)),
        (".npz", zip_member("x" * 60_000)),
        (".npy", save_array("{'descr': '" + "<" * 5000 + "', 'fortran_order': False, 'shape': (1, 4), }", 32)),
    ],
    # the archive's bytes contain the time, so they cannot be a name: processes of pytest-xdist compare these
    ids=["aedat3-header", "aedat2-chip", "evt-format", "es-kind", "zip-member", "npy-header"],
)
def test_an_error_that_quotes_the_file_is_one_short_line(suffix: str, content: bytes, tmp_path: Path) -> None:
    message = read_error(tmp_path / f"damaged{suffix}", content)
    assert len(message.splitlines()) == 1
    assert len(message) <= 2000


@pytest.mark.parametrize(
    "shape", ["(2if 1, 4)", "(2, 4", "(True, 4)", "(2.0, 4)", "(2, 4)" * 9, "(" * 900, "((2), [4])"]
)
def test_a_damaged_array_header_is_an_error_without_warnings(shape: str, tmp_path: Path) -> None:
    content = save_array(f"{{'descr': '<i4', 'fortran_order': False, 'shape': {shape}, }}", 32)
    assert "damaged.npy: " in read_error(tmp_path / "damaged.npy", content)


def test_an_array_header_of_python_2_is_read_without_warnings(tmp_path: Path) -> None:
    path = tmp_path / "events.npy"
    fields = "[('t', '<i8'), ('x', '<u2'), ('y', '<u2'), ('p', '|u1')]"
    path.write_bytes(save_array(f"{{'descr': {fields}, 'fortran_order': False, 'shape': (2L,), }}", 26))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(anybind.read(path)) == 2


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int64, np.uint64])
def test_whole_nanoseconds_of_every_type_become_microseconds(dtype: type[np.generic], tmp_path: Path) -> None:
    np.savez(tmp_path / "events.npz", x=[1, 2], y=[3, 4], t_ns=np.array([0, 120], dtype), p=[0, 1])
    assert anybind.read(tmp_path / "events.npz").t.tolist() == [0, 0]


@pytest.mark.parametrize("length", [0, (1 << 64) - 1, (1 << 64) - 32, 1 << 40])
@pytest.mark.parametrize("index", [0, 1])
def test_a_damaged_text_in_hdf5_is_refused_instead_of_read_without_end(length: int, index: int, tmp_path: Path) -> None:
    """HDF5 steps through a heap by the lengths in it: 0, or one that overflows, is a step of 0, or backwards."""
    import h5py

    path = tmp_path / "events.h5"
    with h5py.File(path, "w") as file:
        file.attrs["geometry"] = "30x20"
        for name in "xytp":
            file[name] = np.arange(2)
    assert anybind.read(path).width == 30
    content = bytearray(path.read_bytes())
    place = content.index(b"GCOL") + 16
    place += 0 if index else 24  # free space, with index 0, follows the text
    content[place + 8 : place + 16] = length.to_bytes(8, "little")
    path.write_bytes(content)
    script = "import anybind, sys\ntry: anybind.read(sys.argv[1])\nexcept anybind.BadInput as error: print(error)"
    ended = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, text=True, check=False, timeout=100
    )
    assert "impossible length" in ended.stdout


def test_times_at_the_ends_of_64_bits_have_a_duration(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("x,y,t_us,p\n1,1,-9223372036854775808,0\n1,1,9223372036854775807,1\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert anybind.read(tmp_path / "events.csv").duration_us == (1 << 64) - 1


def test_the_same_seed_gives_the_same_damage():
    content = bytes(range(256)) * 4
    assert fuzz.damage_content(content, 3) == fuzz.damage_content(content, 3)
    assert len({fuzz.damage_content(content, seed) for seed in range(20)}) > 15
