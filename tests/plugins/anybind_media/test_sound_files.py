"""Audio files: round trips, segments, damaged files, invalid headers."""

from __future__ import annotations

import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

import anybind
from anybind import AnybindWarning, BadInput
from anybind.errors import BadOption
from anybind.modality import find_modality
from anybind.reader import find_reader
from anybind_media.sound import Waveform
from anybind_media.sound_files import SoundReader

LOSSLESS = [".wav", ".aiff", ".aif", ".rf64", ".w64", ".flac"]
LOSSY = [".ogg", ".oga", ".opus", ".mp3"]


def make_clip(channels: int = 2, seconds: float = 1.0, rate: int = 48_000) -> Waveform:
    """Make low decaying tones with a little noise, nearly preserved by lossy formats."""
    times = np.arange(round(seconds * rate)) / rate
    tones = [0.3 * np.sin(2 * np.pi * 220 * (each + 1) * times) * np.exp(-times) for each in range(channels)]
    noise = np.random.default_rng(0).normal(0, 0.001, (channels, len(times)))
    return Waveform((np.stack(tones) + noise).astype(np.float32), rate)


def write_clip(folder: Path, suffix: str = ".wav", sound: Waveform | None = None) -> Path:
    path = folder / f"sound{suffix}"
    anybind.write(make_clip() if sound is None else sound, path)
    return path


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_lossless_round_trip(tmp_path: Path, suffix: str) -> None:
    sound = anybind.read(write_clip(tmp_path, suffix))
    assert sound.rate == 48_000
    assert sound.samples.flags.c_contiguous
    np.testing.assert_allclose(sound.samples, make_clip().samples, rtol=0, atol=2**-23 if suffix == ".flac" else 0)


@pytest.mark.parametrize("suffix", LOSSY)
def test_lossy_round_trip(tmp_path: Path, suffix: str) -> None:
    sound = anybind.read(write_clip(tmp_path, suffix))
    assert (sound.rate, sound.channels, len(sound)) == (48_000, 2, 48_000)
    assert np.sqrt(np.mean((sound.samples - make_clip().samples) ** 2)) < 0.01


@pytest.mark.parametrize("suffix", LOSSLESS + LOSSY)
def test_reader_is_found_by_content(tmp_path: Path, suffix: str) -> None:
    path = write_clip(tmp_path, suffix).rename(tmp_path / "recording")
    reader = find_reader(path)
    assert (reader.name, reader.spec.modality) == ("sound", "sound")


@pytest.mark.parametrize(
    ("head", "verdict"),
    [
        (b"OggS\0\x02" + bytes(22) + b"\x01\x1e\x01vorbis", True),
        (b"OggS\0\x02" + bytes(22) + b"\x01\x2a\x80theora" + bytes(40) + b"\x01vorbis", False),
        (b"OggS\0\x02" + bytes(22) + b"\x01\x50Speex   ", False),
        (b"RIFF\x24\0\0\0AVI LIST", False),
        (b"FORM\0\0\0\0ILBM", False),
        (b"\xff\xfe\x31\x00\x32\x00", False),  # text in UTF-16
        (b"\xff\xd8\xff\xe0", False),  # JPEG
        (b"\xff\xfb\x90\x64" + bytes(413) + b"\xff\xfb\x90\x64", True),
        (b"\xff\xfb\x90\x64" + bytes(413) + b"\xff\x00\x90\x64", False),  # one frame and nothing behind it
        (b"\xff\xfb", False),
    ],
)
def test_sniff_distinguishes_audio_from_video_and_text(head: bytes, verdict: bool) -> None:
    assert SoundReader().sniff(head) is verdict


