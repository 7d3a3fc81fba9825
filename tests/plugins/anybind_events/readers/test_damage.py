"""Damaged recordings of every format: events or one clear error, never a crash, a hang or excessive memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import anybind
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
    check(path.read_bytes()[:LENGTH], path.suffix, tmp_path, 200)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".h5", ".npz", ".csv", ".dat", ".bin"])
def test_a_damaged_written_recording_is_read_or_rejected(suffix: str, tmp_path: Path):
    random = np.random.default_rng(0)
    columns = {"x": random.integers(0, 30, 2000), "y": random.integers(0, 30, 2000), "p": random.random(2000) < 0.5}
    stream = EventStream(t=np.sort(random.integers(0, 1 << 20, 2000)), width=34, height=34, **columns)
    path = tmp_path / f"whole{suffix}"
    anybind.write(stream, path)
    check(path.read_bytes(), suffix, tmp_path, 200)


def test_the_same_seed_gives_the_same_damage():
    content = bytes(range(256)) * 4
    assert fuzz.damage_content(content, 3) == fuzz.damage_content(content, 3)
    assert len({fuzz.damage_content(content, seed) for seed in range(20)}) > 15
