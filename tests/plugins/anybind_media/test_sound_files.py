"""Sound files: what is written comes back, parts are the whole's, damage is told, nothing is believed of a header."""

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


def hum(channels: int = 2, seconds: float = 1.0, rate: int = 48_000) -> Waveform:
    """Low tones of falling loudness and a little noise: lossy formats keep it nearly."""
    times = np.arange(round(seconds * rate)) / rate
    tones = [0.3 * np.sin(2 * np.pi * 220 * (each + 1) * times) * np.exp(-times) for each in range(channels)]
    noise = np.random.default_rng(0).normal(0, 0.001, (channels, len(times)))
    return Waveform((np.stack(tones) + noise).astype(np.float32), rate)


def written(folder: Path, suffix: str = ".wav", sound: Waveform | None = None) -> Path:
    path = folder / f"sound{suffix}"
    anybind.write(hum() if sound is None else sound, path)
    return path


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_what_is_written_without_loss_comes_back(tmp_path: Path, suffix: str) -> None:
    sound = anybind.read(written(tmp_path, suffix))
    assert sound.rate == 48_000
    assert sound.samples.flags.c_contiguous
    np.testing.assert_allclose(sound.samples, hum().samples, rtol=0, atol=2**-23 if suffix == ".flac" else 0)


@pytest.mark.parametrize("suffix", LOSSY)
def test_what_is_written_with_loss_comes_back_nearly(tmp_path: Path, suffix: str) -> None:
    sound = anybind.read(written(tmp_path, suffix))
    assert (sound.rate, sound.channels, len(sound)) == (48_000, 2, 48_000)
    assert np.sqrt(np.mean((sound.samples - hum().samples) ** 2)) < 0.01


@pytest.mark.parametrize("suffix", LOSSLESS + LOSSY)
def test_the_reader_is_found_by_content(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path, suffix).rename(tmp_path / "recording")
    found = find_reader(path)
    assert (found.name, found.spec.modality) == ("sound", "sound")


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
def test_the_beginning_tells_sounds_from_films_and_texts(head: bytes, verdict: bool) -> None:
    assert SoundReader().sniff(head) is verdict


