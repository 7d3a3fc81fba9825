"""Audio of MP4, M4A, AAC, WebM, MKV and other containers, alone and beside a video."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

import anybind
from anybind import AnybindWarning, BadInput
from anybind.errors import BadOption
from anybind.modality import infer_modality
from anybind.reader import find_reader
from anybind_media.sound_decoder import AudioTrack
from helpers.command import Command

RATE = 48_000


def make_tone(frequency: float = 440, channels: int = 1, seconds: float = 1.0) -> np.ndarray:
    times = np.arange(round(RATE * seconds)) / RATE
    return np.tile(0.3 * np.sin(2 * np.pi * frequency * times), (channels, 1)).astype(np.float32)


def save_tracks(path: Path, codec: str, *tones: np.ndarray, video: str = "", format: str | None = None) -> Path:
    """Write audio tracks, with a video track of 25 frames before them if a codec is given."""
    with av.open(path, "w", format=format) as container:
        images = container.add_stream(video, rate=25) if video else None
        if images is not None:
            images.width, images.height, images.pix_fmt = 64, 48, "yuv420p"
        streams = [
            container.add_stream(codec, rate=RATE, layout="mono" if len(each) == 1 else "stereo") for each in tones
        ]
        if images is not None:
            for number in range(25):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 9 * number, np.uint8), format="rgb24")
                container.mux(images.encode(frame))
            container.mux(images.encode())
        for stream, tone in zip(streams, tones, strict=True):
            stream.bit_rate = 64_000 * len(tone)
            stream.codec_context.open(strict=False)
            resampler = av.AudioResampler(stream.codec_context.format, stream.layout, RATE, stream.frame_size or 1024)
            frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono" if len(tone) == 1 else "stereo")
            frame.rate = RATE
            for each in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(stream.encode(each))
            container.mux([packet for packet in stream.encode() if packet.size])  # FLAC ends with an empty packet
    return path


def find_frequency(samples: np.ndarray) -> float:
    """Return the strongest frequency of 0.5 s of samples in Hz."""
    return 2 * float(np.argmax(np.abs(np.fft.rfft(samples[12_000:36_000]))))


@pytest.mark.parametrize(
    ("name", "codec", "video"),
    [
        ("a.mp4", "aac", "mpeg4"),
        ("a.mov", "aac", "mpeg4"),
        ("a.mkv", "flac", "mpeg4"),
        ("a.mkv", "ac3", "mpeg4"),
        ("a.webm", "libopus", "libvpx"),
        ("a.avi", "mp2", "mpeg4"),
        ("a.ts", "mp2", "mpeg2video"),
        ("a.mpg", "mp2", "mpeg2video"),
        ("a.wmv", "ac3", "wmv2"),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_audio_track_of_a_video_is_read(tmp_path: Path, name: str, codec: str, video: str, channels: int) -> None:
    if not {codec, video} <= av.codecs_available:
        pytest.skip(f"this FFmpeg has no {codec} or no {video}")
    path = save_tracks(tmp_path / name, codec, make_tone(channels=channels), video=video)
    assert find_reader(path).name == "video"
    sound = anybind.read(path, reader="sound")
    assert infer_modality(sound) == "sound"
    assert (sound.rate, sound.channels) == (RATE, channels)
    assert 0.97 < sound.duration < 1.1
    assert find_frequency(sound.samples[-1]) == pytest.approx(440, abs=2)
    assert 0.8 < np.abs(sound.samples[:, 12_000:36_000]).max() / 0.3 < 1.2


@pytest.mark.parametrize(
    ("name", "codec", "format"),
    [
        ("a.m4a", "aac", "ipod"),
        ("a.m4a", "alac", "ipod"),
        ("a.aac", "aac", "adts"),
        ("a.mka", "flac", "matroska"),
        ("a.weba", "libopus", "webm"),
        ("a.wma", "ac3", "asf"),
        ("a.mkv", "aac", "matroska"),
    ],
)
def test_audio_file_of_a_container_is_recognised(tmp_path: Path, name: str, codec: str, format: str) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {codec}")
    path = save_tracks(tmp_path / name, codec, make_tone(), format=format)
    sound = anybind.read(path)
    assert (sound.rate, sound.channels) == (RATE, 1)
    assert 0.97 < sound.duration < 1.1
    assert find_frequency(sound.samples[0]) == pytest.approx(440, abs=2)


def test_lossless_track_is_exact(tmp_path: Path) -> None:
    tone = np.rint(make_tone(channels=2) * 32_767).astype(np.float32) / 32_768
    path = save_tracks(tmp_path / "a.mkv", "pcm_s16le", tone, video="mpeg4")
    np.testing.assert_allclose(anybind.read(path, reader="sound").samples, tone, atol=2**-15)


def test_segment_and_chunks_match_the_complete_track(tmp_path: Path) -> None:
    path = save_tracks(tmp_path / "a.mp4", "aac", make_tone(), video="mpeg4")
    complete = anybind.read(path, reader="sound").samples
    segment = anybind.read(path, reader="sound", start=0.25, duration=0.5)
    assert np.array_equal(segment.samples, complete[:, 12_000:36_000])
    chunks = list(anybind.read_chunks(path, reader="sound", count=10_000))
    assert [len(each) for each in chunks[:-1]] == [10_000] * (len(chunks) - 1)
    assert np.array_equal(np.concatenate([each.samples for each in chunks], axis=1), complete)
    with pytest.raises(BadInput, match=r"no audio from start 9 s on"):
        anybind.read(path, reader="sound", start=9)


@pytest.mark.parametrize(
    ("name", "codec", "video"),
    [
        ("a.mkv", "flac", ""),
        ("a.mkv", "pcm_s16le", "mpeg4"),
        ("a.webm", "libopus", ""),
        ("a.mov", "alac", ""),
        ("a.mp4", "libmp3lame", "mpeg4"),
        ("a.mkv", "libmp3lame", ""),
        ("a.avi", "pcm_s16le", "mpeg4"),
        ("a.mp4", "aac", "mpeg4"),
        ("a.wma", "wmav2", ""),
    ],
)
def test_a_late_segment_equals_that_of_the_complete_track(
    tmp_path: Path, name: str, codec: str, video: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 8 * RATE)).astype(np.float32)
    path = save_tracks(tmp_path / name, codec, make_tone(seconds=8) + noise, video=video)
    positions: list[int] = []
    seek = AudioTrack._seek

    def record_position(track: AudioTrack, start: int) -> tuple[int, Iterator[av.AudioFrame]]:
        position, frames = seek(track, start)
        positions.append(position)
        return position, frames

    complete = anybind.read(path, reader="sound").samples
    monkeypatch.setattr(AudioTrack, "_seek", record_position)
    for start in (3.0, 4.56789, 7.9):
        segment = anybind.read(path, reader="sound", start=start, duration=0.5).samples
        first = round(start * RATE)
        assert np.array_equal(segment, complete[:, first : first + segment.shape[1]])
        assert segment.shape[1] == min(RATE // 2, complete.shape[1] - first)
    # Decoders with a noise generator start at the beginning.
    assert all(positions) == (codec not in ("aac", "wmav2"))


def test_one_of_several_tracks_is_chosen(tmp_path: Path) -> None:
    path = save_tracks(tmp_path / "a.mkv", "flac", make_tone(440), make_tone(880), video="mpeg4")
    with pytest.warns(AnybindWarning, match=r"read audio track 0 of 2; choose another with track="):
        anybind.read(path, reader="sound")
    for track, frequency in enumerate((440, 880)):
        sound = anybind.read(path, reader="sound", track=track)
        assert find_frequency(sound.samples[0]) == pytest.approx(frequency, abs=2)
    with pytest.raises(BadOption, match="track: expected 0 to 1, got 2"):
        anybind.read(path, reader="sound", track=2)


def test_video_without_audio_is_rejected(tmp_path: Path) -> None:
    path = save_tracks(tmp_path / "a.mp4", "aac", video="mpeg4")
    with pytest.raises(BadInput, match="expected an audio track, got video"):
        anybind.read(path, reader="sound")


@pytest.mark.parametrize("name", ["a.mkv", "a.m4a"])
def test_truncated_track_is_read_with_a_warning(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with av.open(path, "w", options={"movflags": "faststart"} if name == "a.m4a" else {}) as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono")
        noise = np.random.default_rng(0).normal(0, 0.2, (1, 5 * RATE)).astype(np.float32)
        for first in range(0, noise.shape[1], 1024):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(noise[:, first : first + 1024]), "fltp", "mono")
            frame.rate, frame.pts = RATE, first
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.warns(AnybindWarning, match="incomplete audio file, read partially: (damaged or )?truncated"):
        sound = anybind.read(path, reader="sound")
    assert 2 < sound.duration < 4
    with pytest.raises(BadInput, match="truncated"):
        anybind.read(path, reader="sound", strict=True)


@pytest.mark.filterwarnings("ignore::anybind.AnybindWarning")
@pytest.mark.parametrize(("name", "codec"), [("a.m4a", "aac"), ("a.mka", "flac"), ("a.aac", "aac")])
def test_any_damage_raises_bad_input_or_is_read(tmp_path: Path, name: str, codec: str) -> None:
    raw = save_tracks(tmp_path / name, codec, make_tone()).read_bytes()
    random, n_read, messages = np.random.default_rng(0), 0, []
    damaged = tmp_path / f"damaged-{name}"
    for _ in range(40):
        mutated = bytearray(raw)
        for place in random.integers(0, len(raw), random.integers(1, 30)):
            mutated[place] ^= 1 << random.integers(8)
        damaged.write_bytes(mutated)
        try:
            n_read += anybind.read(damaged, reader="sound").samples.size > 0
        except BadInput as error:
            messages.append(str(error))
    assert n_read
    assert all(str(damaged) in message and "\n" not in message for message in messages)


def test_containers_cannot_be_written(tmp_path: Path) -> None:
    sound = anybind.read(save_tracks(tmp_path / "a.m4a", "aac", make_tone()))
    with pytest.raises(BadInput, match=r"cannot write .*b\.m4a: this format can be read and not written"):
        anybind.write(sound, tmp_path / "b.m4a")
    assert not (tmp_path / "b.m4a").exists()


def test_info_prints_the_sample_rate(cli: Command, tmp_path: Path) -> None:
    path = save_tracks(tmp_path / "a.m4a", "aac", make_tone())
    anybind.write(anybind.read(path), tmp_path / "b.wav")
    for each in (path, tmp_path / "b.wav"):
        text = cli("info", each).out
        assert "48000 Hz" in text
        assert "events/s" not in text
        assert json.loads(cli("info", each, "--json").out)["rate"] == RATE
    assert cli("info", path, tmp_path / "b.wav").out.count("48000 Hz") == 2


def test_real_files_are_read(test_data: Path) -> None:
    folder = test_data / "odd_files"
    for sound in (anybind.read(folder / "tone.m4a"), anybind.read(folder / "video_with_audio.mp4", reader="sound")):
        assert (sound.rate, sound.channels) == (48_000, 1)
        assert 1.0 <= sound.duration < 1.03
