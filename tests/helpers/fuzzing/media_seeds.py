"""Seeds of images, audio files and depth maps."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from helpers.fuzzing.seeds import Seed, write_content

SIDE_X, SIDE_Y = 24, 16
RATE = 8000
SECONDS = 0.05
STRUCTURES = {
    "PNG": "png", "JPEG": "jpeg", "WEBP": "riff", "GIF": "gif", "BMP": "bmp", "TIFF": "tiff", "PPM": "pnm",
}  # fmt: skip


def make_pixels() -> np.ndarray:
    """Make a small colour image, (height, width, 3) uint8."""
    pixels = np.zeros((SIDE_Y, SIDE_X, 3), np.uint8)
    pixels[..., 0] = np.arange(SIDE_X) * 9
    pixels[..., 1] = np.arange(SIDE_Y)[:, None] * 13
    pixels[::3, ::5, 2] = 200
    return pixels


def _save(image: PIL.Image.Image, name: str, suffix: str, image_format: str, **options: Any) -> Seed:
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return Seed(name, suffix, file.getvalue(), STRUCTURES[image_format])


def make_image_seeds() -> list[Seed]:
    """Make images in every format and mode of the reader."""
    rgb = PIL.Image.fromarray(make_pixels())
    gray, palette, alpha = rgb.convert("L"), rgb.convert("P"), rgb.convert("RGBA")
    wide = PIL.Image.fromarray(np.arange(SIDE_X * SIDE_Y, dtype=np.uint16).reshape(SIDE_Y, SIDE_X) * 100)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    frames = [rgb.rotate(90 * number).convert("P") for number in range(3)]
    seeds = [
        _save(rgb, "png", ".png", "PNG"),
        _save(alpha, "png-alpha", ".png", "PNG", exif=exif),
        _save(palette, "png-palette", ".png", "PNG", transparency=1),
        _save(wide, "png-16", ".png", "PNG"),
        _save(rgb.convert("1"), "png-1", ".png", "PNG"),
        _save(rgb, "jpeg", ".jpg", "JPEG", quality=70, exif=exif),
        _save(rgb, "jpeg-progressive", ".jpg", "JPEG", progressive=True),
        _save(rgb.convert("CMYK"), "jpeg-cmyk", ".jpg", "JPEG"),
        _save(rgb, "webp", ".webp", "WEBP", quality=60),
        _save(alpha, "webp-lossless", ".webp", "WEBP", lossless=True, exif=exif),
        _save(palette, "gif", ".gif", "GIF"),
        _save(rgb, "bmp", ".bmp", "BMP"),
        _save(palette, "bmp-palette", ".bmp", "BMP"),
    ]
    for compression in ("raw", "tiff_lzw", "tiff_deflate", "packbits", "jpeg", "group4"):
        image = rgb.convert("1") if compression == "group4" else rgb
        seeds.append(_save(image, f"tiff-{compression}", ".tif", "TIFF", compression=compression))
    animated = {"save_all": True, "append_images": frames[1:], "duration": 40, "loop": 0}
    seeds += [
        _save(frames[0], "gif-animated", ".gif", "GIF", **animated),
        _save(gray, "tiff-gray", ".tif", "TIFF"),
        _save(wide, "tiff-16", ".tif", "TIFF"),
    ]
    # Animations are videos by their content.
    given = [Seed(each.name, each.suffix, each.content, each.structure, {"reader": "image"}) for each in seeds]
    thermal = Seed("thermal", ".png", seeds[0].content, "png", {"reader": "thermal-image"})
    return [*given, thermal, Seed("nyu", ".mat", make_nyu(), "hdf5", {"reader": "nyu-image-mat"})]


def make_nyu() -> bytes:
    """Make a MATLAB 7.3 file in the layout of NYU Depth v2: HDF5 after 512 bytes of text."""
    import h5py

    def write(path: Path) -> None:
        with h5py.File(path, "w", userblock_size=512) as file:
            file.create_dataset("images", data=make_pixels().transpose(2, 1, 0)[None], chunks=True, compression=1)
            file.create_dataset("depths", data=np.ones((1, SIDE_X, SIDE_Y), np.float32), chunks=True, compression=1)

    return b"MATLAB 7.3 MAT-file".ljust(512) + write_content(".mat", write)[512:]


def make_waveform(channels: int = 2, rate: int = RATE) -> np.ndarray:
    """Make a tone, (samples, channels) float32."""
    time = np.arange(int(SECONDS * rate)) / rate
    return np.stack([0.5 * np.sin(2 * np.pi * (440 + 100 * number) * time) for number in range(channels)], 1)


def make_sound_seeds() -> list[Seed]:
    """Make audio files by libsndfile and FFmpeg in every container of the reader."""
    formats = {
        "wav-pcm": (".wav", "WAV", "PCM_16", "riff"), "wav-float": (".wav", "WAV", "FLOAT", "riff"),
        "wav-alaw": (".wav", "WAV", "ALAW", "riff"), "wav-adpcm": (".wav", "WAV", "IMA_ADPCM", "riff"),
        "wavex-24": (".wav", "WAVEX", "PCM_24", "riff"), "rf64": (".rf64", "RF64", "PCM_16", "riff"),
        "w64": (".w64", "W64", "FLOAT", "w64"), "aiff": (".aiff", "AIFF", "PCM_16", "riff"),
        "aifc": (".aiff", "AIFF", "FLOAT", "riff"), "flac": (".flac", "FLAC", "PCM_16", "flac"),
        "mp3": (".mp3", "MP3", "MPEG_LAYER_III", "mp3"),
    }  # fmt: skip
    seeds = [
        Seed(name, suffix, write_content(suffix, lambda path, f=f, s=s: _write_sound(path, f, s)), structure)
        for name, (suffix, f, s, structure) in formats.items()
    ]
    tracks = {
        "vorbis": (".ogg", "vorbis", "ogg", "ogg"), "opus": (".opus", "libopus", "ogg", "ogg"),
        "ogg-flac": (".oga", "flac", "ogg", "ogg"), "m4a": (".m4a", "aac", "ipod", "mp4"),
        "aac": (".aac", "aac", "adts", "adts"), "mka": (".mka", "aac", "matroska", "matroska"),
        "weba": (".weba", "libopus", "webm", "matroska"), "wma": (".wma", "wmav2", "asf", "asf"),
        "flv-audio": (".flv", "aac", "flv", "flv"),
    }  # fmt: skip
    for name, (suffix, codec, container, structure) in tracks.items():
        content = write_content(suffix, lambda path, c=codec, o=container: _write_track(path, c, o))
        seeds.append(Seed(name, suffix, content, structure, {"reader": "sound"}))
    return seeds


def _write_sound(path: Path, container: str, subtype: str) -> None:
    import soundfile

    soundfile.write(path, make_waveform().astype(np.float32), RATE, subtype, format=container)
    content = bytearray(path.read_bytes())
    if (peak := content.find(b"PEAK")) >= 0:
        content[peak + 12 : peak + 16] = bytes(4)  # the time of writing
        path.write_bytes(content)


def _write_track(path: Path, codec: str, container: str) -> None:
    import av

    rate = 48_000 if codec == "libopus" else 44_100 if codec in ("aac", "wmav2") else RATE
    with av.open(str(path), "w", format=container, options={"fflags": "+bitexact"}) as output:
        stream: Any = output.add_stream(codec, rate=rate, options={"strict": "experimental", "flags": "+bitexact"})
        stream.layout, stream.bit_rate = "stereo", 64_000
        resampler = av.AudioResampler(stream.format, "stereo", rate)
        samples = np.ascontiguousarray(make_waveform(2, rate).T, np.float32)
        frame = av.AudioFrame.from_ndarray(samples, "fltp", "stereo")
        frame.sample_rate = rate
        fifo = av.AudioFifo()
        for each in resampler.resample(frame):
            fifo.write(each)
        size = stream.codec_context.frame_size or 256
        while (each := fifo.read(size)) is not None or (each := fifo.read(0)) is not None:
            output.mux(stream.encode(each))
        output.mux(stream.encode(None))


def make_depth_seeds() -> list[Seed]:
    """Make depth maps in every format of the reader."""
    levels = (1000 + 10 * np.add.outer(np.arange(SIDE_Y), np.arange(SIDE_X))).astype(np.uint16)
    metres = levels / np.float32(1000)
    file = io.BytesIO()
    np.save(file, metres)
    images = [
        _save(PIL.Image.fromarray(levels), "png-16", ".png", "PNG"),
        _save(PIL.Image.fromarray(levels), "tiff-16", ".tif", "TIFF"),
        _save(PIL.Image.fromarray(metres), "tiff-float", ".tif", "TIFF", compression="tiff_deflate"),
    ]
    given = {"reader": "depth", "preset": "tum"}
    return [
        *(Seed(each.name, each.suffix, each.content, each.structure, given) for each in images),
        Seed("pgm", ".pgm", b"P5\n# made\n24 16\n65535\n" + levels.astype(">u2").tobytes(), "pnm", given),
        Seed("npy", ".npy", file.getvalue(), "npy", {"reader": "depth"}),
        Seed("nyu", ".mat", make_nyu(), "hdf5", {"reader": "nyu-depth-mat"}),
        Seed("exr", ".exr", write_content(".exr", lambda path: _write_exr(path, {"Z": metres}, "ZIP")), "exr"),
        Seed(
            "exr-layers",
            ".exr",
            write_content(".exr", lambda path: _write_exr(path, {"left.Z": metres, "RGB": make_pixels() / 255}, "PIZ")),
            "exr",
        ),
    ]


def _write_exr(path: Path, channels: Mapping[str, np.ndarray], compression: str) -> None:
    import OpenEXR

    header = {"compression": getattr(OpenEXR, f"{compression}_COMPRESSION"), "type": OpenEXR.scanlineimage}
    arrays = {name: np.ascontiguousarray(array, np.float32) for name, array in channels.items()}
    with OpenEXR.File(header, arrays) as file:
        file.write(str(path))