def test_mp3_with_tags_is_read(tmp_path: Path) -> None:
    path = write_clip(tmp_path, ".mp3")
    plain = anybind.read(path)
    tag = b"ID3\x03\0\0" + bytes([0, 0, 16, 0]) + bytes(2048)
    path.write_bytes(tag + path.read_bytes())
    assert find_reader(path).name == "sound"
    assert np.array_equal(anybind.read(path).samples, plain.samples)


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 1), (22_050, 2), (8000, 1)])
def test_mp3_of_tones_is_decoded_as_in_one_read(tmp_path: Path, rate: int, channels: int) -> None:
    """Frames of tones use data of the frames before them, which a decoder that is reset between blocks lacks."""
    times = np.arange(5 * rate) / rate
    tone = 0.4 * np.sin(2 * np.pi * 440 * times) * times / 5
    path = write_clip(tmp_path, ".mp3", Waveform(np.stack([tone] * channels).astype(np.float32), rate))
    expected = soundfile.read(path, dtype="float32", always_2d=True)[0].T
    assert np.abs(expected - tone).mean() < 0.01
    clip = anybind.read(path)
    np.testing.assert_allclose(clip.samples, expected, atol=1e-6)
    chunks = [chunk.samples for chunk in anybind.read_chunks(path, count=5000)]
    np.testing.assert_allclose(np.concatenate(chunks, axis=1), expected, atol=1e-6)
    segment = anybind.read(path, start=3.1, duration=1).samples
    np.testing.assert_allclose(segment, expected[:, round(3.1 * rate) : round(4.1 * rate)], atol=1e-6)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_segment_matches_complete_clip(tmp_path: Path, suffix: str) -> None:
    path = write_clip(tmp_path, suffix)
    complete = anybind.read(path)
    segment = anybind.read(path, start=0.25, duration=0.5)
    np.testing.assert_allclose(segment.samples, complete.samples[:, 12_000:36_000], atol=1e-6)
    assert len(anybind.read(path, start=0.9, duration=5)) == 4800


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
@pytest.mark.parametrize("count", [1000, 4096, 30_000, 1_000_000])
def test_chunks_match_complete_clip(tmp_path: Path, suffix: str, count: int) -> None:
    path = write_clip(tmp_path, suffix)
    chunks = list(anybind.read_chunks(path, count=count))
    assert [len(segment) for segment in chunks[:-1]] == [count] * (
        48_000 // count if 48_000 % count else 48_000 // count - 1
    )
    joined = np.concatenate([segment.samples for segment in chunks], axis=1)
    assert np.array_equal(joined, anybind.read(path).samples)


def test_chunks_limit_memory(tmp_path: Path) -> None:
    path = write_clip(tmp_path, ".flac", make_clip(seconds=20))
    tracemalloc.start()
    for _ in anybind.read_chunks(path, count=20_000):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000  # the complete is of 7.7 MB


@pytest.mark.parametrize(
    ("options", "message"),
    [({"start": -1.0}, "start: expected seconds >= 0"), ({"duration": 0.0}, "duration: expected seconds > 0")],
)
def test_invalid_segment_is_rejected(tmp_path: Path, options: dict[str, float], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        anybind.read(write_clip(tmp_path), **options)


def test_segment_beyond_the_end_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"start 2\.0 s is beyond its duration of 1\.000 s"):
        anybind.read(write_clip(tmp_path), start=2.0)