def test_an_mp3_with_tags_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, ".mp3")
    plain = anybind.read(path)
    tag = b"ID3\x03\0\0" + bytes([0, 0, 16, 0]) + bytes(2048)
    path.write_bytes(tag + path.read_bytes())
    assert find_reader(path).name == "sound"
    assert np.array_equal(anybind.read(path).samples, plain.samples)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_a_part_holds_what_the_whole_holds_there(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path, suffix)
    whole = anybind.read(path)
    part = anybind.read(path, start=0.25, duration=0.5)
    np.testing.assert_allclose(part.samples, whole.samples[:, 12_000:36_000], atol=1e-6)
    assert len(anybind.read(path, start=0.9, duration=5)) == 4800


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
@pytest.mark.parametrize("count", [1000, 4096, 30_000, 1_000_000])
def test_chunks_are_the_whole_in_order(tmp_path: Path, suffix: str, count: int) -> None:
    path = written(tmp_path, suffix)
    parts = list(anybind.read_chunks(path, count=count))
    assert [len(part) for part in parts[:-1]] == [count] * (48_000 // count if 48_000 % count else 48_000 // count - 1)
    joined = np.concatenate([part.samples for part in parts], axis=1)
    assert np.array_equal(joined, anybind.read(path).samples)


def test_chunks_take_no_more_memory_than_a_few_of_them(tmp_path: Path) -> None:
    path = written(tmp_path, ".flac", hum(seconds=20))
    tracemalloc.start()
    for _ in anybind.read_chunks(path, count=20_000):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000  # the whole is of 7.7 MB


@pytest.mark.parametrize(
    ("options", "message"),
    [({"start": -1.0}, "start must be 0 s or more"), ({"duration": 0.0}, "duration must be above 0 s")],
)
def test_a_part_without_sense_is_refused(tmp_path: Path, options: dict[str, float], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        anybind.read(written(tmp_path), **options)


def test_a_part_behind_the_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"lasts 1\.000 s; there is nothing from 2\.0 s on"):
        anybind.read(written(tmp_path), start=2.0)


@pytest.mark.parametrize("suffix", LOSSLESS + LOSSY)
def test_of_a_file_cut_off_what_there_is_is_read_with_a_warning(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path, suffix, hum(seconds=3))
    whole = anybind.read(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.warns(AnybindWarning, match=rf"sound\{suffix} is no complete sound: .*what there is was read"):
        cut = anybind.read(path)
    assert 0.5 < cut.duration < 2.5
    # The last frames of a lossy format lack what the missing ones would have added to them.
    sure = len(cut) - (0 if suffix in LOSSLESS else 4000)
    assert np.array_equal(cut.samples[:, :sure], whole.samples[:, :sure])
    with pytest.raises(BadInput, match=rf"sound\{suffix} is no complete sound: .*copy it again"):
        anybind.read(path, strict=True)


@pytest.mark.filterwarnings("ignore::anybind.AnybindWarning")
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".aiff"])
def test_a_file_cut_anywhere_is_refused_by_name_or_holds_finite_samples(tmp_path: Path, suffix: str) -> None:
    whole = written(tmp_path, suffix, hum(channels=1, seconds=0.2)).read_bytes()
    path = tmp_path / f"cut{suffix}"
    for share in range(1, 100, 3):
        path.write_bytes(whole[: max(1, share * len(whole) // 100)])
        samples, said = np.zeros(1), path.name
        try:
            samples = anybind.read(path).samples
        except BadInput as error:
            said = str(error)
        assert path.name in said
        assert np.isfinite(samples).all()


def test_a_file_written_into_a_pipe_is_whole(tmp_path: Path) -> None:
    path = written(tmp_path)
    contents = bytearray(path.read_bytes())
    struct.pack_into("<I", contents, 4, 0xFFFFFFFF)
    struct.pack_into("<I", contents, contents.index(b"data") + 4, 0xFFFFFFFF)
    path.write_bytes(contents)
    assert np.array_equal(anybind.read(path).samples, hum().samples)


@pytest.mark.parametrize(("offset", "form", "value"), [(24, "<I", 0), (24, "<I", 0xFFFFFFFF), (22, "<H", 0)])
def test_a_header_of_no_rate_or_channels_is_refused(tmp_path: Path, offset: int, form: str, value: int) -> None:
    path = tmp_path / "odd.wav"
    soundfile.write(path, np.zeros(100), 8000)
    contents = bytearray(path.read_bytes())
    struct.pack_into(form, contents, offset, value)
    path.write_bytes(contents)
    with pytest.raises(BadInput, match=r"odd\.wav cannot be read as a sound: .*; save it again"):
        anybind.read(path)


def test_a_header_that_claims_hours_allocates_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, ".flac")
    contents = bytearray(path.read_bytes())
    contents[21] |= 0x0F  # 36 bits of the number of samples: 68 thousand million
    contents[22:26] = b"\xff" * 4
    path.write_bytes(contents)
    tracemalloc.start()
    with pytest.warns(AnybindWarning, match="damaged or cut off after 0.9"):
        sound = anybind.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.abs(sound.samples - hum().samples[:, : len(sound)]).max() < 1e-6
    assert peak < 5_000_000


def test_what_only_begins_as_a_sound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "no.wav"
    path.write_bytes(b"RIFF\x24\0\0\0WAVE" + bytes(100))
    with pytest.raises(BadInput, match=r"no\.wav cannot be read as a sound"):
        anybind.read(path)


def test_samples_that_are_no_numbers_are_read_and_not_embedded(tmp_path: Path) -> None:
    samples = np.zeros(100, np.float32)
    samples[50] = np.nan
    sound = anybind.read(written(tmp_path, ".wav", Waveform(samples, 100)))
    with pytest.raises(BadInput, match=r"first at 0\.500 s of channel 0"):
        find_modality("sound").check(sound)


def test_eight_channels_and_ten_milliseconds_are_a_sound(tmp_path: Path) -> None:
    for suffix in (".wav", ".flac", ".ogg"):
        sound = anybind.read(written(tmp_path, suffix, hum(channels=8, seconds=0.01)))
        assert sound.samples.shape == (8, 480)


def test_a_sound_without_samples_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "empty.wav"
    soundfile.write(path, np.zeros((0, 2)), 8000)
    sound = anybind.read(path)
    assert sound.samples.shape == (2, 0)
    with pytest.raises(BadInput, match="the sound is empty"):
        find_modality("sound").check(sound)
    assert list(anybind.read_chunks(path)) == []


def test_what_is_too_loud_for_a_format_is_clipped_with_a_warning(tmp_path: Path) -> None:
    loud = Waveform(np.array([0.5, 2.0, -3.0, 0.25], np.float32), 8000)
    with pytest.warns(AnybindWarning, match=r"louder than FLAC can tell \(3\.00 of 1\)"):
        anybind.write(loud, tmp_path / "loud.flac")
    np.testing.assert_allclose(anybind.read(tmp_path / "loud.flac").samples[0], [0.5, 1, -1, 0.25], atol=1e-6)
    anybind.write(loud, tmp_path / "loud.wav")
    assert np.array_equal(anybind.read(tmp_path / "loud.wav").samples, loud.samples)


def test_a_format_that_cannot_hold_the_sound_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"MP3 takes no sound of 8 channels at 48000 Hz"):
        anybind.write(hum(channels=8), tmp_path / "many.mp3")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BadInput, match=r"no format of that ending"):
        anybind.write(hum(), tmp_path / "sound.xyz")


def test_a_long_sound_is_written_as_vorbis(tmp_path: Path) -> None:
    assert len(anybind.read(written(tmp_path, ".ogg", hum(channels=1, seconds=60)))) == 60 * 48_000


def test_a_name_need_be_no_text(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.flac"))
    anybind.write(hum(), path)
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
