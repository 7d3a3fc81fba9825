"""Long recordings read in parts: equal to the complete clip, in little memory; limits of samples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import anybind
from anybind.plugin import BadInput, BadOption
from anybind_media import sound_files
from anybind_media.sound import Sound, Waveform
from anybind_media.sound_parts import AudioFile

RATES = [8000, 11_025, 16_000, 22_050, 44_100, 48_000, 44_101]


@pytest.fixture(autouse=True)
def _small_limit(monkeypatch):
    monkeypatch.setattr(sound_files, "LARGE_SAMPLES", 1000)


def write_clip(path: Path, rate: int, seconds: float = 6.3, channels: int = 2) -> Path:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (round(rate * seconds), channels))
    soundfile.write(path, samples.astype(np.float32), rate)
    return path


def read_both(path: Path) -> tuple[Waveform, AudioFile]:
    complete, parts = anybind.read(path), anybind.read(path, in_parts=True)
    assert isinstance(complete, Waveform)
    assert isinstance(parts, AudioFile)
    return complete, parts


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("channel", [None, 1])
def test_parts_equal_those_of_the_complete_clip(tmp_path, rate, channel):
    complete, parts = (each.mono(channel).resample(16_000) for each in read_both(write_clip(tmp_path / "a.wav", rate)))
    assert (len(parts), parts.channels, parts.rate) == (len(complete), 1, 16_000)
    for start, end in [(0, 2), (0.5, 0.5), (1.2345, 3.7), (4.3, 6.3), (5, 99), (99, 100), (6.29, 6.3)]:
        part, expected = parts.between(start, end).samples, complete.between(start, end).samples
        assert part.shape == expected.shape
        np.testing.assert_allclose(part, expected, atol=2e-6)
    blocks = list(parts.blocks(5000))
    assert len(blocks) > 5
    np.testing.assert_array_equal(np.concatenate([each.samples for each in blocks], 1), complete.samples)


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".mp3", ".aiff", ".w64"])
def test_parts_of_other_formats_equal_those_of_the_complete_clip(tmp_path, suffix):
    complete, parts = read_both(write_clip(tmp_path / f"a{suffix}", 44_100))
    np.testing.assert_allclose(parts.between(2.5, 4).samples, complete.between(2.5, 4).samples, atol=1e-6)
    np.testing.assert_allclose(parts.samples, complete.samples, atol=1e-6)


def test_segments_and_short_clips_are_read_completely(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "a.wav", 8000)
    assert isinstance(anybind.read(path, in_parts=True, start=1), Waveform)
    assert isinstance(anybind.read(path, in_parts=True, duration=1), Waveform)
    monkeypatch.setattr(sound_files, "LARGE_SAMPLES", 10**6)
    assert isinstance(anybind.read(path, in_parts=True), Waveform)


def test_invalid_parts_are_refused(tmp_path):
    samples = np.zeros(8000, np.float32)
    samples[4000] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, 8000, "FLOAT")
    parts = anybind.read(tmp_path / "a.wav", in_parts=True)
    Sound().check(parts)
    assert not parts.between(0, 0.4).samples.any()
    with pytest.raises(BadInput, match="non-finite"):
        parts.between(0.4, 0.6)
    with pytest.raises(BadInput, match="non-finite"):
        list(parts.blocks(1000))
    for invalid in (lambda: parts.between(1, 0), lambda: parts.mono(1), lambda: parts.resample(0)):
        with pytest.raises(BadOption):
            invalid()


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_more_samples_than_the_limit_are_refused(tmp_path, suffix):
    path = write_clip(tmp_path / f"a{suffix}", 8000, 2)
    n_samples = 2 * len(anybind.read(path))
    assert anybind.read(path, max_samples=n_samples).samples.size == n_samples
    with pytest.raises(BadInput, match=rf"{n_samples} samples \(\d s, 2 channels\) exceed .* max_samples={n_samples}$"):
        anybind.read(path, max_samples=n_samples - 1)
    assert len(anybind.read(path, max_samples=n_samples - 1, start=1)) < n_samples // 2
    assert sum(map(len, anybind.read_chunks(path, count=1000))) == n_samples // 2  # in bounded memory
    with pytest.raises(BadOption, match="max_samples: expected at least 1, got 0"):
        anybind.read(path, max_samples=0)


MEASURE = """
import sys, anybind
part = anybind.read(sys.argv[1], in_parts=True).mono(0).resample(16_000).between(9_000, 9_002)
assert part.samples.shape == (1, 32_000)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_a_part_of_a_sparse_gigabyte_needs_little_memory(tmp_path):
    path = tmp_path / "sparse.wav"
    with soundfile.SoundFile(path, "w", 48_000, 1, "PCM_16") as file:
        file.write(np.zeros(1))
    content = bytearray(path.read_bytes())
    content[4:8], content[40:44] = (2**30 - 8).to_bytes(4, "little"), (2**30 - 44).to_bytes(4, "little")
    with path.open("wb") as raw:
        raw.write(content)
        raw.truncate(2**30)
    with pytest.raises(BadInput, match=r"536870890 samples \(11185 s, 1 channels\) exceed the limit"):
        anybind.read(path)
    process = subprocess.run([sys.executable, "-c", MEASURE, path], capture_output=True, text=True, check=True)
    assert int(process.stdout) < 200_000  # kB; all samples would be 2 GB
