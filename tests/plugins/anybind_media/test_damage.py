"""Damaged audio files and depth maps are read or rejected on one line, with limited memory and time."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import anybind
from anybind import BadInput
from anybind_media.depth import DepthMap
from anybind_media.sound import Waveform
from helpers import fuzz_readers as fuzz
from helpers.fuzzing.media_seeds import RATE, make_waveform
from helpers.fuzzing.seeds import make_seeds

CASES = 120
SOUNDS = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".rf64", ".w64")
DEPTHS = (".npy", ".tiff", ".png", ".pgm")


def write_sample(path: Path) -> bytes:
    """Write a small file in the format of its suffix."""
    random = np.random.default_rng(0)
    levels = (1000 + 10 * np.add.outer(np.arange(30), np.arange(40))).astype(np.uint16)
    if path.suffix in SOUNDS:
        noise = random.uniform(-0.5, 0.5, (2, 6000)).astype(np.float32)
        anybind.write(Waveform(noise, 48_000), path)
    elif path.suffix == ".pgm":
        path.write_bytes(b"P5 40 30 65535\n" + levels.astype(">u2").tobytes())
    elif path.suffix == ".png":
        PIL.Image.fromarray(levels).save(path)
    else:
        anybind.write(DepthMap(levels / np.float32(1000)), path)
    return path.read_bytes()


@pytest.mark.parametrize("suffix", [*SOUNDS, *DEPTHS])
def test_damaged_file_is_read_or_rejected(tmp_path: Path, suffix: str) -> None:
    content = write_sample(tmp_path / f"whole{suffix}")
    given: dict[str, Any] = {"reader": "depth", "preset": "tum"} if suffix in DEPTHS else {}
    assert fuzz.find_broken_rule(content, suffix, tmp_path, **given) is None
    faults = {}
    for seed in range(CASES):
        damaged = fuzz.damage_content(content, seed)
        faults[seed] = fuzz.find_broken_rule(damaged, suffix, tmp_path, chunks=seed % 3 == 2, **given)
    assert {seed: fault for seed, fault in faults.items() if fault} == {}


def test_a_long_blank_header_of_a_pgm_file_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "depth.pgm"
    path.write_bytes(b"P5" + b" " * 3000 + b"x")
    with pytest.raises(BadInput):
        anybind.read(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_damaged_metadata_of_an_image_are_no_warning(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"photo{suffix}"
    image = PIL.Image.fromarray(np.full((4, 5, 3), 7, np.uint8))
    image.save(path, exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12")  # ends within the first of five entries
    with pytest.warns(UserWarning, match="Corrupt EXIF data"), PIL.Image.open(path) as opened:
        opened.getexif()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        assert anybind.read(path).shape == (4, 5, 3)
        assert list(warnings.filters) == before


def write_exr(path: Path) -> bytes:
    exr = pytest.importorskip("OpenEXR")
    header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage}
    with exr.File(header, {"Z": np.linspace(1, 2, 384, dtype=np.float32).reshape(16, 24)}) as file:
        file.write(str(path))
    return path.read_bytes()


@pytest.mark.parametrize("reach", [20, 60, 200])
def test_damaged_pixels_of_openexr_are_an_error(reach: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "depth.exr"
    content = write_exr(path)
    path.write_bytes(content[:-reach] + bytes(reach))
    with pytest.raises(BadInput, match=r"depth\.exr: incomplete depth map"):
        anybind.read(path)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("name", [b"float", b"lineOrder", b"chlist", b"compression"])
def test_a_damaged_header_of_openexr_does_not_crash(name: bytes, tmp_path: Path) -> None:
    path = tmp_path / "depth.exr"
    content = write_exr(path)
    path.write_bytes(content.replace(name, bytes([0xBE, 0x8C]) + name[2:], 1))
    script = "import anybind, sys\ntry: anybind.read(sys.argv[1])\nexcept anybind.BadInput: pass"
    ended = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")


def test_flac_in_ogg_as_ffmpeg_writes_it_is_read(tmp_path: Path) -> None:
    seed = next(each for each in make_seeds("sound") if each.name == "ogg-flac")
    path = tmp_path / "tone.oga"
    path.write_bytes(seed.content)
    tone = anybind.read(path)
    assert (tone.rate, tone.samples.shape) == (RATE, (2, 400))
    np.testing.assert_allclose(tone.samples.T, make_waveform(), atol=1e-3)


HEADERS = ["(16, 24if 1)", "(16, 24", "(16.0, 24)", "(" * 900, "(99999999999999999999, 24)", "(16, -24)"]


@pytest.mark.parametrize("shape", HEADERS)
def test_a_damaged_array_header_is_an_error_without_warnings(shape: str, tmp_path: Path) -> None:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    path = tmp_path / "depth.npy"
    path.write_bytes(b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + bytes(4 * 384))
    with warnings.catch_warnings(), pytest.raises(BadInput, match=r"depth\.npy"):
        warnings.simplefilter("error")
        anybind.read(path, reader="depth")


@pytest.mark.parametrize(
    ("family", "name", "box", "offset"),
    [("video", "m4v-fragmented", b"trun", 8), ("video", "mp4-h264", b"stsz", 12), ("sound", "m4a", b"stsz", 12)],
)
def test_an_index_of_more_samples_than_bytes_is_refused(
    family: str, name: str, box: bytes, offset: int, tmp_path: Path
) -> None:
    """FFmpeg would take gigabytes for a file of a kilobyte."""
    seed = next(each for each in make_seeds(family) if each.name == name)
    path = tmp_path / f"clip{seed.suffix}"
    path.write_bytes(seed.content)
    anybind.read(path, reader=family)
    content = bytearray(seed.content)
    place = content.index(box) + offset
    content[place : place + 4] = (1 << 24).to_bytes(4, "big")
    path.write_bytes(content)
    with pytest.raises(BadInput, match="declares 16777216 samples in"):
        anybind.read(path, reader=family)


def test_a_long_form_of_a_box_of_an_index_is_checked_too(tmp_path: Path) -> None:
    """A length of 1 shifts the contents by 8 bytes, so that other bytes are the number of samples."""
    seed = next(each for each in make_seeds("video") if each.name == "m4v-fragmented")
    content = bytearray(seed.content)
    place = content.index(b"trun") - 4
    content[place : place + 4] = (1).to_bytes(4, "big")
    (tmp_path / "clip.m4v").write_bytes(content)
    with pytest.raises(BadInput, match="declares 33554432 samples in"):
        anybind.read(tmp_path / "clip.m4v")
