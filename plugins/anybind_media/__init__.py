"""Bundled plugin: images, text, video, audio and depth maps, the samples shared by encoders of several plugins."""

from __future__ import annotations

from anybind.plugin import ModalitySpec, ReaderSpec, Registrar, RepresentationSpec, hookimpl
from anybind_media.containers import SIGNATURES as CONTAINERS

anybind_contract = 1

MODALITIES = (
    ("image", "images, RGB arrays", "image:Image", ""),
    ("text", "texts, plain strings", "text:Text", ""),
    ("video", "videos", "video:VideoModality", "events"),
    ("sound", "audio clips", "sound:Sound", "sound"),
    ("depth", "depth maps, in metres", "depth:Depth", ""),
)
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
VIDEO_SUFFIXES = (
    ".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".m2ts", ".wmv", ".flv", ".ogv", ".3gp",
    ".y4m", ".apng",
)  # fmt: skip
AUDIO_SUFFIXES = (
    ".wav", ".flac", ".ogg", ".mp3", ".aiff", ".oga", ".opus", ".aif", ".rf64", ".w64", ".m4a", ".m4b", ".aac", ".mka",
    ".weba", ".wma",
)  # fmt: skip
PNG, TIFF = b"\x89PNG\r\n\x1a\n", (b"II*\x00", b"MM\x00*")
READERS = (
    ("image", "image", "JPEG, PNG, WebP, GIF, BMP, TIFF (first frame)", "image:ImageReader", IMAGE_SUFFIXES,
     (PNG, b"\xff\xd8\xff", b"GIF8", *TIFF, b"RIFF", b"BM"), ""),
    ("video", "video", "MP4, MOV, MKV, WebM, AVI, MPEG, WMV, FLV, Ogg, animated GIF, WebP, PNG (no audio)",
     "video:VideoReader", VIDEO_SUFFIXES, (*CONTAINERS, b"GIF8", PNG), "events"),
    ("sound", "sound", "WAV, FLAC, Ogg, MP3, AIFF, M4A, AAC, audio tracks of videos", "sound_files:SoundReader",
     AUDIO_SUFFIXES, (*CONTAINERS, b"RF64", b"FORM", b"fLaC", b"ID3", b"riff"), "sound"),
    ("depth", "depth", "16-bit PNG, PGM and TIFF, float TIFF, NPY, OpenEXR: options scale, preset, fx, baseline",
     "depth_files:DepthReader", (".png", ".npy", ".tiff", ".tif", ".pgm", ".exr"),
     (PNG, b"\x93NUMPY", *TIFF, b"\x76\x2f\x31\x01", b"P5"), ""),
)  # fmt: skip


@hookimpl
def register(registry: Registrar) -> None:
    """Add modalities, one reader per group of file formats, and the audio representation."""
    for name, summary, target, extra in MODALITIES:
        registry.add(ModalitySpec(name=name, summary=summary, target=f"anybind_media.{target}", extra=extra))
    for name, modality, summary, target, suffixes, signatures, extra in READERS:
        registry.add(
            ReaderSpec(
                name=name,
                summary=summary,
                target=f"anybind_media.{target}",
                modality=modality,
                suffixes=suffixes,
                signatures=signatures,
                extra=extra,
            )
        )
    registry.add(
        RepresentationSpec(
            name="kaldi-fbank",
            summary="log mel filter bank energies as in Kaldi",
            target="anybind_media.fbank:KaldiFbank",
            modality="sound",
            extra="imagebind",
        )
    )