@pytest.mark.parametrize("suffix", LOSSLESS + LOSSY)
def test_truncated_file_is_read_with_a_warning(tmp_path: Path, suffix: str) -> None:
    path = write_clip(tmp_path, suffix, make_clip(seconds=3))
    complete = anybind.read(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.warns(AnybindWarning, match=rf"sound\{suffix}: incomplete audio file, read partially"):
        cut = anybind.read(path)
    assert 0.5 < cut.duration < 2.5
    # The last frames of a lossy format lack what the missing ones would have added to them.
    sure = len(cut) - (0 if suffix in LOSSLESS else 4000)
    assert np.array_equal(cut.samples[:, :sure], complete.samples[:, :sure])
    with pytest.raises(BadInput, match=rf"sound\{suffix}: incomplete audio file: .*copy it again"):
        anybind.read(path, strict=True)


@pytest.mark.filterwarnings("ignore::anybind.AnybindWarning")
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".aiff"])
def test_file_truncated_anywhere_is_rejected_or_finite(tmp_path: Path, suffix: str) -> None:
    complete = write_clip(tmp_path, suffix, make_clip(channels=1, seconds=0.2)).read_bytes()
    path = tmp_path / f"cut{suffix}"
    for share in range(1, 100, 3):
        path.write_bytes(complete[: max(1, share * len(complete) // 100)])
        samples, said = np.zeros(1), path.name
        try:
            samples = anybind.read(path).samples
        except BadInput as error:
            said = str(error)
        assert path.name in said
        assert np.isfinite(samples).all()


def test_file_written_to_a_pipe_is_complete(tmp_path: Path) -> None:
    path = write_clip(tmp_path)
    contents = bytearray(path.read_bytes())
    struct.pack_into("<I", contents, 4, 0xFFFFFFFF)
    struct.pack_into("<I", contents, contents.index(b"data") + 4, 0xFFFFFFFF)
    path.write_bytes(contents)
    assert np.array_equal(anybind.read(path).samples, make_clip().samples)


@pytest.mark.parametrize(("offset", "form", "value"), [(24, "<I", 0), (24, "<I", 0xFFFFFFFF), (22, "<H", 0)])
def test_invalid_rate_or_channels_are_rejected(tmp_path: Path, offset: int, form: str, value: int) -> None:
    path = tmp_path / "odd.wav"
    soundfile.write(path, np.zeros(100), 8000)
    contents = bytearray(path.read_bytes())
    struct.pack_into(form, contents, offset, value)
    path.write_bytes(contents)
    with pytest.raises(BadInput, match=r"odd\.wav: not a readable audio file: .*; save it again"):
        anybind.read(path)


def test_oversized_header_does_not_allocate(tmp_path: Path) -> None:
    path = write_clip(tmp_path, ".flac")
    contents = bytearray(path.read_bytes())
    contents[21] |= 0x0F  # 36 bits of the number of samples: 68 thousand million
    contents[22:26] = b"\xff" * 4
    path.write_bytes(contents)
    tracemalloc.start()
    with pytest.warns(AnybindWarning, match=r"damaged or truncated after 0\.9"):
        sound = anybind.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.abs(sound.samples - make_clip().samples[:, : len(sound)]).max() < 1e-6
    assert peak < 5_000_000


def test_header_without_audio_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "no.wav"
    path.write_bytes(b"RIFF\x24\0\0\0WAVE" + bytes(100))
    with pytest.raises(BadInput, match=r"no\.wav: not a readable audio file"):
        anybind.read(path)


def test_nonfinite_samples_are_read_but_not_embedded(tmp_path: Path) -> None:
    samples = np.zeros(100, np.float32)
    samples[50] = np.nan
    sound = anybind.read(write_clip(tmp_path, ".wav", Waveform(samples, 100)))
    with pytest.raises(BadInput, match=r"first at 0\.500 s of channel 0"):
        find_modality("sound").check(sound)


def test_short_multichannel_clip_is_valid(tmp_path: Path) -> None:
    for suffix in (".wav", ".flac", ".ogg"):
        sound = anybind.read(write_clip(tmp_path, suffix, make_clip(channels=8, seconds=0.01)))
        assert sound.samples.shape == (8, 480)


def test_empty_clip_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "empty.wav"
    soundfile.write(path, np.zeros((0, 2)), 8000)
    sound = anybind.read(path)
    assert sound.samples.shape == (2, 0)
    with pytest.raises(BadInput, match="empty audio clip"):
        find_modality("sound").check(sound)
    assert list(anybind.read_chunks(path)) == []


def test_samples_beyond_full_scale_are_clipped_with_a_warning(tmp_path: Path) -> None:
    loud = Waveform(np.array([0.5, 2.0, -3.0, 0.25], np.float32), 8000)
    with pytest.warns(AnybindWarning, match=r"full scale of FLAC \(peak 3\.00 of 1\)"):
        anybind.write(loud, tmp_path / "loud.flac")
    np.testing.assert_allclose(anybind.read(tmp_path / "loud.flac").samples[0], [0.5, 1, -1, 0.25], atol=1e-6)
    anybind.write(loud, tmp_path / "loud.wav")
    assert np.array_equal(anybind.read(tmp_path / "loud.wav").samples, loud.samples)


def test_unsupported_format_is_reported(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"MP3 does not support 8 channels at 48000 Hz"):
        anybind.write(make_clip(channels=8), tmp_path / "many.mp3")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BadInput, match=r"no format of that ending"):
        anybind.write(make_clip(), tmp_path / "sound.xyz")


def test_long_clip_is_written_as_vorbis(tmp_path: Path) -> None:
    assert len(anybind.read(write_clip(tmp_path, ".ogg", make_clip(channels=1, seconds=60)))) == 60 * 48_000


def test_file_name_may_be_invalid_utf8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.flac"))
    anybind.write(make_clip(), path)
    assert len(anybind.read(path)) == 48_000


def test_real_clips_are_read(test_data: Path) -> None:
    clips = sorted((test_data / "esc10").glob("*/*.ogg"))[::40]
    for path in clips:
        sound = anybind.read(path)
        assert (sound.rate, sound.channels) == (44_100, 1)
        assert 3.5 < sound.duration < 7.5
        expected, _ = soundfile.read(path, dtype="float32")
        assert np.array_equal(sound.samples[0], expected)
    digit = anybind.read(next((test_data / "digits/speech").glob("7_*.wav")))
    assert digit.rate == 8000
