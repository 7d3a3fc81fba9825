"""Audio files whose header declares less audio than they contain: all is read, with a warning."""

from __future__ import annotations

import re
import struct
import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

import anybind
from anybind import AnybindWarning, BadInput

RATE = 16_000
W64_DATA = b"data\xf3\xac"


def make_samples(seconds: float = 1.0) -> np.ndarray:
    times = np.arange(round(RATE * seconds)) / RATE
    return np.rint(8000 * np.sin(2 * np.pi * 440 * times)).astype(np.int16)


def set_wav(content: bytearray, n_bytes: int) -> None:
    struct.pack_into("<I", content, content.index(b"data") + 4, n_bytes)
    struct.pack_into("<I", content, 4, n_bytes and n_bytes + 36)


def set_rf64(content: bytearray, n_bytes: int) -> None:
    struct.pack_into("<I", content, content.index(b"data") + 4, 0xFFFFFFFF)
    struct.pack_into("<QQ", content, content.index(b"ds64") + 16, n_bytes, n_bytes // 2)


def set_w64(content: bytearray, n_bytes: int) -> None:
    struct.pack_into("<Q", content, content.index(W64_DATA) + 16, n_bytes + 24)


def set_aiff(content: bytearray, n_bytes: int) -> None:
    struct.pack_into(">I", content, content.index(b"SSND") + 4, n_bytes + 8)
    struct.pack_into(">I", content, content.index(b"COMM") + 10, n_bytes // 2)


SETTERS: dict[str, Callable[[bytearray, int], None]] = {
    "WAV": set_wav,
    "RF64": set_rf64,
    "W64": set_w64,
    "AIFF": set_aiff,
}


@pytest.mark.parametrize("n_bytes", [0, 2000])
@pytest.mark.parametrize("format", SETTERS)
def test_audio_beyond_its_declared_length_is_read(tmp_path: Path, format: str, n_bytes: int) -> None:
    path = tmp_path / f"a.{format.lower()}"
    soundfile.write(path, make_samples(), RATE, "PCM_16", format=format)
    content = bytearray(path.read_bytes())
    SETTERS[format](content, n_bytes)
    path.write_bytes(content)
    with pytest.warns(AnybindWarning, match=rf"a\.{format.lower()}: wrong length in its header, read to the end"):
        sound = anybind.read(path)
    assert np.array_equal(np.rint(sound.samples[0, :RATE] * 32_768), make_samples())
    assert len(sound) <= RATE + 4
    with pytest.warns(AnybindWarning, match="wrong length"):
        assert np.array_equal(anybind.read(path, start=0.5).samples, sound.samples[:, RATE // 2 :])
    with pytest.warns(AnybindWarning, match="wrong length"):
        assert sum(map(len, anybind.read_chunks(path, count=3000))) == len(sound)
    with pytest.raises(BadInput, match=r"wrong length in its header: .*; save it again"):
        anybind.read(path, strict=True)


def test_wav_of_another_writer_is_read(tmp_path: Path) -> None:
    # As a recorder that was switched off before it could write the lengths.
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((2, 2, RATE, 0, "NONE", ""))
        file.writeframes(np.repeat(make_samples(), 2).tobytes())
    content = bytearray((tmp_path / "a.wav").read_bytes())
    set_wav(content, 0)
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.warns(AnybindWarning, match="declares 0 bytes of audio, the file contains 64000"):
        assert anybind.read(tmp_path / "a.wav").samples.shape == (2, RATE)


@pytest.mark.parametrize("n_bytes", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0x80000000])
def test_wav_written_to_a_pipe_is_read_to_the_end(tmp_path: Path, n_bytes: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, make_samples(), RATE, "PCM_16")
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, 4, 0xFFFFFFFF)
    struct.pack_into("<I", content, content.index(b"data") + 4, n_bytes)
    path.write_bytes(content)
    sound = anybind.read(path, strict=True)
    assert np.array_equal(np.rint(sound.samples[0] * 32_768), make_samples())


def test_float_wav_of_another_writer_is_read(tmp_path: Path) -> None:
    with av.open(tmp_path / "a.wav", "w") as container:
        stream = container.add_stream("pcm_f32le", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(make_samples()[None] / np.float32(32_768), "fltp", "mono")
        frame.rate = RATE
        for each in av.AudioResampler("flt").resample(frame):
            container.mux(stream.encode(each))
        container.mux(stream.encode())
    content = bytearray((tmp_path / "a.wav").read_bytes())
    set_wav(content, 400)
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.warns(AnybindWarning, match="declares 400 bytes of audio, the file contains 64000"):
        assert len(anybind.read(tmp_path / "a.wav")) == RATE


@pytest.mark.parametrize("tail", [b"LIST\x04\0\0\0INFO", b"id3 \x03\0\0\0abc", bytes(511), b"\0", b"ab", b""])
def test_chunks_and_padding_after_the_audio_are_no_audio(tmp_path: Path, tail: bytes) -> None:
    soundfile.write(tmp_path / "a.wav", make_samples(), RATE, "PCM_16")
    with (tmp_path / "a.wav").open("ab") as file:
        file.write(tail)
    assert len(anybind.read(tmp_path / "a.wav", strict=not tail)) == RATE


@pytest.mark.parametrize("declared", [0, 1000, 8000])
@pytest.mark.parametrize("writer", ["libsndfile", "FFmpeg"])
def test_flac_of_wrong_or_unknown_length_is_read(tmp_path: Path, writer: str, declared: int) -> None:
    path = tmp_path / "a.flac"
    if writer == "libsndfile":
        soundfile.write(path, make_samples(), RATE, "PCM_16")
    else:
        with av.open(path, "w") as container:
            stream = container.add_stream("flac", rate=RATE, layout="mono")
            frame = av.AudioFrame.from_ndarray(make_samples()[None], "s16", "mono")
            frame.rate = RATE
            for each in av.AudioResampler("s16", "mono", RATE, 4608).resample(frame):
                container.mux(stream.encode(each))
            container.mux(stream.encode())
    n_samples = len(anybind.read(path))
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = declared.to_bytes(4, "big")
    path.write_bytes(content)
    if not declared:  # valid: written to a pipe
        assert len(anybind.read(path, strict=True)) == n_samples
        return
    with pytest.warns(AnybindWarning, match=rf"declares {declared} samples, the file contains at least 1[0-9]{{4}}"):
        sound = anybind.read(path)
    assert np.array_equal(np.rint(sound.samples[0] * 32_768), make_samples()[:n_samples])
    assert len(sound) == n_samples


@pytest.mark.parametrize(("suffix", "subtype"), [(".ogg", "VORBIS"), (".opus", "OPUS")])
def test_chained_ogg_streams_are_read(tmp_path: Path, suffix: str, subtype: str) -> None:
    contents = []
    for number in (1, 2):
        soundfile.write(tmp_path / f"{number}{suffix}", make_samples(number), RATE, subtype, format="OGG")
        contents.append((tmp_path / f"{number}{suffix}").read_bytes())
        anybind.read(tmp_path / f"{number}{suffix}", strict=True)
    (tmp_path / f"a{suffix}").write_bytes(b"".join(contents))
    with pytest.warns(
        AnybindWarning, match=re.escape(f"chain of Ogg streams, the second from byte {len(contents[0])}")
    ):
        assert anybind.read(tmp_path / f"a{suffix}").duration == pytest.approx(3, abs=0.1)


def test_concatenated_mp3_files_are_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "1.mp3", make_samples(2), RATE, format="MP3", subtype="MPEG_LAYER_III")
    content = (tmp_path / "1.mp3").read_bytes()
    anybind.read(tmp_path / "1.mp3", strict=True)
    (tmp_path / "a.mp3").write_bytes(content + content)
    with pytest.warns(AnybindWarning, match="bytes of audio, the file contains"):
        assert anybind.read(tmp_path / "a.mp3").duration == pytest.approx(4, abs=0.2)
    (tmp_path / "tagged.mp3").write_bytes(content + b"TAG" + bytes(125))
    assert len(anybind.read(tmp_path / "tagged.mp3", strict=True)) == len(anybind.read(tmp_path / "1.mp3"))


def test_real_wav_of_size_zero_is_read(test_data: Path) -> None:
    with pytest.warns(AnybindWarning, match="declares 0 bytes of audio, the file contains 32000"):
        sound = anybind.read(test_data / "odd_files" / "wav_data_size_zero.wav")
    assert (len(sound), sound.rate) == (16_000, 16_000)
    assert np.abs(sound.samples).max() > 0.01


@pytest.mark.parametrize("n_bytes", [1 << 62, (1 << 64) - 25, 1 << 63])
def test_length_beyond_any_file_raises_or_is_read(tmp_path: Path, n_bytes: int) -> None:
    path = tmp_path / "a.w64"
    soundfile.write(path, make_samples(), RATE, "PCM_16", format="W64")
    content = bytearray(path.read_bytes())
    struct.pack_into("<Q", content, content.index(b"fmt ") + 16, n_bytes + 24)
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"a\.w64: "):
        anybind.read(path)
